"""Clients that public generators make of infra/openapi.yaml, used against the local stack. `tests/clients/run` runs it.

A server of this file gives what the stack does not give on demand: every example of the document, and answers of the future.
"""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path[:0] = [str(FOLDER / "generated" / "python"), str(ROOT / "infra" / "docs" / "clients")]

import engine  # noqa: E402
from api_client import AuthenticatedClient, Client  # noqa: E402
from api_client.api.automate import check, execute  # noqa: E402
from api_client.api.connect import list_integrations, start_authorization  # noqa: E402
from api_client.models import AuthorizationRequest, AutomationRequest, CheckRequest, CustomersRequest  # noqa: E402
from api_client.models import ExecutionProblem, Executed, GatewayMessage, Problem  # noqa: E402
from ruamel.yaml import YAML  # noqa: E402

DOCUMENT = YAML(typ="safe").load(ROOT / "infra" / "openapi.yaml")
EXECUTE = DOCUMENT["paths"]["/v1/automation-requests"]["post"]["responses"]
PROBLEMS = DOCUMENT["components"]["examples"]
FUTURE = {
    "type": "urn:hubspot-automations:of_the_future", "title": "Of the future", "status": 409, "detail": "Unknown today.",
    "code": "of_the_future", "retryable": True, "retry_after_seconds": 7, "further_field": {"a": [1]},
    "execution_id": "01936b2e-8a00-7cc3-9f00-5f2f0c6f7a05", "outcome": "perhaps",
}


def answers() -> dict:
    """Status, content type and body of every answer that the server knows, by name."""
    known = {}
    for status, response in EXECUTE.items():
        for kind, content in response["content"].items():
            examples = {name: example for name, example in content.get("examples", {}).items()}
            examples.update({f"gateway-{status}": {"value": content["example"]}} if "example" in content else {})
            for name, example in examples.items():
                value = PROBLEMS[example["$ref"].split("/")[-1]]["value"] if "$ref" in example else example["value"]
                known[name] = (int(status), kind, value)
    answered = known["answered"][2]
    known["future-code"] = (409, "application/problem+json", FUTURE)
    known["future-status"] = (418, "application/problem+json", FUTURE)
    known["future-outcome"] = (200, "application/json", {**answered, "outcome": "perhaps", "further_field": 1})
    known["future-gateway"] = (502, "application/json", {"message": "Bad Gateway", "requestId": "1"})
    return known


class Scripted(http.server.BaseHTTPRequestHandler):
    """Gives the answer that the request's endpoint names."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, kind, body = answers()[request["request"]["endpoint"]]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def browse(url: str, form=None, cookie="") -> tuple:
    """One step of a browser: where it is sent to, and the page."""
    body = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, body, {"cookie": cookie} if cookie else {})
    try:
        response = urllib.request.build_opener(NoRedirects).open(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.headers.get("location"), response.read().decode()


class Stack:
    """`devstack run`, and what it prints."""

    def __init__(self):
        devstack = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "devstack"
        self.process = subprocess.Popen([devstack, "run"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        printed = ""
        while "--help" not in printed:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"devstack run has ended: {printed}")
            printed += line
        self.api = re.search(r"API +(http\S+)", printed).group(1)
        self.checks = [json.loads(text) for text in re.findall(r"-d '(\{\"request\".*\})'", printed)]
        self.token = re.search(r"TOKEN=(\S+)", printed).group(1)
        self.account = re.search(r'"account_id":"(\w+)"', printed).group(1)
        region, key, secret = re.search(r"aws:amz:(\S+):execute-api --user (\S+?):(\S+)", printed).groups()
        os.environ.update(AWS_REGION=region, AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)

    def stop(self):
        self.process.terminate()
        self.process.communicate()


def connect(client: AuthenticatedClient):
    """Connects the token's account through the generated client and the steps of a browser."""
    started = start_authorization.sync_detailed(client=client, body=AuthorizationRequest())
    page = browse(started.parsed.authorize_url)[1]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    decision = urllib.parse.urljoin(started.parsed.authorize_url, "/oauth/authorize/decision")
    callback = browse(decision, {name: value.replace("&amp;", "&") for name, value in hidden.items()} | {"decision": "accept"})[0]
    result = browse(callback, cookie=started.headers["set-cookie"].split(";")[0])[0]
    assert result.endswith("/connected"), result


def automation(endpoint: str, account="acc_1") -> AutomationRequest:
    return AutomationRequest(account_id=account, request=CustomersRequest(method="GET", endpoint=endpoint))


def sign(request):
    """Signs a request of the generated client as the sample does."""
    signed = engine.signed(str(request.url), request.read())
    request.headers.update({name.lower(): value for name, value in signed.header_items()})


