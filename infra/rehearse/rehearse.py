"""Deploys the real template with the real SAM CLI into an emulator on loopback, uses what was deployed, and removes it.

The emulator checks neither signatures nor IAM, drops cross-origin rules and throttling, and delivers no event of a pipe:
these are what only an AWS account can show. The template tests check them statically.
"""

import json
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import documented
import yaml
from deployment import Deployment, SamFailed, call, sam
from machine import ROOT, Emulator, Failed, HubSpot, Issuer

BUILD = ".aws-sam/rehearsal"
# Seconds that HubSpot's access tokens live: so short that the next minute's run of the schedule finds them due.
LIFETIME = 60
# Types of resources that the emulator does not know. Alarms of alarms do nothing for what is rehearsed.
LACKING = {"AWS::CloudWatch::CompositeAlarm"}
ENGINE_ACCOUNT = "arn:aws:iam::210987654321:root"
OLD_TOKEN = "pat-na1-11111111-2222-3333-4444-555555555555"
OLD_KEY = "66666666-7777-8888-9999-000000000000"

STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - STARTED:5.0f} s  {text}", flush=True)


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Failed(f"it must hold, and does not, that {what}")


def leave_out_what_the_emulator_lacks() -> None:
    """Takes resources out of the built template, and out of nothing else, whose types the emulator does not know."""
    path = ROOT / BUILD / "template.yaml"
    template = yaml.safe_load(path.read_text())
    resources = template["Resources"]
    left_out = [name for name, resource in resources.items() if resource["Type"] in LACKING]
    for name in left_out:
        del resources[name]
    rest = json.dumps([resources, template.get("Outputs")], default=str)
    for name in left_out:
        used = f'"{name}"' in rest or f"${{{name}}}" in rest or f"${{{name}." in rest
        check(not used, f"nothing refers to {name}, which the emulator cannot make")
    if left_out:
        path.write_text(yaml.safe_dump(template, sort_keys=False))
        say(f"   left out, since the emulator does not know {', '.join(sorted(LACKING))}: {', '.join(left_out)}")


def set_release(release: str) -> dict:
    """The parameter of a release. AWS translates the template with the parameters' values, the emulator with their defaults
    only, so the built template gets the value as its default too."""
    path = ROOT / BUILD / "template.yaml"
    template = yaml.safe_load(path.read_text())
    template["Parameters"]["Release"]["Default"] = release
    path.write_text(yaml.safe_dump(template, sort_keys=False))
    return {"Release": release}


def parameters(issuer: Issuer, hubspot: HubSpot, architecture: str) -> dict:
    return {
        "Architecture": architecture,
        "Environment": "test",
        "Release": "rehearsal1",
        "JwtIssuer": issuer.url,
        "JwtAudience": issuer.AUDIENCE,
        "DashboardOrigin": "https://app.example.com",
        "EnginePrincipalArns": ENGINE_ACCOUNT,
        "HubSpotApiUrl": hubspot.app["url"],
        "HubSpotHubApiUrl": hubspot.app["url"],
        "HubSpotAuthorizeUrl": hubspot.app["authorize_url"],
    }


def automation(integration: str | None) -> dict:
    request = {
        "method": "POST",
        "endpoint": f"https://api.hubapi.com/crm/v3/objects/contacts/search?hapikey={OLD_KEY}",
        "headers": {"Authorization": f"Bearer {OLD_TOKEN}"},
        "body": {"limit": 1},
    }
    named = {"integration_id": integration} if integration else {}
    return {"account_id": "acc_1", "automation_id": "wf_42", "request": request, **named}


def before_the_app_secret(stack: Deployment) -> None:
    listed = stack.as_member("GET", "/v1/integrations")
    check(listed.status == 200 and listed.json() == {"integrations": []}, f"a new account has none ({listed})")
    for method, path in (("GET", "/v1/integrations"), ("POST", "/v1/authorizations"), ("POST", "/v1/automation-requests")):
        refused = call(method, stack.api + path, {}, b"{}" if method == "POST" else None)
        check(refused.status in (401, 403), f"{path} refuses a caller who is nobody ({refused})")
    member = stack.as_member("POST", "/v1/authorizations", {}, role="member")
    check(member.status == 403, f"a member cannot connect ({member})")
    early = stack.as_member("POST", "/v1/authorizations", {})
    check(early.json().get("code") == "temporarily_unavailable", f"connecting waits for the app secret ({early})")
    say("   before the app's secret is put: nobody gets in, connecting is temporarily_unavailable")


def put_app_secret(stack: Deployment, credentials: dict, folder: Path) -> None:
    file = folder / "app.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(credentials))
    arn = stack.outputs["AppSecretArn"]
    stack.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=file.read_text())
    file.unlink()


