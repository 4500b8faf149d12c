#!/usr/bin/env python3
"""Prints the operations of a folder of HubSpot's OpenAPI files: method, path and OAuth scopes. See ORIGINS.md."""

import json
import pathlib
import sys

METHODS = {"get", "post", "put", "patch", "delete"}
MOST_ALTERNATIVES = 10


def alternatives(operation, document):
    """The scope sets of the OAuth schemes, each as one text."""
    security = operation.get("security", document.get("security", []))
    schemes = document.get("components", {}).get("securitySchemes", {})
    oauth = {name for name, scheme in schemes.items() if scheme.get("type") == "oauth2"}
    for requirement in security:
        for name, scopes in requirement.items():
            if name in oauth:
                yield " ".join(sorted(scopes))


def operations(folder):
    found = {}
    for file in sorted(pathlib.Path(folder).rglob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        # Collections for API clients stand among the OpenAPI files.
        paths = document.get("paths") if isinstance(document, dict) else None
        for path, item in (paths or {}).items():
            for method, operation in item.items():
                if method in METHODS:
                    found.setdefault((path, method.upper()), set()).update(alternatives(operation, document))
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: extract.py FOLDER")
    found = operations(sys.argv[1])
    if not found:
        sys.exit(f"{sys.argv[1]}: no operations found")
    for (path, method), scopes in sorted(found.items()):
        scopes.discard("")
        cell = "*" if len(scopes) > MOST_ALTERNATIVES else "|".join(sorted(scopes)) or "-"
        print(method, path, cell, sep="\t")


if __name__ == "__main__":
    main()
