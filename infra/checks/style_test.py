"""The style check finds what it is there for, and nothing else."""

import unittest

import style


def found(path: str, text: str) -> list:
    return [at for at, _ in style.check(path, text)]


class Phrases(unittest.TestCase):
    def test_every_phrase_is_found_in_a_text(self):
        for text in (
            "a mistake of ours",
            "an answer of HubSpot's.",
            "the host is none of HubSpot's",
            "an id that is none",
            "`null` is as good as an absent field",
            "spread, lest all are due together",
            "the caller is told to wait",
            "the key stands for another request",
            "every answer is held against the document",
            "whoever looks",
            "a key that was last heard of",
            "runs that were not begun",
            "the secret lies in the table",
            "is refused, in no encoding",
            "something is the matter with it",
            "makes a function dearer",
            "credentials are disregarded",
            "the matter of another alarm",
            "the credentials of old.",
            "credentials of old included",
            "a log that tells throttled calls from others",
            "a rerun tells a crash (the secret is there) from a customer who left",
            "as HubSpot shows it to who reads",
            "time that who holds a lease has to count",
            "five minutes, in which who",
            "Always: who comes late may not have seen it",
        ):
            self.assertEqual(set(found("page.md", text)), {1}, text)

    def test_right_uses_are_not_found(self):
        for text in (
            "none of them is sent",
            "none of the automations runs",
            "the origin of HubSpot's API",
            "HubSpot's API",
            "an outstanding_request and `told`",
            "for understanding in detail",
            "a matter of seconds",
            "a list of old tokens, of older ones",
            "headers that tell a browser about a request from another origin",
            "the events so far, each with who acted",
            "API calls: who may do what, and who is calling",
            "the admin who connected it",
            "default: Who calls",
        ):
            self.assertEqual(found("page.md", text), [], text)

    def test_only_comments_and_strings_of_rust_are_read(self):
        self.assertEqual(found("a.rs", "let told = 1;\n// told\nf(\"told\");\nlet c = '\"'; let told = 2;"), [2, 3])
        self.assertEqual(found("a.rs", 'f("one \\\n   told \\\n   two", told);\nlet told = 1;'), [2])

    def test_only_comments_and_strings_of_python_are_read(self):
        self.assertEqual(found("a.py", "told = 1\n# told\nf('told', told)\n"), [2, 3])


class Rust(unittest.TestCase):
    def test_a_doc_comment_says_what_the_item_is(self):
        for word in ("What", "Whether", "Who", "Which"):
            self.assertEqual(found("a.rs", f"/// {word} comes next."), [1])
            self.assertEqual(found("a.rs", f"/// The step.\n///\n/// {word} comes next."), [3])
            self.assertEqual(found("a.rs", f"/// The step, and\n/// {word} comes next.\n// {word} is it?"), [])

    def test_names_have_at_most_72_characters(self):
        self.assertEqual(found("a.rs", f"    async fn {'a' * 73}() {{}}\nfn {'a' * 72}() {{}}"), [1])
        self.assertEqual(found("a.py", f"def {'a' * 73}():\n    pass\n"), [1])

    def test_log_messages_are_constant(self):
        self.assertEqual(found("a.rs", 'tracing::error!(account_id = %id, code = "a", "{cause}");'), [1])
        self.assertEqual(found("a.rs", 'tracing::warn!(\n    %id,\n    "failed: {id}"\n);'), [1])
        self.assertEqual(found("a.rs", 'tracing::warn!(cause = %format!("{a}: {b}"), "failed");'), [])


class Markdown(unittest.TestCase):
    def test_a_line_has_one_sentence(self):
        self.assertEqual(found("page.md", "It runs. It ends.\nIt ends `here`. `There` too.\n1. It runs.\n## 2. Runs"), [1, 2])
        self.assertEqual(found("page.md", "```\nIt runs. It ends.\n```\n| It runs. It ends. |"), [])

    def test_a_sentence_has_at_most_two_lines(self):
        self.assertEqual(found("page.md", "word " * 49), [1])
        self.assertEqual(found("page.md", f"[words](https://example.com/{'a' * 300}) and `{'a' * 300}`"), [])


if __name__ == "__main__":
    unittest.main()
