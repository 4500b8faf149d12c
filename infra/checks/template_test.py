"""What infra/template.yaml must say, beyond what the linters know."""

import json
import re
import tomllib
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse

from resolve import Resolver
from translate import translate

ROOT = Path(__file__).resolve().parents[2]


def read() -> dict:
    return yaml_parse((ROOT / "infra" / "template.yaml").read_text(encoding="utf-8"))


TEMPLATE = read()
RESOURCES = TEMPLATE["Resources"]
PARAMETERS = TEMPLATE["Parameters"]

# Values of the parameters that have no default.
EXAMPLE = {
    "JwtIssuer": "https://id.example.com",
    "JwtAudience": "dashboard",
    "DashboardOrigin": "https://app.example.com",
    "EnginePrincipalArns": "arn:aws:iam::123456789012:role/engine",
}

# Route: who may call it, and the binary that answers.
ROUTES = {
    "POST /v1/authorizations": ("JWT", "oauth-callback"),
    "GET /oauth/hubspot/callback": ("NONE", "oauth-callback"),
    "GET /oauth/hubspot/result/{outcome}": ("NONE", "oauth-callback"),
    "GET /v1/integrations": ("JWT", "oauth-callback"),
    "DELETE /v1/integrations/{integration_id}": ("JWT", "oauth-callback"),
    "POST /v1/automation-requests": ("AWS_IAM", "automation-execute"),
    "POST /v1/automation-checks": ("JWT", "automation-execute"),
}

ENVIRONMENTS = {
    "automation-execute": {
        "INTEGRATIONS_TABLE", "EXECUTIONS_TABLE", "SECRET_PREFIX", "SECRETS_KMS_KEY", "HUBSPOT_API_URL",
        "HUBSPOT_HUB_API_URL", "HUBSPOT_OAUTH_VERSION", "HUBSPOT_SCOPES", "HUBSPOT_OPTIONAL_SCOPES", "ACCOUNT_CLAIM", "ROLE_CLAIM", "ADMIN_ROLE", "ENGINE_ROLE_ARN",
        "IDLE_AFTER_HOURS", "IDLE_PROBE_HOURS", "TOKEN_TIMEOUT_SECONDS", "REFRESH_LEASE_SECONDS",
    },
    "oauth-callback": {
        "INTEGRATIONS_TABLE", "AUTHORIZATIONS_TABLE", "SECRET_PREFIX", "SECRETS_KMS_KEY", "PUBLIC_URL", "RETURN_URL", "INSTALL_URL",
        "HUBSPOT_SCOPES", "HUBSPOT_OPTIONAL_SCOPES", "HUBSPOT_API_URL", "HUBSPOT_HUB_API_URL", "HUBSPOT_AUTHORIZE_URL",
        "HUBSPOT_OAUTH_VERSION", "ACCOUNT_CLAIM", "ROLE_CLAIM", "ADMIN_ROLE", "IDLE_AFTER_HOURS", "IDLE_PROBE_HOURS",
        "TOKEN_TIMEOUT_SECONDS", "REFRESH_LEASE_SECONDS",
    },
    "token-refresh": {
        "INTEGRATIONS_TABLE", "SECRET_PREFIX", "SECRETS_KMS_KEY", "HUBSPOT_API_URL", "HUBSPOT_HUB_API_URL", "HUBSPOT_OAUTH_VERSION", "REFRESH_CONCURRENCY",
        "IDLE_AFTER_HOURS", "IDLE_PROBE_HOURS", "SUPERSEDED_KEEP_DAYS", "TOKEN_TIMEOUT_SECONDS",
        "REFRESH_LEASE_SECONDS",
    },
}  # fmt: skip

KEY_ARN = {"Fn::GetAtt": ["Key", "Arn"]}

# Service: what its callers need on the key. No emulator shows a lack of these.
KEY_ACTIONS = {
    "dynamodb": {
        "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:DescribeKey",
    },
    "secretsmanager": {"kms:Decrypt", "kms:GenerateDataKey"},
    "sqs": {"kms:Decrypt", "kms:GenerateDataKey"},
}  # fmt: skip


