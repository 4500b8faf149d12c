//! Finds the access token in what HubSpot sends, however it is spelled there, and takes it out.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

/// Replaces a token that HubSpot echoed.
const SCRUBBED: &[u8] = b"[REDACTED]";
/// An encoding that is encoded again is followed so often; a bound, since a body may consist of nothing else.
const MOST_LAYERS: usize = 8;
/// How many bytes are scrubbed between two looks at the time: milliseconds of work.
const PIECE: usize = 16_384;

/// The needles: the token, and the part of a base64 text that is the same wherever the text contains the token.
pub struct TokenPatterns {
    forms: Vec<Vec<u8>>,
    /// Indexed by byte: true if it may be the first of a form.
    begins: [bool; 256],
}

impl TokenPatterns {
    pub fn of(token: &SecretString) -> Self {
        let token = token.expose_secret().as_bytes();
        let mut forms = vec![token.to_vec()];
        // Three bytes make four characters: the token's characters depend on how it lies to that, and on nothing else.
        for shift in 0..3 {
            let encoded = STANDARD_NO_PAD.encode([&[0; 2][..shift], token].concat());
            let decided = (shift * 8).div_ceil(6)..(shift + token.len()) * 8 / 6;
            let standard = encoded.as_bytes().get(decided).unwrap_or_default().to_vec();
            let url_safe = standard.iter().map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            });
            forms.push(url_safe.collect());
            forms.push(standard);
        }
        forms.retain(|form| !form.is_empty());
        let mut begins = [false; 256];
        for first in forms.iter().filter_map(|form| form.first()).chain(b"%\\&") {
            begins[usize::from(*first)] = true;
        }
        Self { forms, begins }
    }

    /// The bytes without the token, copied only if it is there.
    pub fn scrub<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.scrub_while(bytes, || true).unwrap_or_default()
    }

    /// Like [`scrub`](Self::scrub), but `None` once `has_time`, asked every 16 KiB, says that the time is over.
    pub fn scrub_while<'a>(&self, bytes: &'a [u8], mut has_time: impl FnMut() -> bool) -> Option<Cow<'a, [u8]>> {
        let mut clean = Vec::new();
        let mut copied = 0;
        let mut at = 0;
        let mut asked_at = 0;
        while at < bytes.len() {
            if at - asked_at >= PIECE {
                if !has_time() {
                    return None;
                }
                asked_at = at;
            }
            let found = if self.begins[usize::from(bytes[at])] { self.find(&bytes[at..]) } else { None };
            at += found.unwrap_or(1);
            if let Some(length) = found {
                clean.extend_from_slice(&bytes[copied..at - length]);
                clean.extend_from_slice(SCRUBBED);
                copied = at;
            }
        }
        if copied == 0 {
            return Some(Cow::Borrowed(bytes));
        }
        clean.extend_from_slice(&bytes[copied..]);
        Some(Cow::Owned(clean))
    }

    /// The length of the form that the bytes begin with.
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        self.forms.iter().find_map(|form| spelled(bytes, form))
    }
}

/// The length of a text that the bytes begin with, raw or with any of its characters encoded.
fn spelled(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for wanted in text {
        let (byte, length) = character(bytes.get(at..)?)?;
        if byte != *wanted {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// The first character and its length: as it is, percent-encoded, escaped in JSON or as a reference of HTML.
fn character(bytes: &[u8]) -> Option<(u8, usize)> {
    let first = *bytes.first()?;
    let encoded = match first {
        b'%' => percent(bytes),
        b'\\' => escape(bytes),
        b'&' => reference(bytes),
        _ => None,
    };
    Some(encoded.unwrap_or((first, 1)))
}

fn percent(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut at = 1;
    for _ in 0..MOST_LAYERS {
        // `%25` is a percent sign that had been encoded before, unless nothing follows it.
        let follows = bytes.get(at + 2..at + 4).is_some_and(|next| number(next, 16).is_some());
        if bytes.get(at..at + 2) != Some(b"25") || !follows {
            break;
        }
        at += 2;
    }
    Some((number(bytes.get(at..at + 2)?, 16)?, at + 2))
}

fn escape(bytes: &[u8]) -> Option<(u8, usize)> {
    let slashes = bytes.iter().take(MOST_LAYERS).take_while(|byte| **byte == b'\\').count();
    let rest = &bytes[slashes..];
    let digits = match rest {
        [b'u', b'0', b'0', digits @ ..] => Some((digits, 3)),
        [b'x', digits @ ..] => Some((digits, 1)),
        _ => None,
    };
    if let Some((digits, before)) = digits
        && let Some(byte) = digits.get(..2).and_then(|digits| number(digits, 16))
    {
        return Some((byte, slashes + before + 2));
    }
    Some((*rest.first()?, slashes + 1))
}

fn reference(bytes: &[u8]) -> Option<(u8, usize)> {
    let (start, radix) = match bytes {
        [b'&', b'#', b'x' | b'X', ..] => (3, 16),
        [b'&', b'#', ..] => (2, 10),
        _ => return None,
    };
    let length = bytes[start..].iter().take(MOST_LAYERS).position(|byte| *byte == b';')?;
    Some((number(&bytes[start..start + length], radix)?, start + length + 1))
}

/// A number of digits only: the standard library's parser takes a sign, too.
fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const TOKEN: &str = "CJ/s3-cre_T+x==";

    fn scrubbed(text: &str) -> String {
        let patterns = TokenPatterns::of(&SecretString::from(TOKEN));
        String::from_utf8(patterns.scrub(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn an_echoed_token_is_scrubbed_raw_and_encoded() {
        let every = |encode: fn(u8) -> String| TOKEN.bytes().map(encode).collect::<String>();
        for echoed in [
            TOKEN.to_owned(),
            "CJ%2Fs3-cre_T%2Bx%3D%3D".to_owned(),
            "CJ%2fs3%2dcre_T%2Bx%3d%3D".to_owned(),
            "CJ%252Fs3-cre_T%25252Bx==".to_owned(),
            "CJ\\/s3-cre_T+x\\u003d\\u003D".to_owned(),
            "CJ\\\\\\/s3-cre_T+x\\\\u003d=".to_owned(),
            "CJ&#x2F;s3-cre_T&#43;x&#61;&#x3d;".to_owned(),
            every(|byte| format!("%{byte:02x}")),
            every(|byte| format!("%{byte:02X}")),
            every(|byte| format!("\\u{byte:04x}")),
            every(|byte| format!("\\x{byte:02X}")),
            every(|byte| format!("&#{byte};")),
        ] {
            assert_eq!(scrubbed(&format!("before {echoed} after")), "before [REDACTED] after", "{echoed}");
            assert_eq!(scrubbed(&echoed.repeat(2)), "[REDACTED][REDACTED]", "{echoed}");
        }
    }

    #[test]
    fn an_encoded_character_ends_where_it_ends_whatever_digits_follow() {
        let patterns = TokenPatterns::of(&SecretString::from("Ca1b2/c3"));

        for echoed in ["%43a1b2%2Fc3", "Ca1b2%2fc3", "%43a%31b2%2Fc%33"] {
            assert_eq!(patterns.scrub(echoed.as_bytes()).as_ref(), SCRUBBED, "{echoed}");
        }
    }

    #[test]
    fn a_token_within_any_base64_text_is_scrubbed() {
        for around in ["", "B", "Be", "Bea", "Authorization: Bearer ", "{\"token\":\""] {
            let text = format!("{around}{TOKEN}{around}");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text), STANDARD.encode(&text).replace('/', "\\/")]
            {
                let clean = scrubbed(&encoded);
                assert!(clean.contains("[REDACTED]"), "{text} {encoded} {clean}");
                let left = clean.len() - "[REDACTED]".len();
                let others = STANDARD.encode(around).len() * 2 + 4;
                assert!(left <= others, "{text} {encoded} {clean}");
            }
        }
    }

    #[test]
    fn scrubbing_ends_when_its_time_is_over() {
        let patterns = TokenPatterns::of(&SecretString::from(TOKEN));
        let bytes = b"%25".repeat(PIECE);
        let mut asked = 0;

        let scrubbed = patterns.scrub_while(&bytes, || {
            asked += 1;
            asked < 2
        });

        assert!(scrubbed.is_none() && asked == 2);
        assert!(patterns.scrub_while(&bytes[..PIECE], || false).is_some());
    }

    #[test]
    fn what_only_looks_like_it_stays_and_is_not_copied() {
        let patterns = TokenPatterns::of(&SecretString::from(TOKEN));

        for text in [
            "",
            "C",
            "CJ",
            "%",
            "%4",
            "%43",
            "%zz",
            "\\",
            "\\u004",
            "&#",
            "&#x43",
            "&#67",
            "CJ/s3-cre_T+x=",
            "cj/s3-cre_t+x==",
            "&#+67;J/s3-cre_T+x==",
        ] {
            assert!(matches!(patterns.scrub(text.as_bytes()), Cow::Borrowed(_)), "{text}");
        }
        assert!(matches!(TokenPatterns::of(&SecretString::from("")).scrub(b"a"), Cow::Borrowed(_)));
    }
}
