"""The libraries and binaries of the workspace, and the text of their modules without comments, strings and tests."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*mod \w+\s*(;|\{.*)", re.S)
NOISE = re.compile(r"""//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])'|r#*".*?"#*|"(?:\\.|[^"\\])*\"""", re.S)


def crates() -> list[tuple[str, Path, Path]]:
    """Each library and binary: its package, the package's folder within the workspace, and its first file."""
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], check=True, capture_output=True)
    workspace = json.loads(metadata.stdout)
    return [
        (package["name"], Path(package["manifest_path"]).parent.relative_to(workspace["workspace_root"]), Path(target["src_path"]))
        for package in workspace["packages"]
        for target in package["targets"]
        if {"lib", "bin"} & set(target["kind"])
    ]


def modules(root: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """The path of each module of a crate, and its text."""
    yield from below((), root, root.parent)


def below(module: tuple[str, ...], file: Path, folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    text = NOISE.sub('""', file.read_text())
    text = TESTS.sub(lambda found: "" if found[1] == ";" else "\0", text).partition("\0")[0]
    yield module, text
    for name in re.findall(r"\bmod (\w+)\s*;", text):
        child = next(path for path in (folder / f"{name}.rs", folder / name / "mod.rs") if path.exists())
        yield from below((*module, name), child, folder / name)
