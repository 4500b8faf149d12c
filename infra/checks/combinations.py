"""Every combination of the template's conditions, resolved as CloudFormation would.

Run as a program it prints one template that holds each resource in each form that it takes in any combination, all
references resolved, so that cfn-lint checks real values with CloudFormation's resource schemas.
"""

import itertools
import json
import sys

from resolve import Resolver
from template_test import EXAMPLE, read
from translate import translate

# Parameters that switch the conditions. All others are in EXAMPLE or have a default.
SWITCHES = [
    [{"Canary": "false"}, {"Canary": "true"}],
    [{"Environment": "test"}, {"Environment": "staging", "Release": "0123456789"}],
    [{}, {"DomainName": "api.example.com", "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/a-b"}],
    [{}, {"HostedZoneId": "Z0123456789"}],
    [{}, {"PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"}],
    [{}, {"AlarmEmail": "ops@example.com"}],
    [{}, {"ExecuteReservedConcurrency": "100"}],
    [{}, {"FurtherDashboardOrigins": "https://b.example.com"}],
    [{}, {"FurtherCorsHeaders": "traceparent"}],
    [{}, {"EngineCallerArns": "arn:aws:iam::123456789012:role/engine-*"}],
]


def combinations() -> list:
    """The parameters of all combinations that the template's rules accept, each with its translated template."""
    translated = {canary: translate(read(), {"Canary": canary}) for canary in ("false", "true")}
    found = []
    for chosen in itertools.product(*SWITCHES):
        parameters = EXAMPLE | {name: value for switch in chosen for name, value in switch.items()}
        template = translated[parameters["Canary"]]
        if not Resolver(template, parameters).violations():
            found.append((parameters, template))
    return found


def variants() -> dict:
    """Each resource in each form that it takes."""
    found = {}
    for parameters, template in combinations():
        for name, resource in Resolver(template, parameters).created().items():
            kept = {key: resource[key] for key in ("Type", "Properties", "DeletionPolicy", "UpdateReplacePolicy") if key in resource}
            forms = found.setdefault(name, [])
            if kept not in forms:
                forms.append(kept)
    return found


if __name__ == "__main__":
    resources = {
        name if number == 0 else f"{name}Form{number}": form
        for name, forms in variants().items()
        for number, form in enumerate(forms)
    }
    json.dump({"Resources": resources}, sys.stdout, indent=2)
