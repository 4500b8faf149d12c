"""Alarms and runbooks: what the template must say about the first, and that the commands of the second exist."""

import json
import re
import shlex
import subprocess
import unittest

import botocore.session
from botocore import xform_name

from template_test import RESOURCES, ROOT, TEMPLATE, listed, of_type, references

TEXT = (ROOT / "infra" / "template.yaml").read_text(encoding="utf-8")
RUNBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "infra" / "runbooks").glob("*.md")}
METRIC_ALARMS = of_type("AWS::CloudWatch::Alarm")
ALARMS = {**METRIC_ALARMS, **of_type("AWS::CloudWatch::CompositeAlarm")}

# What the AWS CLI adds to the services' own operations, with the options used here.
ADDED = {("logs", "tail"): {"since", "filter-pattern"}, ("dynamodb", "wait"): {"table-name"}}
# Services that have another name in the AWS CLI.
RENAMED = {"deploy": "codedeploy"}
# Options of every command.
GLOBAL = {"query", "output", "max-items", "cli-binary-format", "region"}


def commands() -> list:
    """The calls of the AWS CLI in the runbooks' shell blocks: runbook, service, operation, options."""
    found = []
    for name, text in RUNBOOKS.items():
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            # Commands within commands stand alone, and leave a word behind.
            block = block.replace("\\\n", " ")
            inner = re.findall(r'"\$\((.*?)\)"', block)
            for line in re.sub(r'"\$\(.*?\)"', "VALUE", block).splitlines() + inner:
                words = shlex.split(line)
                if words and words[0] == "aws":
                    options = {word.removeprefix("--") for word in words[3:] if word.startswith("--")}
                    found.append((name, words[1], words[2], options))
                elif words and words[0] not in ("date", "hubspotctl"):
                    found.append((name, words[0], "", set()))
    return found


