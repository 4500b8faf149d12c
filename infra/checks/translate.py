"""Prints the CloudFormation template that SAM makes of a SAM template.

cfn-lint does not expand SAM resources: a wrong runtime or a reference to nothing shows only in what they become.
"""

import json
import sys
from pathlib import Path

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator


def translate(template: dict) -> dict:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The translator takes built code only; where it lies does not matter here.
            resource["Properties"]["CodeUri"] = "s3://bucket/code.zip"
    session = boto3.Session(region_name="eu-central-1")
    return Translator({}, Parser(), boto_session=session).translate(template, {})


if __name__ == "__main__":
    source = yaml_parse(Path(sys.argv[1]).read_text(encoding="utf-8"))
    json.dump(translate(source), sys.stdout, indent=2)
