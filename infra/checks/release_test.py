"""A changed parameter reaches the functions that are called: each release publishes new versions."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

from samcli.cli.types import CfnParameterOverridesType

from resolve import Resolver, Unresolved
from template_test import EXAMPLE, ROOT, TEMPLATE, read
from translate import translate


def load_deploy():
    loader = importlib.machinery.SourceFileLoader("deploy", str(ROOT / "infra" / "deploy"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("deploy", loader))
    loader.exec_module(module)
    return module


DEPLOY = load_deploy()
CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))


def versions(parameters: list) -> set:
    """The ids of the versions that a deployment with these parameters publishes, Release computed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bootstrap").write_bytes(b"binary")
        given = dict(one.split("=", 1) for one in [*parameters, f"Release={DEPLOY.release(Path(folder), parameters)}"])
    translated = translate(read(), given)
    return {name for name, resource in translated["Resources"].items() if resource["Type"] == "AWS::Lambda::Version"}


def of_samconfig(overrides: str | list) -> dict:
    return {"default": {"deploy": {"parameters": {"parameter_overrides": overrides}}}}


class Script(unittest.TestCase):
    def run_with_fake_sam(self, *arguments: str) -> subprocess.CompletedProcess:
        with tempfile.TemporaryDirectory() as folder:
            fake = Path(folder, "sam")
            fake.write_text('#!/bin/sh\necho sam "$@"\n', encoding="utf-8")
            fake.chmod(0o755)
            environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
            command = [sys.executable, str(ROOT / "infra" / "deploy"), *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True)

    def test_it_builds_and_deploys_with_the_release(self):
        done = self.run_with_fake_sam("staging", "--no-confirm-changeset")

        build, deploy = done.stdout.splitlines()
        self.assertEqual(build, "sam build --config-env staging")
        self.assertRegex(
            deploy,
            r"^sam deploy --config-env staging --no-confirm-changeset "
            r'--parameter-overrides Architecture="arm64" Environment="staging" Release="[0-9a-f]{10}"$',
        )

    def test_parameters_are_set_in_one_place(self):
        for option in (["--parameter-overrides", "Canary=true"], ["--parameter-overrides=Canary=true"]):
            done = self.run_with_fake_sam("staging", *option)

            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("set parameters in samconfig.toml", done.stderr)

    def test_an_unknown_environment_is_refused(self):
        done = self.run_with_fake_sam("nope")

        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("only default, prod, staging", done.stderr)


class Versions(unittest.TestCase):
    def test_every_changed_parameter_publishes_new_versions(self):
        before = [f"{name}={value}" for name, value in EXAMPLE.items()]
        published = versions(before)
        self.assertEqual(len(published), 3)
        self.assertEqual(versions(list(reversed(before))), published)
        for change in (
            "DomainName=api.example.com", "ReturnUrl=https://app.example.com/x", "HubSpotScopes=oauth", "AdminRole=owner",
            "RefreshConcurrency=16", "IdleAfterHours=12", "TokenTimeoutSeconds=5", "LogRetentionDays=30", "Architecture=x86_64",
        ):  # fmt: skip
            self.assertFalse(versions([*before, change]) & published, change)

    def test_changed_code_changes_the_release(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = Path(folder, "bootstrap")
            binary.write_bytes(b"one")
            first = DEPLOY.release(Path(folder), [])
            self.assertEqual(DEPLOY.release(Path(folder), []), first)
            binary.write_bytes(b"two")
            self.assertNotEqual(DEPLOY.release(Path(folder), []), first)
        self.assertRegex(first, TEMPLATE["Parameters"]["Release"]["AllowedPattern"])

    def test_overrides_are_those_of_samconfig(self):
        for environment in set(CONFIG) - {"version"}:
            given = CONFIG[environment]["deploy"]["parameters"]["parameter_overrides"]
            self.assertEqual(DEPLOY.overrides_of(CONFIG, environment), given)
        with self.assertRaises(SystemExit):
            DEPLOY.overrides_of(of_samconfig(["A=x y"]), "default")
        with self.assertRaises(SystemExit):
            DEPLOY.overrides_of(CONFIG, "nope")

    def test_numbers_are_whole(self):
        text = (ROOT / "infra/template.yaml").read_text(encoding="utf-8")
        numbers = [name for name, parameter in TEMPLATE["Parameters"].items() if parameter["Type"] == "Number"]
        self.assertGreaterEqual(len(numbers), 9)
        for name in numbers:
            DEPLOY.check_numbers([f"{name}=20", "AdminRole=1.5"], text)
            for value in ("1.5", "011", "1e1", " 1", "-1", ""):
                with self.assertRaises(SystemExit, msg=name):
                    DEPLOY.check_numbers([f"{name}={value}"], text)

    def test_sam_reads_each_value_whole(self):
        expected = {"A": "x y", "B": "", "C": "a=b,c", "D": 'the "x"'}
        guided = r'''A="x y" B="" C="a=b,c" D="the \"x\"" Release="0123456789"'''
        for given in (guided, ["A='x y'", "B=", "C=a=b,c", r'D="the \"x\""', "Release=0123456789"]):
            overrides = DEPLOY.overrides_of(of_samconfig(given), "default")

            read = CfnParameterOverridesType().convert([DEPLOY.quoted(one) for one in overrides], None, None)
            self.assertEqual(read, expected)

    def test_only_a_test_may_leave_the_release_out(self):
        translated = translate(read())
        for given, refused in (
            ({"Environment": "production"}, True),
            ({"Environment": "staging"}, True),
            ({"Environment": "test"}, False),
            ({"Environment": "production", "Release": "0123456789"}, False),
        ):
            violations = "".join(Resolver(translated, EXAMPLE | given).violations())
            self.assertEqual("Deploy with infra/deploy" in violations, refused, given)


if __name__ == "__main__":
    unittest.main()