def of_type(kind: str) -> dict:
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def functions() -> dict:
    """The functions by the binary that is built for them."""
    found = of_type("AWS::Serverless::Function").values()
    return {function["Metadata"]["BuildProperties"]["Binary"]: function for function in found}


def function_behind(integration: dict) -> dict:
    """The function whose alias an integration calls: a version that is being deployed gets no call around it."""
    return RESOURCES[integration["Properties"]["IntegrationUri"]["Ref"].removesuffix(".Alias")]


def statements(role: dict) -> list:
    return [s for policy in role["Properties"]["Policies"] for s in policy["PolicyDocument"]["Statement"]]


def role_of(binary: str) -> dict:
    return RESOURCES[functions()[binary]["Properties"]["Role"]["Fn::GetAtt"][0]]


def actions_of(binary: str) -> set:
    return {action for statement in statements(role_of(binary)) for action in listed(statement["Action"])}


def references(value) -> set:
    """The names that a piece of the template refers to."""
    if isinstance(value, dict):
        found = {name for part in value.values() for name in references(part)}
        if isinstance(value.get("Ref"), str):
            found.add(value["Ref"])
        if "Fn::GetAtt" in value:
            found.add(value["Fn::GetAtt"][0])
        if "Fn::Sub" in value:
            text = value["Fn::Sub"]
            found.update(re.findall(r"\$\{([A-Za-z0-9]+)", text if isinstance(text, str) else text[0]))
        return found
    if isinstance(value, list):
        return {name for part in value for name in references(part)}
    return set()


