//! JSON texts that mean the same, written the same way: without white space, members by name, and characters escaped
//! only where they have to be. Numbers keep their spelling, since HubSpot may distinguish `1` from `1.0`.
//!
//! One pass, and never more memory than a few times the text.

use serde::de::IgnoredAny;

/// Deeper texts stay as they are; HubSpot's own limit is far below.
const MAX_DEPTH: usize = 128;

/// The canonical form; `None` for what is no JSON or nested too deep.
pub(crate) fn canonical(json: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let mut writer = Writer { rest: json, out: Vec::with_capacity(json.len()) };
    writer.value(0)?;
    Some(writer.out)
}

/// Rewrites a text that is known to be JSON.
struct Writer<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

/// The position of a member in the output.
struct MemberSpan {
    start: usize,
    name_end: usize,
    end: usize,
}

impl Writer<'_> {
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.text(),
            _ => {
                let end = self.rest.iter().position(|b| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
                self.copy(end.unwrap_or(self.rest.len()));
                Some(())
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        let mut members: Vec<MemberSpan> = Vec::new();
        self.skip(1);
        let first = self.out.len();
        while self.peek()? != b'}' {
            let start = self.out.len();
            self.text()?;
            let name_end = self.out.len();
            self.peek()?;
            self.skip(1);
            self.value(depth + 1)?;
            members.push(MemberSpan { start, name_end, end: self.out.len() });
            if self.peek()? == b',' {
                self.skip(1);
            }
        }
        self.skip(1);
        let written = self.out.split_off(first);
        let part = |from: usize, to: usize| &written[from - first..to - first];
        // Stable: of members that share a name, servers take the first or the last, so their order has a meaning.
        members.sort_by_key(|member| part(member.start, member.name_end));
        self.out.push(b'{');
        for (number, member) in members.iter().enumerate() {
            if number > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(part(member.start, member.name_end));
            self.out.push(b':');
            self.out.extend_from_slice(part(member.name_end, member.end));
        }
        self.out.push(b'}');
        Some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        self.copy(1);
        while self.peek()? != b']' {
            self.value(depth + 1)?;
            if self.peek()? == b',' {
                self.copy(1);
            }
        }
        self.copy(1);
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        self.peek()?;
        let mut end = 1;
        while *self.rest.get(end)? != b'"' {
            end += if self.rest[end] == b'\\' { 2 } else { 1 };
        }
        let raw = self.rest.get(..=end)?;
        let decoded = if raw.contains(&b'\\') { serde_json::from_slice::<String>(raw).ok() } else { None };
        match decoded {
            Some(text) => {
                serde_json::to_writer(&mut self.out, &text).ok()?;
                self.skip(end + 1);
            }
            // Without escapes, or with half a surrogate pair, which no text can hold.
            None => self.copy(end + 1),
        }
        Some(())
    }

    /// The first byte that is no white space, which stays.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    fn copy(&mut self, length: usize) {
        self.out.extend_from_slice(self.rest.get(..length).unwrap_or_default());
        self.skip(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(json: &str) -> Option<String> {
        canonical(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn texts_of_one_value_become_one() {
        for (json, expected) in [
            (" { \"b\" : 1 ,\n\"a\" : [ 1 , \"x\" , { } , [ ] ] } ", r#"{"a":[1,"x",{},[]],"b":1}"#),
            (r#"{"b":{"d":1,"c":2},"a":null}"#, r#"{"a":null,"b":{"c":2,"d":1}}"#),
            (r#"{"\u0061":"\u00e9\/\n","a\"":"\\"}"#, r#"{"a":"é/\n","a\"":"\\"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
            (r#"{"a":2,"a":1}"#, r#"{"a":2,"a":1}"#),
            ("[1.0, 1, 1e0 ,-0]", "[1.0,1,1e0,-0]"),
            ("true", "true"),
            (r#" "\ud800" "#, r#""\ud800""#),
            (r#"{"{\"":"]}","[":"\\\""}"#, r#"{"[":"\\\"","{\"":"]}"}"#),
        ] {
            assert_eq!(rewritten(json).as_deref(), Some(expected), "{json}");
            assert_eq!(rewritten(expected).as_deref(), Some(expected), "{expected}");
        }
    }

    #[test]
    fn other_values_stay_different() {
        let texts = ["1", "1.0", "\"1\"", "[1]", "[1,2]", "[2,1]", "{\"1\":1}", "{\"a\":[]}", "{\"a\":{}}", "null"];

        let forms: std::collections::HashSet<_> = texts.into_iter().map(rewritten).collect();

        assert_eq!(forms.len(), texts.len());
    }

    #[test]
    fn what_is_no_json_or_too_deep_has_no_form() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));

        for bad in ["", "{", "a=1", "{\"a\":1,}", "1 2", "\"\n\""] {
            assert_eq!(rewritten(bad), None, "{bad}");
        }
        assert!(rewritten(&nested(MAX_DEPTH)).is_some());
        assert_eq!(rewritten(&nested(100_000)), None);
    }
}