def put_a_wrong_app_secret(stack: Deployment, folder: Path) -> None:
    put_app_secret(stack, {"clientId": "1", "client_secret": "2"}, folder)
    refused = stack.as_member("POST", "/v1/authorizations", {})
    check(refused.json().get("code") == "temporarily_unavailable", f"a secret that does not fit is no crash ({refused})")
    say("   an app's secret that does not fit: connecting stays temporarily_unavailable")


def put_the_app_secret(stack: Deployment, hubspot: HubSpot, folder: Path) -> None:
    put_app_secret(stack, {name: hubspot.app[name] for name in ("client_id", "client_secret")}, folder)
    say("   the app's secret is put from a file, which is deleted")


def connect(stack: Deployment, body: dict) -> str:
    outcome = stack.connect(body)
    check(outcome == "connected", f"the authorization ends as connected (it is {outcome})")
    newest = stack.integrations()[0]
    check(newest["runs_automations"] and newest["status"] == "active", f"the newest runs automations ({newest})")
    say(f"   connected in the browser's steps: integration {newest['integration_id']}")
    return newest["integration_id"]


def execute(stack: Deployment, hubspot: HubSpot, integration: str | None) -> None:
    before = len(hubspot.calls())
    answer = stack.as_engine(automation(integration))
    body = answer.json()
    check(answer.status == 200 and body.get("outcome") == "answered", f"HubSpot answers the automation ({answer})")
    check(body["ignored_credentials"] == ["header:authorization", "query:hapikey"], f"both are named ({body})")
    hubspot.wait_for("the automation's request", lambda: len(hubspot.calls()) > before, 10)
    (received,) = hubspot.calls()[before:]
    check(OLD_TOKEN not in str(received) and OLD_KEY not in str(received), "no old credential reaches HubSpot")
    sent = [value for name, value in received["headers"] if name.lower() == "authorization"]
    check(len(sent) == 1 and sent[0].startswith("Bearer CK"), "HubSpot gets the integration's token, once")
    say("   executed as the engine's assumed role: HubSpot got the OAuth token and neither of the old credentials")


def refuse_strangers(stack: Deployment, role: str) -> None:
    refused = stack.as_engine(automation(None), role=role)
    check(refused.json().get("code") == "forbidden", f"another role is refused ({refused})")
    say("   another role of the account is refused")


def supersede(stack: Deployment, first: str) -> None:
    second = connect(stack, {"new_instance": True})
    check(second != first, "a new instance has an id of its own")
    refused = stack.as_engine(automation(first))
    check(refused.json().get("code") == "integration_superseded", f"the first one's automation is refused ({refused})")
    say("   an automation of the older integration is refused")


def refresh(stack: Deployment, hubspot: HubSpot) -> None:
    before = len(hubspot.refreshes())
    say("   waiting for the schedule that was deployed, which runs every minute")
    hubspot.wait_for("a refresh", lambda: len(hubspot.refreshes()) > before, 180)
    say("   the schedule fired, the function refreshed the tokens that were due")
    report = stack.client("lambda").invoke(FunctionName=stack.outputs["TokenRefreshFunctionName"], Payload=b"{}")
    text = report["Payload"].read()
    check(not report.get("FunctionError") and b'"due"' in text, f"an invocation by hand reports ({text})")
    say(f"   invoked by hand it reports {text.decode()}")


def update(stack: Deployment, given: dict) -> None:
    before = stack.integrations()
    # AdminRole is a variable of the functions, so it arrives only with a new version behind the alias.
    changed = {"LogRetentionDays": "30", "RequestsPerSecond": "400", "AdminRole": "owner"}
    stack.deploy(BUILD, given | changed | set_release("rehearsal2"))
    refused = stack.as_member("POST", "/v1/authorizations", {}, role="admin")
    check(refused.status == 403, f"the changed role reached the function ({refused})")
    stack.deploy(BUILD, given | changed | {"AdminRole": "admin"} | set_release("rehearsal3"))
    groups = stack.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack.name}/")["logGroups"]
    kept = {group.get("retentionInDays") for group in groups}
    check(kept == {30}, f"the update changed the retention of the logs ({kept})")
    check(stack.integrations() == before, "an update loses no integration")
    say("   updated: other parameters, which the running functions know at once; same integrations")


# Parameters that do not fit together or in themselves, and the messages about them.
WRONG = [
    ({"DashboardOrigin": "https://app.example.com/"}, "must be one https origin"),
    ({"DomainName": "api.example.com"}, "DomainName and CertificateArn go together"),
    ({"Environment": "production"}, "Production needs a DomainName"),
    ({"Environment": "staging", "Release": "unreleased"}, "Deploy with infra/deploy"),
]