class Routes(unittest.TestCase):
    def setUp(self):
        self.routes = {r["Properties"]["RouteKey"]: r["Properties"] for r in of_type("AWS::ApiGatewayV2::Route").values()}

    def binary_behind(self, route: dict) -> str:
        integration = RESOURCES[re.fullmatch(r"integrations/\$\{(\w+)\}", route["Target"]["Fn::Sub"])[1]]
        return function_behind(integration)["Metadata"]["BuildProperties"]["Binary"]

    def test_every_route_states_who_may_call_it_and_only_two_are_public(self):
        stated = {key: (route.get("AuthorizationType"), self.binary_behind(route)) for key, route in self.routes.items()}

        self.assertEqual(stated, ROUTES)

    def test_every_route_has_one_method_and_a_path(self):
        for key in self.routes:
            self.assertRegex(key, r"^(GET|POST|PUT|PATCH|DELETE) /[a-z0-9/{}_-]+$")

    def test_exactly_the_jwt_routes_have_the_authorizer(self):
        for key, route in self.routes.items():
            expected = {"Ref": "DashboardAuthorizer"} if route["AuthorizationType"] == "JWT" else None
            self.assertEqual(route.get("AuthorizerId"), expected, key)

    def test_integrations_use_payload_2_and_outlast_the_functions(self):
        integrations = of_type("AWS::ApiGatewayV2::Integration")
        self.assertEqual(len(integrations), 2)
        for name, integration in integrations.items():
            properties = integration["Properties"]
            function = function_behind(integration)["Properties"]
            self.assertEqual(properties["PayloadFormatVersion"], "2.0", name)
            self.assertGreater(properties["TimeoutInMillis"], function["Timeout"] * 1000, name)

    def test_settings_of_single_routes_wait_for_those_routes(self):
        stage = RESOURCES["ApiStage"]
        awaited = {RESOURCES[name]["Properties"]["RouteKey"] for name in listed(stage["DependsOn"])}

        self.assertEqual(stage["Properties"]["StageName"], "$default")
        self.assertLessEqual(set(stage["Properties"]["RouteSettings"]), awaited)
        public = {key for key, (authorization, _) in ROUTES.items() if authorization == "NONE"}
        self.assertEqual(set(stage["Properties"]["RouteSettings"]), public)

    def test_routes_are_created_one_after_the_other_and_the_stage_after_all(self):
        routes = of_type("AWS::ApiGatewayV2::Route")
        chain = ["CheckRoute"]
        while (before := routes[chain[-1]].get("DependsOn")) is not None:
            chain.append(before)

        self.assertEqual(set(chain), set(routes))
        self.assertIn(chain[0], RESOURCES["ApiStage"]["DependsOn"])

    def test_cors_allows_named_origins_and_headers_and_the_dashboard_s_methods(self):
        further = {"FurtherDashboardOrigins": "https://b.example.com,https://c.example.com", "FurtherCorsHeaders": "traceparent"}
        for given, origins, headers in (
            ({}, [], []),
            (further, ["https://b.example.com", "https://c.example.com"], ["traceparent"]),
        ):
            cors = Resolver(translate(read()), EXAMPLE | given).created()["Api"]["Properties"]["CorsConfiguration"]
            self.assertEqual(cors["AllowOrigins"], ["https://app.example.com", *origins])
            self.assertEqual(cors["AllowHeaders"], ["authorization", "content-type", *headers])
            self.assertTrue(cors["AllowCredentials"])
            self.assertEqual(set(cors["AllowMethods"]), {key.split()[0] for key, (auth, _) in ROUTES.items() if auth == "JWT"})
            self.assertEqual(cors["ExposeHeaders"], ["retry-after"])

    def test_the_access_log_is_json_and_names_no_path_and_no_query(self):
        text = RESOURCES["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]["Fn::Sub"]

        values = json.loads(text).values()

        self.assertIn("$context.requestId", values)
        for value in values:
            self.assertNotRegex(value, r"(?i)path|query|header|claim|body|^\$context\.authorizer\.(?!error$)")

    def test_the_engine_s_callers_can_be_named_within_an_account(self):
        account = {"EnginePrincipalArns": "arn:aws:iam::210987654321:root"}
        callers = {"EngineCallerArns": "arn:aws:iam::210987654321:role/engine-*"}
        for given, condition in (
            (account, None),
            (account | callers, {"ArnLike": {"aws:PrincipalArn": ["arn:aws:iam::210987654321:role/engine-*"]}}),
        ):
            role = Resolver(translate(read()), EXAMPLE | given).created()["EngineRole"]["Properties"]
            (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
            self.assertEqual(trust.get("Condition"), condition)

    def test_the_engine_may_call_its_own_route_only(self):
        (statement,) = statements(RESOURCES["EngineRole"])

        self.assertEqual(statement["Action"], "execute-api:Invoke")
        self.assertTrue(statement["Resource"]["Fn::Sub"].endswith(":${Api}/$default/POST/v1/automation-requests"))


class Functions(unittest.TestCase):
    def test_each_function_is_told_what_it_uses_and_nothing_else(self):
        given = {binary: set(f["Properties"]["Environment"]["Variables"]) for binary, f in functions().items()}

        self.assertEqual(given, ENVIRONMENTS)

    def test_each_function_is_built_from_a_crate_of_its_name(self):
        for binary, function in functions().items():
            manifest = tomllib.loads((ROOT / "functions" / binary / "Cargo.toml").read_text(encoding="utf-8"))
            self.assertEqual(manifest["package"]["name"], binary)
            self.assertEqual(function["Metadata"]["BuildMethod"], "rust-cargolambda")
            self.assertEqual(function["Properties"]["CodeUri"], "..")

    def test_each_function_logs_to_a_declared_group_that_its_role_may_write(self):
        for binary, function in functions().items():
            group = function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
            written = [s["Resource"] for s in statements(role_of(binary)) if "logs:PutLogEvents" in listed(s["Action"])]
            self.assertIn("RetentionInDays", RESOURCES[group]["Properties"])
            self.assertEqual(written, [{"Fn::GetAtt": [group, "Arn"]}])

    def test_each_function_is_called_by_an_alias_that_every_change_moves(self):
        for binary, function in functions().items():
            properties = function["Properties"]
            self.assertEqual(properties["AutoPublishAlias"], "live", binary)
            # Else a change of the environment alone would not reach the alias.
            self.assertIs(properties["AutoPublishAliasAllProperties"], True, binary)
            self.assertEqual(properties["AutoPublishCodeSha256"], {"Ref": "Release"}, binary)
            self.assertEqual(properties["DeploymentPreference"]["Enabled"], {"Ref": "Canary"}, binary)
        for name, permission in of_type("AWS::Lambda::Permission").items():
            self.assertRegex(permission["Properties"]["FunctionName"]["Ref"], r"\.Alias$", name)
        (invoked,) = [s for s in statements(RESOURCES["ScheduleRole"]) if s["Action"] == "lambda:InvokeFunction"]
        self.assertEqual(invoked["Resource"], {"Ref": "TokenRefreshFunction.Alias"})

    def test_only_executions_are_limited_and_only_on_request(self):
        limits = {binary: f["Properties"].get("ReservedConcurrentExecutions") for binary, f in functions().items()}
        reserved = {"Fn::If": ["ReservesConcurrency", {"Ref": "ExecuteReservedConcurrency"}, {"Ref": "AWS::NoValue"}]}

        self.assertEqual(limits, {"automation-execute": reserved, "oauth-callback": None, "token-refresh": None})
        self.assertEqual(PARAMETERS["ExecuteReservedConcurrency"]["Default"], 0)
        deploy = (ROOT / "infra" / "DEPLOY.md").read_text(encoding="utf-8")
        self.assertIn("ExecuteReservedConcurrency", deploy)

    def test_a_panic_is_reported_and_not_an_abort(self):
        manifest = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))

        self.assertEqual(manifest["profile"]["release"]["panic"], "unwind")

    def test_scopes_arrive_separated_by_blanks(self):
        for binary in ("automation-execute", "oauth-callback"):
            variables = functions()[binary]["Properties"]["Environment"]["Variables"]
            self.assertEqual(variables["HUBSPOT_SCOPES"], {"Fn::Join": [" ", {"Ref": "HubSpotScopes"}]})
            self.assertEqual(variables["HUBSPOT_OPTIONAL_SCOPES"], {"Fn::Join": [" ", {"Ref": "HubSpotOptionalScopes"}]})


