#!/usr/bin/env python3
"""Keeps the project's texts plain: documentation, comments, messages, and the names of tests (CONTRIBUTING.md, Words).

Prints each finding as path:line and exits with 1 if there is one. Checks what git tracks. In Rust and Python only
comments and strings are read, elsewhere whole lines.
"""

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_CHARACTERS_OF_A_NAME = 72
# Two lines of 120 characters.
MOST_CHARACTERS_OF_A_SENTENCE = 240

# A phrase, and the plain one.
PHRASES = [
    (r"(?:of|by|from) (?:ours|yours|theirs)", "our, your, their"),
    (r"(?:of|by|from) (?:HubSpot|AWS|CloudTalk)'s(?= ?[.,;:)]|$)", "HubSpot's before the noun, or from HubSpot"),
    (r"none of (?!(?:the|these|those|them|their|its|our|your|which)\b)", "not a, no"),
    (r"(?:is|are|was|were|be) (?-i:none)", "is not, is missing"),
    (r"as good as", "equal to, like"),
    (r"lest", "so that … not"),
    (r"told", "reported, given, answered"),
    (r"(?:stands?|stood|standing) (?:in|still|twice|there|beside|behind|on|at|between|before|for)", "is, replaces, means"),
    (r"(?:held|holds?) (?:\w+ ){0,3}against", "compare with, validate with"),
    (r"whoever", "name the actor"),
    (r"heard|hears", "received, logged"),
    (r"begun", "started"),
    (r"(?:lies|lie|lay) (?:in|at|on|under|beside|there)", "is in"),
    (r"in no (?:encoding|case|form)", "not … in any"),
    (r"the matter (?:of|with)", "the issue, belongs to"),
    (r"of old(?= ?(?:[.,;:)\"'!?]|$|included))", "old before the noun"),
    (r"tell(?:s|ing)?(?: (?!(?:about|that|whether|which|who|how|what|when|where|why)\b)[\w`'’(),/-]+){1,12} from", "distinguish"),
    (r"(?:to|of|that|in which) who(?: [a-z]+|$)", "name the actor"),
    (r"\w+: (?-i:who) (?!is\b|has\b)[a-z]+s", "name the actor"),
    (r"dearer", "more expensive"),
    (r"disregarded", "ignored"),
]

# Right uses: a piece of the line, and the reason.
ALLOWED: list[tuple[str, str]] = []

QUESTION = re.compile(r"^//[/!] (?:What|Whether|Who|Which)\b")
LOG_CALL = re.compile(r"tracing::(?:error|warn|info|debug|trace)!(\(.*?\));", re.DOTALL)
VARYING_MESSAGE = re.compile(r'(?<!format!)[(,]\s*"[^"]*\{')
NAME = re.compile(r"^\s*(?:(?:async )?fn|def) (\w+)")
RUST = re.compile(r"""(?P<comment>//.*)|(?P<text>"(?:\\.|\\$|[^"\\])*"?)|'(?:\\.|[^'\\])'|.""")
# A full stop, and the next sentence on the same line.
SECOND_SENTENCE = re.compile(r"(?<!\be\.g|\bi\.e)(?<=[A-Za-z0-9%`)*])[.!?] +(?=[A-Z`*\[])")

Finding = tuple[int, str]


def rust(text: str) -> list[str]:
    """The comments and strings of each line."""
    lines, inside = [], False
    for line in text.split("\n"):
        kept = []
        if inside:
            # A string goes on after a backslash at the end of its line.
            head, quote, line = line.partition('"')
            kept.append(head)
            inside = not quote and head.endswith("\\")
            if not quote:
                line = ""
        for match in RUST.finditer(line):
            kept.append(match["comment"] or match["text"] or "")
            inside = inside or bool(match["text"] and match["text"].endswith("\\") and match.end() == len(line))
        lines.append(" ".join(filter(None, kept)))
    return lines


def python(text: str) -> list[str]:
    """The comments and strings of each line."""
    lines = [""] * (text.count("\n") + 2)
    kinds = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            for at, piece in enumerate(token.string.split("\n")):
                lines[token.start[0] - 1 + at] += f" {piece}"
    return lines


def prose(text: str) -> list[str]:
    """The lines of a Markdown page that are running text, the others blank."""
    lines, fenced = [], False
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        lines.append("" if fenced or line.startswith(("|", "```", "    ")) else line)
    return lines


def check(path: str, text: str) -> list[Finding]:
    """The findings of one file."""
    suffix = Path(path).suffix
    read = {".rs": rust, ".py": python}.get(suffix, lambda text: text.split("\n"))(text)
    found = [finding for at, line in enumerate(read, 1) for finding in phrases(at, line)]
    if suffix == ".rs":
        found += [(at, "say what it is: the noun, or \"Returns true if …\"") for at in doc_comments(text)]
        found += [(text[: match.start()].count("\n") + 1, "a log message is constant: put the values into fields")
                  for match in LOG_CALL.finditer(text) if VARYING_MESSAGE.search(match[1])]  # fmt: skip
    if suffix in (".rs", ".py"):
        found += names(text)
    if suffix == ".md":
        found += sentences(text)
    return sorted(found)


def phrases(at: int, line: str) -> list[Finding]:
    if any(piece in line for piece, _ in ALLOWED):
        return []
    found = []
    for phrase, better in PHRASES:
        if match := re.search(rf"(?<![\w`-])(?:{phrase})(?![\w-])", line, re.IGNORECASE):
            found.append((at, f'"{match[0]}": {better}'))
    return found


def doc_comments(text: str) -> list[int]:
    """The lines that open a doc comment, or a paragraph of it, with a question."""
    found, before = [], ""
    for at, line in enumerate(map(str.strip, text.split("\n")), 1):
        opens = not before.startswith(("///", "//!")) or before in ("///", "//!")
        if opens and QUESTION.match(line):
            found.append(at)
        before = line
    return found


def names(text: str) -> list[Finding]:
    found = []
    for at, line in enumerate(text.split("\n"), 1):
        match = NAME.match(line)
        if match and len(match[1]) > MOST_CHARACTERS_OF_A_NAME:
            found.append((at, f"{match[1]}: {len(match[1])} characters, at most {MOST_CHARACTERS_OF_A_NAME}"))
    return found


def sentences(text: str) -> list[Finding]:
    found = []
    for at, line in enumerate(prose(text), 1):
        # Names in backticks and addresses of links are not read word by word.
        shown = re.sub(r"`[^`]*`", "`code`", re.sub(r"\]\([^)]*\)", "]", line))
        shown = re.sub(r"^\s*(?:\d+\.|#+ .*) ?", "", shown)
        if len(shown) > MOST_CHARACTERS_OF_A_SENTENCE:
            found.append((at, f"{len(shown)} characters: no sentence is longer than two lines"))
        if SECOND_SENTENCE.search(shown):
            found.append((at, "one sentence per line"))
    return found


def files() -> list[str]:
    """The tracked files that are the project's own words."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    foreign = re.compile(r"(^|/)recorded/|\.lock$|lock\.json$|\.tsv$|requirements.*\.txt$|^infra/checks/style|fuzz/corpus/")
    return [path for path in tracked if not foreign.search(path)]


def main() -> int:
    count = 0
    for path in files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for at, finding in check(path, text):
            print(f"{path}:{at}: {finding}")
            count += 1
    print(f"{count} findings" if count else "no findings")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
