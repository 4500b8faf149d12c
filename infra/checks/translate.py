"""Prints the CloudFormation template that SAM makes of a SAM template, given some parameters as NAME=VALUE.

cfn-lint does not expand SAM resources: a wrong runtime or a reference to nothing shows only in what they become.
"""

import json
import sys
from pathlib import Path

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator


def translate(template: dict, parameters: dict | None = None) -> dict:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The translator takes built code only; where it lies does not matter here.
            resource["Properties"]["CodeUri"] = "s3://bucket/code.zip"
    session = boto3.Session(region_name="eu-central-1")
    translated = Translator({}, Parser(), boto_session=session).translate(template, parameters or {})
    # SAM resolves some parameters itself (Canary), so nothing refers to them any more. That each is used is checked
    # in the source.
    translated["Metadata"]["cfn-lint"] = {"config": {"ignore_checks": ["W2001"]}}
    return translated


if __name__ == "__main__":
    source = yaml_parse(Path(sys.argv[1]).read_text(encoding="utf-8"))
    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    json.dump(translate(source, given), sys.stdout, indent=2)