class Schedule(unittest.TestCase):
    def setUp(self):
        (self.event,) = functions()["token-refresh"]["Properties"]["Events"].values()

    def test_it_runs_every_minute_without_a_fixed_name(self):
        properties = self.event["Properties"]

        self.assertEqual(self.event["Type"], "ScheduleV2")
        self.assertIs(properties["OmitName"], True)
        self.assertEqual(properties["ScheduleExpression"], "rate(1 minute)")
        self.assertEqual(properties["RetryPolicy"], {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60})

    def test_every_schedule_expression_is_one_that_scheduler_takes(self):
        schedules = [r for r in translate(read())["Resources"].values() if r["Type"] == "AWS::Scheduler::Schedule"]
        self.assertTrue(schedules)
        for schedule in schedules:
            self.assertRegex(
                schedule["Properties"]["ScheduleExpression"],
                r"^(rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)|cron\(\S+( \S+){5}\))$",
            )

    def test_what_fails_is_kept_in_a_queue_that_its_sender_may_write(self):
        undelivered = self.event["Properties"]["DeadLetterConfig"]["Arn"]
        failed = functions()["token-refresh"]["Properties"]["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
        schedule_role = RESOURCES[self.event["Properties"]["RoleArn"]["Fn::GetAtt"][0]]

        for role, queue in ((schedule_role, undelivered), (role_of("token-refresh"), failed["Destination"])):
            sent = [s["Resource"] for s in statements(role) if "sqs:SendMessage" in listed(s["Action"])]
            self.assertEqual(sent, [queue])
        self.assertNotEqual(undelivered, failed["Destination"])

    def test_the_run_stops_itself_before_it_is_stopped(self):
        self.assertGreaterEqual(functions()["token-refresh"]["Properties"]["Timeout"], 45 + 10)


class Roles(unittest.TestCase):
    def test_no_role_may_do_everything_or_to_everything(self):
        for name, role in of_type("AWS::IAM::Role").items():
            for statement in statements(role):
                for action in listed(statement["Action"]):
                    self.assertNotIn("*", action, name)
                for resource in listed(statement["Resource"]):
                    text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
                    if listed(statement["Action"]) == ["dynamodb:ListStreams"]:
                        # It takes no resource.
                        self.assertEqual(name, "NotificationsRole")
                    elif "*" in text:
                        # The secrets of integrations are made at run time: only the pattern of their names is known.
                        self.assertTrue(text.endswith(":secret:${AWS::StackName}/integrations/*"), f"{name}: {text}")

    def test_every_role_takes_the_boundary_and_no_managed_policy(self):
        for name, role in of_type("AWS::IAM::Role").items():
            self.assertIn("PermissionsBoundary", role["Properties"], name)
            self.assertNotIn("ManagedPolicyArns", role["Properties"], name)

    def test_every_role_may_use_the_key_for_what_it_touches_and_for_nothing_else(self):
        for name, role in of_type("AWS::IAM::Role").items():
            touched = {a.split(":")[0] for s in statements(role) for a in listed(s["Action"])} & set(KEY_ACTIONS)
            expected = {service: KEY_ACTIONS[service] for service in touched}
            if name == "NotificationsRole":
                # It reads the table's stream and nothing else of it.
                expected["dynamodb"] = {"kms:Decrypt", "kms:DescribeKey"}
            granted = {}
            for statement in statements(role):
                if not any(action.startswith("kms:") for action in listed(statement["Action"])):
                    continue
                via = statement["Condition"]["StringEquals"]["kms:ViaService"]["Fn::Sub"]
                service, rest = via.split(".", 1)
                self.assertEqual(rest, "${AWS::Region}.${AWS::URLSuffix}", name)
                self.assertEqual(statement["Resource"], KEY_ARN, name)
                granted[service] = set(statement["Action"])
            self.assertEqual(granted, expected, name)

    def test_only_who_connects_makes_secrets_and_it_reads_none(self):
        self.assertIn("secretsmanager:CreateSecret", actions_of("oauth-callback"))
        for binary in ("automation-execute", "token-refresh"):
            self.assertNotIn("secretsmanager:CreateSecret", actions_of(binary))
        readable = [
            statement["Resource"]
            for statement in statements(role_of("oauth-callback"))
            if "secretsmanager:GetSecretValue" in listed(statement["Action"])
        ]
        self.assertEqual(readable, [{"Ref": "AppSecret"}])

    def test_no_function_lists_secrets(self):
        for binary in functions():
            self.assertNotIn("secretsmanager:ListSecrets", actions_of(binary), binary)

    def test_executing_deletes_idempotency_keys_and_nothing_else(self):
        executions = {"Fn::GetAtt": ["ExecutionsTable", "Arn"]}
        deleting = [
            (action, statement["Resource"])
            for statement in statements(role_of("automation-execute"))
            for action in listed(statement["Action"])
            if "Delete" in action
        ]
        self.assertEqual(deleting, [("dynamodb:DeleteItem", executions)])
        on_keys = [
            set(listed(statement["Action"]))
            for statement in statements(role_of("automation-execute"))
            if statement["Resource"] == executions
        ]
        self.assertEqual(on_keys, [{"dynamodb:PutItem", "dynamodb:DeleteItem"}])


class State(unittest.TestCase):
    def test_what_cannot_be_made_again_outlives_the_stack(self):
        # A first deployment that fails leaves no key behind; the table is protected all the same.
        for name, policy in (("IntegrationsTable", "Retain"), ("Key", "RetainExceptOnCreate")):
            resource = RESOURCES[name]
            self.assertEqual((resource["DeletionPolicy"], resource["UpdateReplacePolicy"]), (policy, "Retain"), name)
        properties = RESOURCES["IntegrationsTable"]["Properties"]
        self.assertIs(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], True)
        self.assertIs(properties["DeletionProtectionEnabled"], True)

    def test_short_lived_data_is_in_no_backup_and_goes_with_the_stack(self):
        for name in ("AuthorizationsTable", "ExecutionsTable"):
            table = RESOURCES[name]
            self.assertEqual((table["DeletionPolicy"], table["UpdateReplacePolicy"]), ("Delete", "Delete"), name)
            self.assertNotIn("PointInTimeRecoverySpecification", table["Properties"], name)
            self.assertNotIn("DeletionProtectionEnabled", table["Properties"], name)
            self.assertEqual(table["Properties"]["TimeToLiveSpecification"]["Enabled"], True, name)

    def test_tables_are_encrypted_and_unnamed(self):
        tables = of_type("AWS::DynamoDB::Table")
        self.assertEqual(len(tables), 3)
        for name, table in tables.items():
            self.assertNotIn("TableName", table["Properties"], name)
            self.assertEqual(table["Properties"]["SSESpecification"]["KMSMasterKeyId"], KEY_ARN, name)

    def test_tables_have_the_keys_that_the_code_uses(self):
        def keys(schema):
            return [key["AttributeName"] for key in schema]

        tables = {name: RESOURCES[name]["Properties"] for name in of_type("AWS::DynamoDB::Table")}
        (index,) = tables["IntegrationsTable"]["GlobalSecondaryIndexes"]

        self.assertEqual(keys(tables["IntegrationsTable"]["KeySchema"]), ["account_id", "sequence"])
        self.assertEqual((index["IndexName"], keys(index["KeySchema"])), ("refresh-due", ["refresh_shard", "refresh_at"]))
        self.assertEqual(index["Projection"], {"ProjectionType": "KEYS_ONLY"})
        self.assertEqual(keys(tables["AuthorizationsTable"]["KeySchema"]), ["state_hash"])
        self.assertEqual(keys(tables["ExecutionsTable"]["KeySchema"]), ["account_id", "key_hash"])
        for name in ("AuthorizationsTable", "ExecutionsTable"):
            self.assertEqual(tables[name]["TimeToLiveSpecification"], {"AttributeName": "expires_at", "Enabled": True})

    def test_secrets_queues_and_logs_use_the_key(self):
        for name, secret in of_type("AWS::SecretsManager::Secret").items():
            self.assertEqual(secret["Properties"]["KmsKeyId"], KEY_ARN, name)
        for name, queue in of_type("AWS::SQS::Queue").items():
            self.assertEqual(queue["Properties"]["KmsMasterKeyId"], {"Ref": "Key"}, name)
        for name, group in of_type("AWS::Logs::LogGroup").items():
            self.assertEqual(group["Properties"]["KmsKeyId"], KEY_ARN, name)

    def test_the_key_lets_every_log_group_in_and_waits_for_no_resource(self):
        policy = RESOURCES["Key"]["Properties"]["KeyPolicy"]
        logs = policy["Statement"][1]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
        prefixes = [arn["Fn::Sub"].split(":log-group:")[1].removesuffix("*") for arn in logs]

        self.assertFalse(references(policy) & set(RESOURCES))
        for name, group in of_type("AWS::Logs::LogGroup").items():
            self.assertTrue(group["Properties"]["LogGroupName"]["Fn::Sub"].startswith(tuple(prefixes)), name)

    def test_the_app_secret_has_no_value_in_the_template(self):
        self.assertFalse({"SecretString", "GenerateSecretString"} & set(RESOURCES["AppSecret"]["Properties"]))


