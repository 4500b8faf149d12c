#!/usr/bin/env python3
"""Prints the answers of HubSpot's operations as JSON schemas, from the folder of its generated client. See ORIGIN.md."""

import ast
import json
import pathlib
import re
import sys

# The operations that the emulator has.
KINDS = "contacts companies deals tickets calls notes tasks meetings communications emails leads".split()
OF_A_KIND = ["GET {0}", "POST {0}", "GET {0}/{{}}", "PATCH {0}/{{}}", "DELETE {0}/{{}}", "POST {0}/search",
             "POST {0}/batch/read"]
WANTED = {"PUT /crm/v4/objects/{}/{}/associations/default/{}/{}"}
WANTED |= {line.format("/crm/v3/objects/" + kind) for kind in KINDS for line in OF_A_KIND}

ANSWERS = re.compile(r'response_types_map = (\{[^}]*\}).*?call_api\(\s*"([^"]+)",\s*"([A-Z]+)"', re.S)
SIMPLE = {
    "str": {"type": "string"}, "int": {"type": "integer"}, "bool": {"type": "boolean"}, "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"}, "object": {}, "file": {},
}


class Client:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.schemas = {}

    def schema(self, package, kind):
        """A type of the client's: `str`, `list[Filter]`, `dict[str, list[str]]`, or a model."""
        if kind in SIMPLE:
            return SIMPLE[kind]
        if kind.startswith("list["):
            return {"type": "array", "items": self.schema(package, kind[5:-1])}
        if kind.startswith("dict[str, "):
            return {"type": "object", "additionalProperties": self.schema(package, kind[10:-1])}
        return {"$ref": "#/schemas/" + self.model(package, kind)}

    def model(self, package, kind):
        """Adds a model; its name, which says the package too if another one's model of this name is different."""
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
        text = (package / "models" / f"{name}.py").read_text(encoding="utf-8")
        types, names = (ast.literal_eval(re.search(rf"{it} = (\{{[^}}]*\}})", text)[1])
                        for it in ("openapi_types", "attribute_map"))
        required = set(re.findall(r"and (\w+) is None:  # noqa", text))
        enums = {own: ast.literal_eval(values) for values, own in re.findall(
            r"allowed_values = (\[[^\]]*\])[^\n]*\n\s+if self\.local_vars_configuration\.client_side_validation and (\w+) not", text)}
        members = {names[own]: self.schema(package, types[own]) for own in types}
        for own, values in enums.items():
            members[names[own]] = {"enum": values}
        found = {"type": "object", "required": sorted(names[own] for own in types if own in required),
                 "properties": dict(sorted(members.items()))}
        if self.schemas.setdefault(kind, found) == found:
            return kind
        name = f"{package.name}.{kind}"
        self.schemas[name] = found
        return name

    def operations(self):
        found = {}
        for api in sorted(self.folder.glob("**/api/*_api.py")):
            for answers, path, method in ANSWERS.findall(api.read_text(encoding="utf-8")):
                operation = f"{method} {re.sub('{[^}]*}', '{}', path).rstrip('/')}"
                if operation in WANTED:
                    found[operation] = {
                        str(status): self.schema(api.parent.parent, kind)
                        for status, kind in ast.literal_eval(answers).items()
                    }
                    self.model(api.parent.parent, "Error")
        return found


def main():
    client = Client(sys.argv[1])
    operations = client.operations()
    missing = WANTED - operations.keys()
    if missing:
        sys.exit(f"the client has no {', '.join(sorted(missing))}")
    for line in OF_A_KIND:
        equal = [operations.pop(line.format("/crm/v3/objects/" + kind)) for kind in KINDS]
        if any(answers != equal[0] for answers in equal):
            sys.exit(f"{line} has other answers for some kinds")
        operations[line.format("/crm/v3/objects/{}")] = equal[0]
    for name, all_of_it in [("operations", operations), ("schemas", client.schemas)]:
        print("{" if name == "operations" else "},", f'"{name}": {{', sep="\n")
        print(",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(all_of_it.items())))
    print("}", "}", sep="\n")


main()
