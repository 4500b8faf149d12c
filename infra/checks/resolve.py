"""Resolves a translated template as CloudFormation would: conditions, references and intrinsic functions.

Everything that CloudFormation would refuse is an error here: a reference to a resource that these parameters do not
create, an attribute that its type does not have, a function that is unknown.
"""

import re

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

REGION = "eu-central-1"
ACCOUNT = "123456789012"
STACK = "stack"

PSEUDO_PARAMETERS = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": STACK,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/id",
}

# What the ARN of a resource looks like, where a policy needs it. NAME is the physical name.
ARNS = {
    "AWS::DynamoDB::Table": "dynamodb:{here}:table/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::KMS::Key": "kms:{here}:key/{name}",
    "AWS::Lambda::Function": "lambda:{here}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{here}:log-group:{name}:*",
    "AWS::SecretsManager::Secret": "secretsmanager:{here}:secret:{name}-AbCdEf",
    "AWS::SNS::Topic": "sns:{here}:{name}",
    "AWS::SQS::Queue": "sqs:{here}:{name}",
}
# Types whose `Ref` is the ARN.
REF_IS_ARN = {"AWS::SecretsManager::Secret", "AWS::SNS::Topic"}
NO_VALUE = object()
# The id of every key.
KEY_ID = "01234567-89ab-cdef-0123-456789abcdef"


class Unresolved(Exception):
    """CloudFormation would refuse this; the text says why."""


class Resolver:
    """A translated template with the values of its parameters."""

    def __init__(self, template: dict, parameters: dict):
        self.template = template
        self.parameters = {}
        for name, declared in template["Parameters"].items():
            value = str(parameters.get(name, declared.get("Default", NO_VALUE)))
            if name not in parameters and "Default" not in declared:
                raise Unresolved(f"the parameter {name} has no value")
            self.parameters[name] = value.split(",") if "List" in declared["Type"] else value
        self.resources = {
            name: resource
            for name, resource in template["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def created(self) -> dict:
        """The resources that are created, everything in them resolved."""
        for name, resource in self.resources.items():
            for other in as_list(resource.get("DependsOn", [])):
                if other not in self.resources:
                    raise Unresolved(f"{name} depends on {other}, which is not created")
        return {name: {**resource, "Properties": self.resolve(resource.get("Properties", {}), name)}
                for name, resource in self.resources.items()}  # fmt: skip

    def violations(self) -> list:
        """What the template's rules say against these parameters."""
        found = []
        for rule in self.template.get("Rules", {}).values():
            if "RuleCondition" not in rule or self.holds(rule["RuleCondition"]):
                found += [it["AssertDescription"] for it in rule["Assertions"] if not self.holds(it["Assert"])]
        return found

    def outputs(self) -> dict:
        created = {
            name: output
            for name, output in self.template.get("Outputs", {}).items()
            if "Condition" not in output or self.condition(output["Condition"])
        }
        return {name: self.resolve(output["Value"], f"output {name}") for name, output in created.items()}

    def condition(self, name: str) -> bool:
        if name not in self.template["Conditions"]:
            raise Unresolved(f"there is no condition {name}")
        return self.holds(self.template["Conditions"][name])

    def holds(self, rule: dict) -> bool:
        ((function, argument),) = rule.items()
        match function:
            case "Condition":
                return self.condition(argument)
            case "Fn::Equals":
                left, right = (self.resolve(side, "a condition") for side in argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.holds(argument[0])
            case "Fn::And":
                return all(self.holds(part) for part in argument)
            case "Fn::Or":
                return any(self.holds(part) for part in argument)
            case "Fn::Contains":
                texts, text = (self.resolve(part, "a rule") for part in argument)
                return text in texts
        raise Unresolved(f"{function} is not a condition")

    def resolve(self, value, where: str):
        if isinstance(value, list):
            items = [self.resolve(item, where) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return self.reference(argument, where)
            if function.startswith("Fn::"):
                return self.call(function, argument, where)
        members = {name: self.resolve(member, where) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not NO_VALUE}

    def call(self, function: str, argument, where: str):
        match function:
            case "Fn::GetAtt":
                name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                return self.attribute(name, attribute, where)
            case "Fn::If":
                condition, yes, no = argument
                return self.resolve(yes if self.condition(condition) else no, where)
            case "Fn::Join":
                separator, items = argument
                return separator.join(str(item) for item in self.resolve(items, where))
            case "Fn::Split":
                separator, text = argument
                return self.resolve(text, where).split(separator)
            case "Fn::Select":
                index, items = argument
                return self.resolve(items, where)[int(index)]
            case "Fn::Sub":
                return self.substitute(argument, where)
        raise Unresolved(f"{where}: {function} is not known")

    def substitute(self, argument, where: str) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument

        def variable(found: re.Match) -> str:
            name = found[1]
            if name in own:
                value = self.resolve(own[name], where)
            elif "." in name:
                value = self.attribute(*name.split(".", 1), where)
            else:
                value = self.reference(name, where)
            if not isinstance(value, str):
                raise Unresolved(f"{where}: ${{{name}}} is not a text")
            return value

        return re.sub(r"\$\{([^!}][^}]*)\}", variable, text)

    def reference(self, name: str, where: str):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        kind = self.resource(name, where)["Type"]
        if kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
            properties = self.resources[name]["Properties"]
            function = self.resolve(properties["FunctionName"], where)
            return f"{self.arn_of(function, 'AWS::Lambda::Function')}:{properties.get('Name', '1')}"
        return self.arn(name) if kind in REF_IS_ARN else self.physical_name(name)

    def attribute(self, name: str, attribute: str, where: str) -> str:
        kind = self.resource(name, where)["Type"]
        known = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).get_atts
        if not any(re.fullmatch(known_one, attribute) for known_one in known):
            raise Unresolved(f"{where}: {kind} has no attribute {attribute}")
        if attribute in ("Arn", "TopicArn") and kind in ARNS:
            return self.arn(name)
        if attribute == "StreamArn":
            return f"{self.arn(name)}/stream/label"
        if kind == "AWS::Lambda::Version" and attribute == "Version":
            return "1"
        if attribute == "ApiEndpoint":
            return f"https://{name.lower()}.execute-api.{REGION}.amazonaws.com"
        return f"{self.physical_name(name)}.{attribute}"

    def resource(self, name: str, where: str) -> dict:
        if name not in self.resources:
            missing = "is not created" if name in self.template["Resources"] else "does not exist"
            raise Unresolved(f"{where}: {name} {missing}")
        return self.resources[name]

    def physical_name(self, name: str) -> str:
        if self.resources[name]["Type"] == "AWS::KMS::Key":
            return KEY_ID
        properties = self.resources[name].get("Properties", {})
        for given in ("Name", "LogGroupName", "AlarmName", "RoleName", "QueueName", "TopicName", "FunctionName"):
            if given in properties and self.resources[name]["Type"] in ARNS:
                return self.resolve(properties[given], name)
        return f"{STACK}-{name}"

    def arn(self, name: str) -> str:
        return self.arn_of(self.physical_name(name), self.resources[name]["Type"])

    @staticmethod
    def arn_of(name: str, kind: str) -> str:
        return "arn:aws:" + ARNS[kind].format(here=f"{REGION}:{ACCOUNT}", account=ACCOUNT, name=name)


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]