class Partitions(unittest.TestCase):
    def test_regional_names_end_as_those_of_the_partition(self):
        text = (ROOT / "infra" / "template.yaml").read_text(encoding="utf-8")

        self.assertNotIn("${AWS::Region}.amazonaws.com", text)
        self.assertNotRegex(re.sub(r"arn:aws\[a-z-\]\*:|arn:aws:iam::ID|execute-api", "", text), r"(?m)^(?!.*(Pattern|Description|may|must)).*arn:aws:")


class Parameters(unittest.TestCase):
    def test_each_is_described_bounded_and_in_one_group(self):
        groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

        self.assertEqual(sorted(name for group in groups for name in group["Parameters"]), sorted(PARAMETERS))
        for name, parameter in PARAMETERS.items():
            self.assertTrue(parameter.get("Description"), name)
            self.assertTrue({"AllowedPattern", "AllowedValues", "MaxValue"} & set(parameter), name)

    def test_who_may_call_has_no_default(self):
        for name in ("JwtIssuer", "JwtAudience", "DashboardOrigin", "EnginePrincipalArns"):
            self.assertNotIn("Default", PARAMETERS[name])

    def test_defaults_are_valid(self):
        for name, parameter in PARAMETERS.items():
            if "AllowedPattern" in parameter and "Default" in parameter:
                for value in listed(self.members(parameter)):
                    self.assertRegex(value, re.compile(parameter["AllowedPattern"], re.ASCII), name)

    @staticmethod
    def members(parameter: dict):
        text = str(parameter["Default"])
        return text.split(",") if parameter["Type"] == "CommaDelimitedList" else text

    def test_patterns_take_what_they_should_and_refuse_the_rest(self):
        for name, good, bad in (
            (
                "DashboardOrigin",
                ["https://app.example.com", "https://app.example.com:8443"],
                ["https://app.example.com/", "http://app.example.com", "https://*.example.com", "*", ""],
            ),
            (
                "JwtIssuer",
                ["https://id.example.com", "https://id.example.com/tenant/", "http://127.0.0.1:4566/pool"],
                ["http://id.example.com", "https://id.example.com?x=1", "http://127.0.0.1.example.com", ""],
            ),
            (
                "EnginePrincipalArns",
                ["arn:aws:iam::123456789012:role/path/engine", "arn:aws:iam::123456789012:root"],
                ["*", "arn:aws:iam::*:root", "arn:aws:iam::123456789012:role/*", "123456789012"],
            ),
            (
                "FurtherDashboardOrigins",
                ["", "https://app.example.com"],
                ["https://*.example.com", "*", "http://app.example.com", "https://app.example.com/"],
            ),
            ("FurtherCorsHeaders", ["", "traceparent", "X-Request-Id"], ["*", "x_y", "a b"]),
            ("HubSpotHubApiUrl", ["https://api-{hub}.hubapi.com", "http://127.0.0.1:80"], ["http://api-{hub}.hubapi.com"]),
            ("InstallUrl", ["", "https://app.example.com/hubspot"], ["http://app.example.com", "https://a.example.com?b=c"]),
            ("HubSpotApiUrl", ["https://api.hubapi.com"], ["https://api.hubapi.com/", "http://api.hubapi.com", ""]),
            ("ReturnUrl", ["", "https://app.example.com/settings"], ["https://app.example.com/?a=b", "javascript:alert(1)"]),
            ("DomainName", ["", "api.example.com"], ["https://api.example.com", "API.example.com", "localhost"]),
        ):
            pattern = re.compile(PARAMETERS[name]["AllowedPattern"])
            for value in good:
                self.assertRegex(value, pattern, name)
            for value in bad:
                self.assertNotRegex(value, pattern, name)


class SamConfig(unittest.TestCase):
    """Settings that are known to ship the wrong thing without a word."""

    def setUp(self):
        config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
        self.environments = {name: value for name, value in config.items() if name != "version"}

    def parameters(self, environment: str, command: str) -> dict:
        return self.environments[environment].get(command, {}).get("parameters", {})

    def test_only_build_and_validate_name_the_source_template(self):
        for environment, commands in self.environments.items():
            naming = {command for command in commands if "template_file" in self.parameters(environment, command)}
            self.assertEqual(naming, {"build", "validate"}, environment)

    def test_no_build_is_cached_or_parallel(self):
        for environment, commands in self.environments.items():
            for command in commands:
                self.assertFalse({"cached", "parallel"} & set(self.parameters(environment, command)), environment)

    def test_build_and_deploy_agree_on_the_architecture(self):
        for environment in self.environments:
            chosen = [
                [entry for entry in self.parameters(environment, command)["parameter_overrides"] if "Architecture=" in entry]
                for command in ("build", "deploy")
            ]
            self.assertEqual(chosen[0], chosen[1], environment)

    def test_every_override_is_a_parameter_without_a_blank(self):
        for environment in self.environments:
            for command in ("build", "deploy"):
                for entry in self.parameters(environment, command)["parameter_overrides"]:
                    name, value = entry.split("=", 1)
                    self.assertIn(name, PARAMETERS)
                    self.assertNotIn(" ", value)

    def test_each_environment_is_whole_and_has_a_stack_of_its_own(self):
        stacks = {self.parameters(environment, "global")["stack_name"] for environment in self.environments}

        self.assertEqual(len(stacks), len(self.environments))
        for environment in self.environments:
            self.assertEqual(self.parameters(environment, "deploy")["capabilities"], "CAPABILITY_IAM")


if __name__ == "__main__":
    unittest.main()
