"""What a rehearsal starts on this machine: the emulator of AWS, HubSpot's double, the issuer of the dashboard's tokens."""

import base64
import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
REGION = "eu-central-1"
ACCOUNT = "123456789012"
# The emulator takes a key of twelve digits for the account that it belongs to.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "rehearsal"}


class Failed(Exception):
    """The rehearsal cannot go on; the text says why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A process that this rehearsal started and ends."""

    def __init__(self, name: str, command: list, log: Path, **options):
        self.name, self.log = name, log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, **options)

    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Emulator(Process):
    """ministack on loopback. What it keeps it keeps in memory and in `folder`."""

    def __init__(self, folder: Path):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        own = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "AWS_ENDPOINT_URL": self.url,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "TMPDIR": str(folder),
            "STATE_DIR": str(folder / "state"),
            "S3_DATA_DIR": str(folder / "s3"),
        }
        log = folder / "emulator.log"
        command = [VENV / "rehearse/bin/python", "-m", "ministack"]
        super().__init__("ministack", command, log, env=environment(own), stdout=subprocess.DEVNULL)
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.alive():
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.2)
        raise Failed(f"the emulator does not answer; {self.log} says why")


class HubSpot(Process):
    """HubSpot's double of the local stack, and every request that it got."""

    def __init__(self, folder: Path, lifetime: int):
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        command = [target / "debug/devstack", "hubspot", str(lifetime)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        super().__init__("HubSpot's double", command, folder / "hubspot.log", **pipes)
        first = self.process.stdout.readline()
        if not first:
            raise Failed(f"HubSpot's double does not start; {self.log} says why")
        self.app = json.loads(first)
        self.arrived = threading.Condition()
        self.requests = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            with self.arrived:
                self.requests.append(json.loads(line))
                self.arrived.notify_all()

    def calls(self) -> list:
        """The requests of the API, which are all but those of OAuth."""
        with self.arrived:
            return [request for request in self.requests if not request["target"].startswith("/oauth/")]

    def refreshes(self) -> list:
        with self.arrived:
            return [r for r in self.requests if "/token" in r["target"] and "grant_type=refresh_token" in r["body"]]

    def wait_for(self, what: str, holds, seconds: float) -> None:
        """Waits until `holds()` after some request, `seconds` at most."""
        deadline = time.monotonic() + seconds
        while not holds():
            with self.arrived:
                left = deadline - time.monotonic()
                if left <= 0 or not self.alive():
                    raise Failed(f"within {seconds:.0f} s HubSpot did not get {what}")
                self.arrived.wait(min(left, 1))


class Issuer:
    """The identity provider of the dashboard: a discovery document, RSA keys, tokens."""

    AUDIENCE = "hubspot-automations"

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = issuer.document(self.path)
                self.send_response(200 if body else 404)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body or {}).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def document(self, path: str) -> dict | None:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        if path == "/jwks":
            numbers = self.key.public_key().public_numbers()
            size = (numbers.n.bit_length() + 7) // 8
            key = {"n": encoded(numbers.n.to_bytes(size)), "e": encoded(numbers.e.to_bytes(3))}
            return {"keys": [{"kty": "RSA", "kid": "rehearsal", "use": "sig", "alg": "RS256", **key}]}
        return None

    def token(self, account: str, role: str) -> str:
        now = int(time.time())
        header = {"alg": "RS256", "kid": "rehearsal", "typ": "JWT"}
        claims = {"iss": self.url, "aud": self.AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3600}
        claims |= {"account_id": account, "role": role}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encoded(signature)}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def environment(own: dict) -> dict:
    """The environment without whatever would lead a tool to a real AWS account, and with `own`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    fixed = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
    return kept | nothing | fixed | CREDENTIALS | own
