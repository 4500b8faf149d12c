//! Safe terminal output: texts from customers, HubSpot and AWS must not control the terminal.

use std::borrow::Cow;

/// A line for people: control and bidirectional formatting characters are escaped, so that no value can hide, recolour
/// or reorder what the operator reads.
pub(crate) fn printable(line: &str) -> Cow<'_, str> {
    if !line.contains(is_unprintable) {
        return Cow::Borrowed(line);
    }
    let escape = |char: char| if is_unprintable(char) { char.escape_unicode().to_string() } else { char.to_string() };
    Cow::Owned(line.chars().map(escape).collect())
}

fn is_unprintable(char: char) -> bool {
    let bidi = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let invisible = matches!(char, '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}');
    char.is_control() || bidi || invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_escaped_and_nothing_else_is() {
        for (line, expected) in [
            ("plain, ümlaut, 漢字, 😀", "plain, ümlaut, 漢字, 😀"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\nb\r\tc\u{7f}\u{9b}", "a\\u{a}b\\u{d}\\u{9}c\\u{7f}\\u{9b}"),
            ("\u{202e}gnp.exe\u{2066}\u{200f}", "\\u{202e}gnp.exe\\u{2066}\\u{200f}"),
            ("zero\u{200b}width\u{2028}", "zero\\u{200b}width\\u{2028}"),
        ] {
            assert_eq!(printable(line), expected, "{line:?}");
        }
    }
}
