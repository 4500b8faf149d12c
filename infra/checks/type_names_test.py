"""The check of type names finds a name of two types, and nothing else."""

import tempfile
import unittest
from pathlib import Path

import type_names


def problems(files: dict[str, str], allowed: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with crates `one` and `two` of these files."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        crates = [(name, Path(folder, name, "lib.rs")) for name in ("one", "two")]
        return type_names.problems(type_names.declared(crates), allowed)


class Names(unittest.TestCase):
    def test_a_name_of_two_types_is_found_whatever_they_are_and_wherever(self):
        declarations = ("struct Twice;", "pub enum Twice {}", "pub(super) trait Twice {}", "pub type Twice = u8;")
        for declaration in declarations:
            for inner in ("pub struct Twice<T>(T);", "fn f() {\n    struct Twice;\n}"):
                files = {"one/lib.rs": f"mod inner;\n{declaration}\n", "one/inner.rs": f"{inner}\n", "two/lib.rs": ""}
                self.assertEqual(problems(files), ["Twice is declared 2 times: one, one::inner"], (declaration, inner))
        files = {"one/lib.rs": "struct Twice;\n", "two/lib.rs": "mod a;\n", "two/a/mod.rs": "enum Twice {}\n"}
        self.assertEqual(problems(files), ["Twice is declared 2 times: one, two::a"])

    def test_a_character_that_is_a_quotation_mark_hides_nothing(self):
        files = {"one/lib.rs": "const QUOTE: char = '\"';\nstruct Twice;\nconst TEXT: &str = \"\";\n", "two/lib.rs": "struct Twice;\n"}
        self.assertEqual(problems(files), ["Twice is declared 2 times: one, two"])

    def test_names_of_one_type_are_not_found(self):
        for other in (
            "use one::Once;",
            "pub use one::Once as Again;",
            "pub struct OnceMore;",
            "// struct Once;\n/* enum Once {} */",
            'const TEXT: &str = "\nstruct Once;\n";',
            "impl Iterator for It {\n    type Once = u8;\n}",
            "#[cfg(test)]\nmod tests {\n    struct Once;\n}",
            "#[cfg(test)]\nmod tests;",
        ):
            files = {"one/lib.rs": "pub struct Once;\n", "two/lib.rs": f"{other}\n", "two/tests.rs": "struct Once;\n"}
            self.assertEqual(problems(files), [], other)

    def test_an_exception_counts_as_long_as_it_is_needed(self):
        twice = {"one/lib.rs": "struct App;\n", "two/lib.rs": "struct App;\n"}
        self.assertEqual(problems(twice, ("App",)), [])
        once = {"one/lib.rs": "struct App;\n", "two/lib.rs": ""}
        self.assertEqual(problems(once, ("App",)), ["App is allowed and not declared twice"])


if __name__ == "__main__":
    unittest.main()