def refuse_what_does_not_fit(stack: Deployment, given: dict) -> None:
    for wrong, reason in WRONG:
        try:
            stack.deploy(BUILD, given | wrong)
        except SamFailed as refused:
            check(reason in refused.output, f"{wrong} is refused with its reason ({refused})")
            say(f"   {' '.join(wrong)}: {reason}")
        else:
            raise Failed(f"{wrong} must be refused")
    tables = stack.client("dynamodb").list_tables()["TableNames"]
    check(not tables, f"nothing was created ({tables})")


def check_pipes(stack: Deployment) -> None:
    pipes = stack.client("pipes").list_pipes()["Pipes"]
    running = [pipe["Source"] for pipe in pipes if pipe["CurrentState"] == "RUNNING"]
    table = stack.outputs["IntegrationsTableName"]
    check(sum(f"table/{table}/stream/" in source for source in running) == 2, f"two pipes read the stream ({pipes})")
    say("   two pipes read the stream of its integrations")


def remove(stack: Deployment) -> None:
    kept = stack.outputs["IntegrationsTableName"]
    gone = {stack.outputs[f"{name}TableName"] for name in ("Authorizations", "Executions")}
    stack.remove()
    check(not stack.runtime_secrets(), "no secret is left")
    client = stack.client("cloudformation")
    try:
        (left,) = client.describe_stacks(StackName=stack.name)["Stacks"]
    except client.exceptions.ClientError:
        left = {"StackStatus": "DELETE_COMPLETE"}
    check(left["StackStatus"] == "DELETE_COMPLETE", f"the stack is gone ({left['StackStatus']})")
    listed = stack.client("dynamodb").list_tables()["TableNames"]
    check(kept in listed, "the integrations outlive the stack")
    check(not gone & set(listed), "authorizations and executions go with the stack")
    say(f"   removed {stack.name}: secrets emptied, integrations kept")


def rehearse(emulator: Emulator, hubspot: HubSpot, issuer: Issuer, folder: Path) -> None:
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    say("1. sam build")
    sam(emulator.url, "build", "--build-dir", BUILD, "--parameter-overrides", f"Architecture={architecture}")
    leave_out_what_the_emulator_lacks()
    given = parameters(issuer, hubspot, architecture)
    first = Deployment(emulator.url, "hubspot-rehearsal", issuer, hubspot)

    say("2. What does not fit is refused before anything is created")
    refuse_what_does_not_fit(first, given)

    say("3. sam deploy, the first time")
    first.deploy(BUILD, given)
    say(f"   it answers at {first.api}")
    before_the_app_secret(first)
    put_a_wrong_app_secret(first, folder)
    put_the_app_secret(first, hubspot, folder)

    check_pipes(first)

    say("4. Connect and execute")
    integration = connect(first, {})
    execute(first, hubspot, integration)

    say("5. A second stack beside it")
    second = Deployment(emulator.url, "hubspot-rehearsal-two", issuer, hubspot)
    second.deploy(BUILD, given)
    check(second.api != first.api, "it has an address of its own")
    put_the_app_secret(second, hubspot, folder)
    check(second.integrations() == [], "it knows nothing of the first")
    execute(second, hubspot, connect(second, {}))
    refuse_strangers(first, second.outputs["EngineRoleArn"])

    say("6. Refresh")
    refresh(first, hubspot)
    execute(first, hubspot, integration)

    say("7. Update the first")
    update(first, given)
    execute(first, hubspot, None)
    supersede(first, integration)

    say("8. The commands of DEPLOY.md and of the runbooks")
    credentials = {name: hubspot.app[name] for name in ("client_id", "client_secret")}
    count = documented.follow(first, credentials, folder)
    say(f"   app secret, rotation, alias and {count} commands of the runbooks did what the pages say")

    say("9. Remove both")
    remove(second)
    execute(first, hubspot, None)
    remove(first)


def main() -> int:
    # As after Ctrl-C: nothing that was started may outlive this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    running, failed = [], None
    (ROOT / ".aws-sam").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="emulator-", dir=ROOT / ".aws-sam"))
    say(f"Rehearsal of a deployment; the emulator's log and files are in {folder.relative_to(ROOT)}")
    try:
        running.append(emulator := Emulator(folder))
        running.append(hubspot := HubSpot(folder, LIFETIME))
        running.append(issuer := Issuer())
        rehearse(emulator, hubspot, issuer, folder)
    except (Failed, subprocess.SubprocessError, KeyboardInterrupt) as error:
        failed = str(error) or "interrupted"
    finally:
        for part in reversed(running):
            part.stop()
    if failed:
        print(f"\ninfra/rehearse: {failed}\nThe emulator's log: {folder.relative_to(ROOT)}/emulator.log", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    say("All of it was checked: the rehearsal has succeeded.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
