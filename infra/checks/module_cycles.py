#!/usr/bin/env python3
"""Fails if sibling modules of a crate depend on each other in a cycle.

For every library and binary of the workspace it resolves the paths in `use` items and in code to modules, follows
re-exports, and looks for cycles among the children of each module, where a child represents everything below it.
A module and its own children may refer to each other. Test modules are not looked at.
"""

import re
import sys
from pathlib import Path

import rust_modules

USE = re.compile(r"\buse\s+([^;]+);")
PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")


def expand(tree: str) -> list[tuple[tuple[str, ...], str]]:
    """The paths of a `use` tree, each with the name that it binds."""
    head, brace, rest = tree.partition("{")
    if not brace:
        path, _, alias = (part.strip() for part in tree.partition(" as "))
        segments = tuple(path.split("::"))
        segments = segments[:-1] if segments[-1] in ("self", "*") and len(segments) > 1 else segments
        return [(segments, alias or segments[-1])]
    parts, depth, start, inner = [], 0, 0, rest[: rest.rindex("}")] + ","
    for at, sign in enumerate(inner):
        depth += (sign == "{") - (sign == "}")
        if sign == "," and depth == 0:
            parts, start = [*parts, inner[start:at].strip()], at + 1
    return [found for part in parts if part for found in expand(head.strip() + part)]


class Crate:
    def __init__(self, root: Path) -> None:
        self.paths: dict[tuple, set] = {}
        self.names: dict[tuple, dict] = {}
        for module, text in rust_modules.modules(root):
            uses = [found for tree in USE.findall(text) for found in expand(" ".join(tree.split()))]
            self.names[module] = {name: path for path, name in uses}
            self.paths[module] = {path for path, _ in uses} | {tuple(path.split("::")) for path in PATH.findall(text)}
        self.edges = {(own, to) for own, paths in self.paths.items() for path in paths if (to := self.resolve(own, path))}

    def resolve(self, own: tuple, path: tuple, seen: frozenset = frozenset()) -> tuple | None:
        """The module that a path leads into; nothing outside the crate."""
        at, rest = (own, path) if (*own, path[0]) in self.paths else ((), path[1:]) if path[0] == "crate" else (None, path)
        while rest and rest[0] in ("super", "self"):
            at = own if at is None else at
            at, rest = (at[:-1] if rest[0] == "super" else at), rest[1:]
        if at is None or (own, path) in seen:
            return None
        while rest and (*at, rest[0]) in self.paths:
            at, rest = (*at, rest[0]), rest[1:]
        imported = self.names[at].get(rest[0]) if rest else None
        return (imported and self.resolve(at, imported, seen | {(own, path)})) or at

    def cycles(self) -> list[list[str]]:
        siblings: dict[tuple, dict] = {}
        for own, to in self.edges:
            depth = next((i for i, (a, b) in enumerate(zip(own, to)) if a != b), None)
            if depth is not None:
                siblings.setdefault(own[:depth], {}).setdefault(own[depth], set()).add(to[depth])
        found = []
        for parent, graph in siblings.items():
            reach = {name: closure(graph, name) for name in graph}
            groups = {frozenset(b for b in graph if b in reach[a] and a in reach[b]) for a in graph}
            found += [sorted("::".join((*parent, name)) for name in group) for group in groups if group]
        return sorted(found)


def closure(graph: dict, start: str) -> set:
    reached, open_ends = set(), [start]
    while open_ends:
        new = graph.get(open_ends.pop(), set()) - reached
        reached |= new
        open_ends += new
    return reached


def main() -> int:
    failed = checked = 0
    for package, _, root in rust_modules.crates():
        crate = Crate(root)
        checked += len(crate.paths)
        for cycle in crate.cycles():
            failed += 1
            print(f"{package}: {', '.join(cycle)} depend on each other")
    print(f"{checked} modules, {failed} cycles")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