class Generated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.stop)
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        cls.scripted = f"http://127.0.0.1:{cls.server.server_port}"
        cls.member = AuthenticatedClient(base_url=cls.stack.api, token=cls.stack.token)
        connect(cls.member)

    def typescript(self, api: str, cases: list) -> list:
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        command = ["node", FOLDER / "generated" / "node" / "client.js", api, self.stack.account]
        ended = subprocess.run(command, input=lines, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def test_python_calls_the_routes_of_the_dashboard(self):
        listed = list_integrations.sync(client=self.member)
        anonymous = list_integrations.sync_detailed(client=Client(base_url=self.stack.api))
        explained = check.sync(client=self.member, body=CheckRequest(request=CustomersRequest(method="GET", endpoint="/crm/v3/objects/deals")))
        refused = check.sync(client=self.member, body=CheckRequest(request=CustomersRequest(method="GET", endpoint="/oauth/v1")))

        self.assertEqual([one.runs_automations for one in listed.integrations], [True])
        self.assertEqual((anonymous.status_code, anonymous.parsed), (401, GatewayMessage(message="Unauthorized")))
        self.assertEqual(explained.required_scopes, ["crm.objects.deals.read"])
        self.assertIsInstance(refused, Problem)
        self.assertEqual((refused.code, refused.retryable), ("endpoint_not_allowed", False))

    def test_printed_checks_show_any_of_developer_key_and_deprecated(self):
        found = [check.sync(client=self.member, body=CheckRequest.from_dict(one)) for one in self.stack.checks]

        self.assertEqual([one.any_of for one in found], [["hubdb", "hubdb.tables.read"], [], []])
        self.assertEqual([one.developer_key for one in found], [False, True, False])
        self.assertEqual([one.deprecated and one.deprecated.since for one in found], [None, None, "2026-12-04"])

    def test_python_executes_with_a_signature(self):
        signed = Client(base_url=self.stack.api, httpx_args={"event_hooks": {"request": [sign]}})
        answered = execute.sync(client=signed, body=automation("/crm/v3/objects/contacts?limit=1", self.stack.account))
        refused = execute.sync(client=signed, body=automation("/crm/../x"))
        unsigned = execute.sync_detailed(client=Client(base_url=self.stack.api), body=automation("/crm"))

        self.assertIsInstance(answered, Executed)
        self.assertEqual((answered.outcome, answered.hubspot.status, answered.hubspot.body), ("answered", 200, {"results": []}))
        self.assertEqual((refused.code, refused.outcome, refused.retryable), ("invalid_request", "not_sent", False))
        self.assertEqual((unsigned.status_code, unsigned.parsed), (403, GatewayMessage(message="Forbidden")))

    def test_python_reads_every_example_and_answers_of_the_future(self):
        client = Client(base_url=self.scripted)
        for name, (status, kind, body) in answers().items():
            with self.subTest(name):
                answer = execute.sync_detailed(client=client, body=automation(name))

                self.assertEqual(answer.status_code, status)
                if name == "future-status":
                    self.assertEqual(json.loads(answer.content), body)
                elif "message" in body:
                    self.assertEqual(answer.parsed.message, body["message"])
                elif status == 200:
                    self.assertEqual((answer.parsed.outcome, answer.parsed.retryable), (body["outcome"], body["retryable"]))
                else:
                    self.assertIsInstance(answer.parsed, ExecutionProblem)
                    self.assertEqual(str(getattr(answer.parsed.code, "value", answer.parsed.code)), body["code"])
                    self.assertEqual((answer.parsed.outcome, answer.parsed.retryable), (body["outcome"], body["retryable"]))
                    self.assertEqual(answer.parsed.retry_after_seconds or None, body.get("retry_after_seconds"))

    def test_typescript_calls_the_stack(self):
        member = {"authorization": f"Bearer {self.stack.token}"}
        request = {"method": "GET", "endpoint": "/crm/v3/objects/contacts"}
        body = json.dumps({"account_id": self.stack.account, "request": request}, separators=(",", ":"))
        signed = engine.signed(f"{self.stack.api}/v1/automation-requests", body.encode()).header_items()
        signature = {name.lower(): value for name, value in signed if name.lower() not in ("host", "content-type")}
        ended = self.typescript(self.stack.api, [
            {"call": "list", "headers": member},
            {"call": "list", "headers": {}},
            {"call": "check", "headers": member, "endpoint": "/oauth/v1"},
            {"call": "execute", "headers": signature, "endpoint": "/crm/v3/objects/contacts"},
            {"call": "execute", "headers": {}, "endpoint": "/crm"},
        ])

        self.assertEqual(ended, [
            {"integrations": [["active", True]]},
            {"message": "Unauthorized"},
            {"code": "endpoint_not_allowed", "retryable": False},
            {"outcome": "answered", "retryable": False, "status": 200},
            {"message": "Forbidden"},
        ])

    def test_typescript_reads_every_example_and_answers_of_the_future(self):
        known = answers()
        ended = self.typescript(self.scripted, [{"call": "execute", "headers": {}, "endpoint": name} for name in known])

        for (name, (status, _, body)), seen in zip(known.items(), ended, strict=True):
            with self.subTest(name):
                if "message" in body:
                    self.assertEqual(seen, {"message": body["message"]})
                else:
                    self.assertEqual((seen["outcome"], seen["retryable"]), (body["outcome"], body["retryable"]))
                    self.assertEqual(seen.get("code"), body.get("code"))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
