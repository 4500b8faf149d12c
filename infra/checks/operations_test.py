"""The generator of the operations table reads excerpts of published OpenAPI files and writes the format of the table."""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from template_test import ROOT

OPERATIONS = ROOT / "shared" / "guard" / "operations"

# What the table has to have of `excerpts`, whose files ORIGINS.md names.
EXPECTED = """\
GET\t/account-info/2026-03/api-usage/daily/private-apps\texternal-settings-access
GET\t/account-info/2026-03/details\texternal-settings-access
GET\t/business-units/public/2026-09/business-units/user/{userId}\tbusiness_units_view.read
GET\t/crm/objects/2026-09/{objectType}\t*
POST\t/oauth/2026-09/token\t-
POST\t/oauth/2026-09/token/introspect\t-
POST\t/oauth/2026-09/token/revoke\t-
"""


def extract(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, OPERATIONS / "extract.py", folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Extract(unittest.TestCase):
    def test_excerpts_of_hubspots_files_become_rows(self):
        ended = extract(OPERATIONS / "excerpts")

        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertEqual(ended.stdout, EXPECTED)

    def test_other_json_among_the_files_is_passed_over(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {"list": "[1]", "null": "null", "empty": '{"paths": null}', "bom": '\ufeff{"paths": {}}'}.items():
                (Path(folder) / f"{name}.json").write_text(text, encoding="utf-8")
            (Path(folder) / "deep").mkdir()
            for file in (OPERATIONS / "excerpts").iterdir():
                (Path(folder) / "deep" / file.name).write_bytes(file.read_bytes())

            ended = extract(Path(folder))

        self.assertEqual((ended.returncode, ended.stdout), (0, EXPECTED), ended.stderr)

    def test_a_folder_without_operations_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            ended = extract(Path(folder))

        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn("no operations", ended.stderr)

    def test_the_table_has_rows_of_the_same_form(self):
        rows = (OPERATIONS / "operations.tsv").read_text(encoding="utf-8").splitlines()
        scopes = r"[\w.\-/]+( [\w.\-/]+)*"

        self.assertEqual(len(rows), 3802)
        for row in rows:
            self.assertRegex(row, rf"^(GET|POST|PUT|PATCH|DELETE)\t/\S+\t(-|\*|{scopes}(\|{scopes})*)$")
        self.assertEqual(rows, sorted(rows, key=lambda row: (row.split("\t")[1], row.split("\t")[0])))


if __name__ == "__main__":
    unittest.main()
