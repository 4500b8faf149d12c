#!/usr/bin/env python3
"""Fails if a name is declared for two types in the crates that are shipped: everything but `tests`.

Structs, enums, unions and traits count wherever they are declared, type aliases if they are not part of an `impl`.
Test modules are not looked at.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import rust_modules

# Names that several crates have on purpose, with the reason.
ALLOWED = {
    "App": "what a function keeps between invocations, in each of the three",
    "Config": "the environment of a function, in each of the three",
}
# An alias that is indented is part of an `impl` or a trait.
DECLARATION = re.compile(r"^(?:[ \t]*(?:pub(?:\([^)]*\))? )?(?:struct|enum|union|trait)|(?:pub(?:\([^)]*\))? )?type) (\w+)", re.M)


def declared(crates: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """The modules that declare each name."""
    names: dict[str, list[str]] = {}
    for package, root in crates:
        for module, text in rust_modules.modules(root):
            for name in DECLARATION.findall(text):
                names.setdefault(name, []).append("::".join((package, *module)))
    return names


def problems(names: dict[str, list[str]], allowed: Iterable[str]) -> list[str]:
    several = {name: modules for name, modules in names.items() if len(modules) > 1}
    found = [f"{name} is declared {len(modules)} times: {', '.join(modules)}" for name, modules in several.items() if name not in allowed]
    return sorted(found) + [f"{name} is allowed and not declared twice" for name in allowed if name not in several]


def main() -> int:
    shipped = [(package, root) for package, folder, root in rust_modules.crates() if folder.parts[0] != "tests"]
    names = declared(shipped)
    found = problems(names, ALLOWED)
    print(*found, f"{len(names)} names of types, {len(found)} problems", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
