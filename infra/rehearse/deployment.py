"""One deployed stack: the SAM CLI that makes and removes it, and the callers of its API."""

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPMessage

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from machine import CREDENTIALS, REGION, ROOT, VENV, Failed, HubSpot, Issuer, environment


class Answer:
    def __init__(self, status: int, headers: HTTPMessage, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> dict:
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def __str__(self) -> str:
        return f"{self.status} {self.body.decode(errors='replace')[:400]}"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


def call(method: str, url: str, headers: dict | None = None, body: bytes | None = None) -> Answer:
    # Names under .localhost are this machine, but not every resolver knows.
    parts = urllib.parse.urlsplit(url)
    here = parts._replace(netloc=f"127.0.0.1:{parts.port}").geturl()
    all_headers = {**(headers or {}), "host": parts.netloc}
    request = urllib.request.Request(here, data=body, headers=all_headers, method=method)
    try:
        with OPENER.open(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as answer:
        return Answer(answer.code, answer.headers, answer.read())
    except OSError as error:
        raise Failed(f"{method} {url.split('?')[0]}: {error}") from error


class SamFailed(Failed):
    """The SAM CLI has failed; `output` is what it said."""

    def __init__(self, command: str, code: int, output: str):
        super().__init__(f"{output[-6000:]}\nsam {command} ended with exit code {code}")
        self.output = output


def sam(endpoint: str, *arguments: str) -> None:
    """Runs the SAM CLI as ops do, only that its AWS is the emulator."""
    # The functions are the released ones but for optimisation, which takes minutes and changes nothing here.
    quick = {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
    quick |= {"CARGO_PROFILE_RELEASE_OPT_LEVEL": "1"}
    own = quick | {"AWS_ENDPOINT_URL": endpoint, "SAM_CLI_TELEMETRY": "0"}
    tools = os.pathsep.join([str(VENV / "rehearse/bin"), os.environ["PATH"]])
    command = [VENV / "sam/bin/sam", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(own | {"PATH": tools}), stdin=subprocess.DEVNULL, capture_output=True
    )
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise SamFailed(arguments[0], done.returncode, output)


class Deployment:
    def __init__(self, endpoint: str, name: str, issuer: Issuer, hubspot: HubSpot):
        self.endpoint, self.name, self.issuer, self.hubspot = endpoint, name, issuer, hubspot

    def client(self, service: str):
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **client_credentials())

    def deploy(self, build: str, parameters: dict) -> None:
        overrides = [f"{name}={value}" for name, value in parameters.items()]
        sam(
            self.endpoint, "deploy", "--config-file", str(ROOT / "samconfig.toml"), "--stack-name", self.name,
            "--template-file", f"{build}/template.yaml", "--no-confirm-changeset", "--no-progressbar",
            "--parameter-overrides", *overrides,
        )  # fmt: skip
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        if not stack["StackStatus"].endswith("_COMPLETE") or "ROLLBACK" in stack["StackStatus"]:
            raise Failed(f"the stack {self.name} is {stack['StackStatus']}")
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    @property
    def api(self) -> str:
        return self.outputs["PublicUrl"].rstrip("/")

    def as_member(self, method: str, path: str, body: dict | None = None, role: str = "admin", account: str = "acc_1"):
        headers = {"authorization": f"Bearer {self.issuer.token(account, role)}", "content-type": "application/json"}
        return call(method, self.api + path, headers, None if body is None else json.dumps(body).encode())

    def as_engine(self, body: dict, role: str | None = None) -> Answer:
        """Calls as the workflow engine does: assumes the role of the output, signs with it."""
        session = {"RoleArn": role or self.outputs["EngineRoleArn"], "RoleSessionName": "workflow-engine"}
        keys = self.client("sts").assume_role(**session)["Credentials"]
        credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        url, data = f"{self.api}/v1/automation-requests", json.dumps(body).encode()
        request = AWSRequest("POST", url, data=data, headers={"content-type": "application/json"})
        SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
        return call("POST", url, dict(request.headers), data)

    def authorize(self, body: dict) -> tuple[str, str]:
        """The dashboard's call, and the cookie that the browser keeps."""
        started = self.as_member("POST", "/v1/authorizations", body)
        if started.status != 201:
            raise Failed(f"POST /v1/authorizations: {started}")
        return started.json()["authorize_url"], started.headers["set-cookie"].split(";")[0]

    def connect(self, body: dict) -> str:
        """All of a browser's steps; how they ended."""
        authorize_url, cookie = self.authorize(body)
        page = call("GET", authorize_url)
        if page.status != 200:
            raise Failed(f"HubSpot's consent page: {page}")
        query = urllib.parse.parse_qsl(urllib.parse.urlsplit(authorize_url).query)
        form = urllib.parse.urlencode([*query, ("decision", "accept")]).encode()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        decided = call("POST", urllib.parse.urljoin(authorize_url, "/oauth/authorize/decision"), kind, form)
        callback = decided.headers["location"] or ""
        if not callback.startswith(self.api):
            raise Failed(f"HubSpot sends the browser to {callback.split('?')[0]}: {decided}")
        finished = call("GET", callback, {"cookie": cookie})
        location = finished.headers["location"] or ""
        if finished.status != 303:
            raise Failed(f"the callback answers {finished}")
        result = call("GET", urllib.parse.urljoin(self.api, location))
        if result.status != 200 or b"<html" not in result.body:
            raise Failed(f"the result page answers {result}")
        return location.rsplit("/", 1)[-1]

    def integrations(self) -> list:
        listed = self.as_member("GET", "/v1/integrations", role="member")
        if listed.status != 200:
            raise Failed(f"GET /v1/integrations: {listed}")
        return listed.json()["integrations"]

    def runtime_secrets(self) -> list:
        """The secrets that were made at run time, as `infra/DEPLOY.md` finds them."""
        pages = self.client("secretsmanager").get_paginator("list_secrets").paginate()
        prefix = f"{self.outputs['SecretPrefix']}/integrations/"
        return [secret["Name"] for page in pages for secret in page["SecretList"] if secret["Name"].startswith(prefix)]

    def remove(self) -> None:
        """What `infra/DEPLOY.md` says under "Removing", but for the data that is kept."""
        sam(
            self.endpoint, "delete", "--config-file", str(ROOT / "samconfig.toml"), "--stack-name", self.name,
            "--no-prompts", "--region", REGION,
        )  # fmt: skip
        secrets = self.client("secretsmanager")
        for name in self.runtime_secrets():
            secrets.delete_secret(SecretId=name, RecoveryWindowInDays=7)


def client_credentials() -> dict:
    return {
        "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }
