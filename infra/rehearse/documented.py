"""The commands of the documentation, run as they stand: a shell, the AWS CLI and the operator's tool against the emulator."""

import json
import os
import re
import subprocess
from pathlib import Path

from deployment import Deployment
from machine import ROOT, VENV, Failed, environment

DEPLOY = ROOT / "infra" / "DEPLOY.md"
RUNBOOKS = ROOT / "infra" / "runbooks"
# What only version 2 of the AWS CLI has.
NEWER = ("aws logs tail", "--cli-binary-format")


def block(section: str, command: str) -> str:
    """The block of DEPLOY.md in this section that has this command."""
    text = DEPLOY.read_text(encoding="utf-8")
    start = re.search(rf"(?m)^#+ {re.escape(section)}$", text)
    if not start:
        raise Failed(f"infra/DEPLOY.md has no section {section!r}")
    rest = text[start.end() :]
    end = re.search(r"(?m)^#+ ", re.sub(r"(?s)```.*?```", lambda found: " " * len(found[0]), rest))
    for found in re.finditer(r"(?ms)^( *)```\w*\n(.*?)^\1```", rest[: end.start() if end else None]):
        if command in found[2]:
            return re.sub(rf"(?m)^{found[1]}", "", found[2])
    raise Failed(f"section {section!r} of infra/DEPLOY.md has no block with {command!r}")


class Shell:
    """An operator's shell beside a deployed stack, in a folder of its own."""

    def __init__(self, stack: Deployment, folder: Path):
        self.stack, self.folder = stack, folder
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        tools = os.pathsep.join([str(VENV / "rehearse/bin"), str(target / "debug"), os.environ["PATH"]])
        self.environment = environment({"AWS_ENDPOINT_URL": stack.endpoint, "AWS_PAGER": "", "PATH": tools})
        prelude = block("4. Build and deploy", "output()")
        prelude = re.sub(r"(?m)^STACK=.*$", f"STACK={stack.name}", prelude)
        # Version 1 of the AWS CLI takes the address of SQS from nowhere else.
        self.prelude = f'aws() {{ command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }}\n{prelude}'

    def run(self, commands: str, stdin: str = "", fails: tuple = (0,)) -> str:
        done = subprocess.run(
            ["bash", "-euc", f"{self.prelude}\n{commands}"], cwd=self.folder, env=self.environment, input=stdin,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        if done.returncode not in fails:
            raise Failed(f"{commands.strip()}\nended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr


def runbook_commands() -> list[tuple[str, str]]:
    """Each command of the runbooks, with its runbook."""
    found = []
    for path in sorted(RUNBOOKS.glob("*.md")):
        for commands in re.findall(r"(?ms)^```sh\n(.*?)^```", path.read_text(encoding="utf-8")):
            found += [(path.stem, line) for line in commands.replace("\\\n", " ").splitlines()]
    return found


def filled_in(command: str, names: dict) -> str:
    """A command with what `infra/docs/operations.md` says that names in capitals mean."""
    return re.sub(r"(?<![\w$'{-])(" + "|".join(names) + r")(?![\w=-])", lambda found: names[found[0]], command)


# What the emulator does not have.
NOT_EMULATED = ("aws service-quotas",)


def follow(stack: Deployment, credentials: dict, folder: Path) -> int:
    """Runs the commands of DEPLOY.md and of the runbooks that can run beside a deployed stack with a connected account; how many."""
    shell = Shell(stack, folder)
    app = json.dumps(credentials)
    shell.run(block("4. Build and deploy", "set-stack-policy"))
    (unprotect,) = [line for line in block("Removing", "sam delete").splitlines() if "termination-protection" in line]
    shell.run(unprotect)
    variables, put, doctor = block("6. Put the app's credentials", "app-secret set").splitlines()
    shell.run(variables)
    shell.run(put, stdin=app)
    shell.run(doctor, fails=(0, 1))
    shell.run(block("Keep slow executions away from the other functions", "get-account-settings"))
    shell.run("VERSION=1\n" + block("Rolling back", "update-alias"))
    shell.run(block("Rotating the client secret", "rotate\n").strip() + " --yes", stdin="a-client-secret-that-hubspot-does-not-know")
    shell.run(block("Rotating the client secret", "--finish").strip() + " --yes", fails=(1,))
    shell.run(put, stdin=app)
    names = names_of(stack, shell)
    commands = {filled_in(command, names) for _, command in runbook_commands()}
    runnable = sorted(it for it in commands if not any(part in it for part in (*NEWER, *NOT_EMULATED)))
    for command in runnable:
        # The tool ends with 1 where it finds something.
        shell.run(command, stdin=app, fails=(0, 1) if command.startswith("hubspotctl") else (0,))
    return len(runnable)


def names_of(stack: Deployment, shell: Shell) -> dict:
    shown = json.loads(shell.run("hubspotctl --stack stack.json integrations show acc_1 --json").splitlines()[0])
    outputs = stack.outputs
    first = lambda command: shell.run(f"aws {command} --output text").strip()  # noqa: E731
    stream = first(f"dynamodb describe-table --table-name {outputs['IntegrationsTableName']} --query Table.LatestStreamArn")
    shard = f"dynamodbstreams describe-stream --stream-arn {stream} --query StreamDescription.Shards[0]"
    return {
        "STACK": stack.name,
        "FUNCTION": outputs["TokenRefreshFunctionName"],
        "QUEUE": outputs["RefreshFailuresUrl"],
        "STREAM": stream,
        "SHARD": first(f"{shard}.ShardId"),
        "SEQUENCE": first(f"{shard}.SequenceNumberRange.StartingSequenceNumber"),
        "KEY": outputs["KeyArn"],
        "BUS": "default",
        "ACCOUNT": "acc_1",
        "ID": shown["integration_id"],
        "SECRET": shown["secret_id"],
        "VERSION": "1",
        "SCHEDULE": first("scheduler list-schedules --query 'Schedules[0].Name'"),
        "PIPE": first("pipes list-pipes --query 'Pipes[0].Name'"),
        "API": first("apigatewayv2 get-apis --query 'Items[0].ApiId'"),
    }
