"""Everything that comes from outside is locked, and CI checks every lock file."""

import re
import unittest

from template_test import ROOT

INPUTS = sorted((ROOT / "infra").glob("*/requirements*.in"))
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def scripts() -> dict:
    """The shell scripts of the repository, by path."""
    found = {}
    for folder in ("infra", "tests", ".ci"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not {"node_modules", "target"} & set(path.parts):
                text = path.read_bytes()[:200_000]
                if text.startswith(b"#!") or path.suffix == ".sh":
                    found[str(path.relative_to(ROOT))] = text.decode(errors="replace")
    return found


class Python(unittest.TestCase):
    def test_every_requirement_is_locked_with_hashes(self):
        self.assertGreaterEqual(len(INPUTS), 4)
        for path in INPUTS:
            lock = path.with_suffix(".txt").read_text(encoding="utf-8")
            wanted = re.findall(r"(?m)^([\w.-]+)(?:\[\w+\])?==(\S+)$", path.read_text(encoding="utf-8"))
            self.assertTrue(wanted, path)
            for name, version in wanted:
                self.assertRegex(lock, rf"(?m)^{re.escape(name)}(\[\w+\])?=={re.escape(version)} ", path)
            for entry in re.split(r"(?m)^(?=[\w.-]+(?:\[\w+\])?==)", lock):
                self.assertTrue(not entry.strip() or "--hash=sha256:" in entry, f"{path}: {entry[:80]}")

    def test_every_requirements_file_has_a_lock(self):
        files = {path.relative_to(ROOT) for path in (ROOT / "infra").glob("**/requirements*.*")}

        self.assertEqual(len(files), 2 * len(INPUTS), files)


class Installers(unittest.TestCase):
    def test_scripts_install_locked_packages_only(self):
        for path, text in scripts().items():
            for line in text.replace("\\\n", " ").splitlines():
                if re.search(r"pip install\b", line) and not line.lstrip().startswith("#"):
                    if "pip is missing" not in line and "uv is missing" not in line:
                        self.assertIn("--require-hashes", line, path)
                if re.search(r"\bnpm (ci|install|i)\b", line):
                    self.assertIn("npm ci --ignore-scripts", line, path)
                if re.search(r"\bcargo install\b", line):
                    self.assertIn("--locked", line, path)


class Ci(unittest.TestCase):
    def test_every_cargo_lock_is_checked(self):
        locks = [ROOT / "Cargo.lock", *(ROOT / "tests").glob("**/Cargo.lock")]
        self.assertEqual(len(locks), 2)
        for lock in locks:
            manifest = lock.with_name("Cargo.toml").relative_to(ROOT)
            named = "" if str(manifest) == "Cargo.toml" else rf"--manifest-path {manifest} "
            for checks in ("check bans licenses sources", "check --disable-fetch advisories"):
                self.assertIn(f"cargo deny --locked {named}{checks}", CI)

    def test_unchecked_advisories_are_the_last_line(self):
        ending = CI.split("all passed in")[1]

        self.assertIn("BUT NOT CHECKED", ending)
        self.assertEqual(CI.count("not_checked '"), 2)


if __name__ == "__main__":
    unittest.main()