def documented() -> list:
    """The calls of the AWS CLI on all other pages, in blocks and in backticks, like those of the runbooks."""
    found = []
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    for name in tracked:
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
        blocks += re.findall(r"`(aws [a-z0-9-]+ [^`\n]+)`", re.sub(r"(?s)```.*?```", "", text))
        if name.startswith("infra/runbooks/"):
            blocks = blocks[text.count("```") // 2 :]
        for block in blocks:
            pending = ""
            for line in block.splitlines():
                pending += re.sub(r"<[^<>]+>", "VALUE", line.removesuffix("\\")) + "\n"
                lexer = shlex.shlex(pending, posix=True, punctuation_chars="()<>|&;")
                lexer.whitespace_split = True
                try:
                    words = list(lexer)
                except ValueError:
                    continue
                if line.endswith("\\"):
                    continue
                pending = ""
                while "aws" in words:
                    words = words[words.index("aws") :]
                    end = next((at for at, word in enumerate(words) if word[0] in "()<>|&;"), len(words))
                    options = {word.removeprefix("--") for word in words[3:end] if word.startswith("--")}
                    found.append((name, words[1], words[2], options))
                    words = words[end:]
    return found


def tool_commands(text: str) -> list:
    """The commands of the operator's tool that a text names."""
    return re.findall(r"hubspotctl (?:--stack stack\.json )?([a-z][a-z-]*)", text)


class Commands(unittest.TestCase):
    def test_every_command_and_option_of_a_runbook_exists(self):
        session = botocore.session.get_session()
        self.assertGreater(len(commands()), 20)
        self.assertGreater(len(documented()), 16)
        for name, service, operation, options in commands() + documented():
            where = f"{name}: aws {service} {operation}"
            if (service, operation) in ADDED:
                self.assertLessEqual(options, ADDED[service, operation] | GLOBAL, where)
                continue
            service = RENAMED.get(service, service)
            self.assertIn(service, session.get_available_services(), where)
            model = session.get_service_model(service)
            operations = {xform_name(it, "-"): it for it in model.operation_names}
            self.assertIn(operation, operations, where)
            shape = model.operation_model(operations[operation]).input_shape
            known = {xform_name(member, "-") for member in shape.members} if shape else set()
            # Switches come as --name and --no-name.
            known |= {f"no-{option}" for option in known}
            self.assertLessEqual(options, known | GLOBAL, where)

    def test_every_output_and_parameter_that_a_runbook_names_is_there(self):
        for name, text in RUNBOOKS.items():
            for output in re.findall(r"output `(\w+)`|OutputKey=='(\w+)'", text):
                self.assertIn("".join(output), TEMPLATE["Outputs"], name)
            for parameter in re.findall(r"parameters? `(\w+)`", text):
                self.assertIn(parameter, TEMPLATE["Parameters"], name)
        deploy = (ROOT / "infra" / "DEPLOY.md").read_text(encoding="utf-8")
        used = re.findall(r"\$\(output (\w+)\)|`output (\w+)`|outputs? `(\w+)`", deploy)
        self.assertGreater(len(used), 10)
        for output in used:
            self.assertIn("".join(output), TEMPLATE["Outputs"], "infra/DEPLOY.md")

    def test_every_command_of_the_operator_s_tool_exists(self):
        source = (ROOT / "infra" / "ctl" / "src" / "cli.rs").read_text(encoding="utf-8")
        variants = re.search(r"enum Command \{(.*?)\n\}", source, re.DOTALL)[1]
        known = {re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower() for name in re.findall(r"(?m)^    ([A-Z]\w+)\(", variants)}
        for name, text in RUNBOOKS.items():
            self.assertTrue(tool_commands(text), name)
            self.assertLessEqual(set(tool_commands(text)), known, name)

    def test_every_runbook_begins_with_the_tool_and_ends_with_the_end(self):
        for name, text in RUNBOOKS.items():
            first_command = text.split("```sh\n")[1]
            self.assertTrue(first_command.startswith("hubspotctl --stack stack.json "), name)
            self.assertLess(text.index("**Urgency:** "), text.index("```sh"), name)
            self.assertIn("**Who acts:** ", text, name)
            self.assertTrue(text.strip().split("\n\n")[-1].startswith("**It is over when** "), name)

    def test_commands_about_a_function_name_its_alias(self):
        names = ["README.md", "infra/DEPLOY.md", "infra/ctl/src/cli.rs", *(f"infra/docs/{name}.md" for name in ("cutover", "operations"))]
        texts = RUNBOOKS | {name: (ROOT / name).read_text(encoding="utf-8") for name in names}
        found = 0
        for name, text in texts.items():
            for line in re.sub(r"\\+\n", " ", text).splitlines():
                if re.match(r"\s*aws lambda (invoke|get-function-configuration) ", line):
                    self.assertIn(" --qualifier live", line, name)
                    found += 1
        self.assertGreater(found, 5)

    def test_every_runbook_has_a_command(self):
        self.assertEqual({name for name, *_ in commands()}, set(RUNBOOKS))


class Alarms(unittest.TestCase):
    def test_each_alarm_has_a_rule_for_missing_data_and_a_threshold_with_reason(self):
        for name, alarm in METRIC_ALARMS.items():
            self.assertIn(alarm["Properties"]["TreatMissingData"], ("breaching", "notBreaching", "ignore"), name)
            block = re.search(rf"(?m)^  {name}:\n(?:    .*\n|\n)+", TEXT)[0]
            self.assertRegex(block, r"(?m)^      # \S", name)

    def test_an_alarm_notifies_the_topic_or_is_part_of_another(self):
        used = references([alarm["Properties"].get("AlarmRule", "") for alarm in ALARMS.values()])
        used |= references([alarm["Properties"].get("ActionsSuppressor", "") for alarm in ALARMS.values()])
        for name, alarm in ALARMS.items():
            if "AlarmActions" in alarm["Properties"]:
                self.assertEqual(alarm["Properties"]["AlarmActions"], [{"Ref": "AlarmTopic"}], name)
            else:
                self.assertIn(name, used)

    def test_names_are_those_of_the_stack_and_all_of_them_are_made_together(self):
        for name, alarm in ALARMS.items():
            self.assertTrue(alarm["Properties"]["AlarmName"]["Fn::Sub"].startswith("${AWS::StackName}-"), name)
            self.assertEqual(alarm["Condition"], "IsWatched", name)

    def test_the_dashboard_shows_every_alarm_that_tells(self):
        shown = re.findall(r":alarm:(\S+)\"", RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
        notifying = {a["Properties"]["AlarmName"]["Fn::Sub"] for a in ALARMS.values() if "AlarmActions" in a["Properties"]}

        self.assertEqual((set(shown), len(shown)), (notifying, len(notifying)))

    def test_every_queue_is_watched(self):
        parts = references(RESOURCES["DeadLetters"]["Properties"]["AlarmRule"])
        watched = references([RESOURCES[part]["Properties"]["Dimensions"] for part in parts])

        self.assertEqual(watched, set(of_type("AWS::SQS::Queue")))

    def test_the_computed_costs_know_how_many_alarms_there_are(self):
        assumed = json.loads((ROOT / "infra" / "costs" / "prices.json").read_text(encoding="utf-8"))["assumptions"]
        metrics = sum(
            sum("MetricStat" in query for query in alarm["Properties"].get("Metrics", [{"MetricStat": None}]))
            for alarm in METRIC_ALARMS.values()
        )

        self.assertEqual(assumed["alarm_metrics"]["value"], metrics)
        self.assertEqual(assumed["composite_alarms"]["value"], len(ALARMS) - len(METRIC_ALARMS))

    def test_every_pipe_is_watched(self):
        parts = references(RESOURCES["NotificationsFailing"]["Properties"]["AlarmRule"])
        watched = references([RESOURCES[part]["Properties"]["Dimensions"] for part in parts])

        self.assertEqual(watched, set(of_type("AWS::Pipes::Pipe")))

    def test_no_alarm_fills_gaps_or_decides_by_one_period_of_an_expression(self):
        # FILL makes a zero of data that are late, and nothing of a series that does not exist.
        for name, alarm in METRIC_ALARMS.items():
            properties = alarm["Properties"]
            self.assertNotIn("FILL", str(properties.get("Metrics", "")), name)
            self.assertLessEqual(len(properties.get("Metrics", [])), 10, name)
            if "Metrics" in properties:
                self.assertGreater(properties["EvaluationPeriods"], 1, name)

    def test_the_public_routes_alarm_counts_what_the_access_log_says(self):
        transformation = RESOURCES["PublicRoutesThrottledCount"]["Properties"]["MetricTransformations"][0]
        alarm = RESOURCES["PublicRoutesThrottled"]["Properties"]
        log = json.loads(RESOURCES["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]["Fn::Sub"])
        pattern = RESOURCES["PublicRoutesThrottledCount"]["Properties"]["FilterPattern"]
        public = [r["Properties"]["RouteKey"] for r in of_type("AWS::ApiGatewayV2::Route").values()
                  if r["Properties"]["AuthorizationType"] == "NONE"]  # fmt: skip

        self.assertEqual((transformation["MetricNamespace"], transformation["MetricName"]), (alarm["Namespace"], alarm["MetricName"]))
        self.assertEqual(transformation["Dimensions"], [{"Key": "stack", "Value": "$.stack"}])
        self.assertEqual(log["stack"], "${AWS::StackName}")
        self.assertLessEqual(set(re.findall(r"\$\.(\w+)", pattern)), set(log))
        (prefix,) = re.findall(r'\$\.route = "(.*)\*"', pattern)
        self.assertTrue(public and all(route.startswith(prefix) for route in public), public)

    def test_every_function_is_watched_for_throttling(self):
        parts = references(RESOURCES["ThrottledByAws"]["Properties"]["AlarmRule"])
        watched = references([RESOURCES[part]["Properties"]["Dimensions"] for part in parts])

        self.assertLessEqual(set(of_type("AWS::Serverless::Function")), watched)

    def test_the_topic_is_encrypted_and_cloudwatch_may_use_it_and_the_key(self):
        self.assertEqual(RESOURCES["AlarmTopic"]["Properties"]["KmsMasterKeyId"], {"Ref": "Key"})
        policy = RESOURCES["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        key = RESOURCES["Key"]["Properties"]["KeyPolicy"]["Statement"]
        allowed = {
            action
            for statement in policy + key
            if statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
            for action in listed(statement["Action"])
        }
        self.assertEqual(allowed, {"sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"})


if __name__ == "__main__":
    unittest.main()
