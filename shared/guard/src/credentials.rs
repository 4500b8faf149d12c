//! The credentials that a customer pasted into an automation: which they are, in any disguise, and taking them out.
//!
//! Pure functions over bytes. A credential is recognised by the name of the header, query key or form key that
//! carries it; its value is never looked at and never copied anywhere.

use std::borrow::Cow;

/// Query and form keys that carry credentials in the form that [`normalize_key`] gives them.
///
/// The list is short on purpose: a key that only looks alike (`hapikeys`, `access_token_id`, `api_key`) may be a
/// property of the customer's own and stays.
const KEYS: [&str; 8] = [
    // HubSpot's API key, retired on 2022-11-30 and still in stored automations.
    "hapikey",
    // RFC 6750, sections 2.2 and 2.3: a bearer token in a form body or a query.
    "access_token",
    // OAuth client authentication and grants (RFC 6749, RFC 7521).
    "client_secret",
    "refresh_token",
    "client_assertion",
    // The header names of HubSpot's own OpenAPI, which people paste into the query as well.
    "private-app",
    "private-app-legacy",
    "authorization",
];

/// Headers that carry credentials. All headers outside the allow-list are dropped; this list only says which of them
/// an answer names, so it may be generous.
const HEADERS: [&str; 17] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "private-app",
    "private-app-legacy",
    "hapikey",
    "api-key",
    "apikey",
    "x-api-key",
    "x-hapikey",
    "access-token",
    "access_token",
    "x-access-token",
    "x-auth-token",
    "client_secret",
    "refresh_token",
    "client_assertion",
];

/// A query string or form body without its credentials, and their names.
#[derive(PartialEq, Eq)]
pub struct Cleaned<'a> {
    /// The rest, unchanged and in order; `None` if there were only credentials.
    pub rest: Option<Cow<'a, [u8]>>,
    /// The names of what was dropped, in order; a name may occur twice.
    pub dropped: Vec<&'static str>,
}

/// Takes the credentials out of a query string or a form body.
///
/// Parts are separated by `&` and by a raw `;`, since servers differ in whether they take the latter for a separator.
pub fn clean(text: &[u8]) -> Cleaned<'_> {
    let mut rest = Vec::new();
    let mut kept_any = false;
    let mut dropped = Vec::new();
    let mut start = 0;
    let mut separator = None;
    loop {
        let end = text[start..].iter().position(|b| matches!(b, b'&' | b';')).map_or(text.len(), |at| start + at);
        let part = &text[start..end];
        match credential(part.split(|b| *b == b'=').next().unwrap_or_default()) {
            Some(name) => dropped.push(name),
            None => {
                rest.extend(separator.filter(|_| kept_any));
                rest.extend_from_slice(part);
                kept_any = true;
            }
        }
        let Some(next) = text.get(end) else { break };
        separator = Some(*next);
        start = end + 1;
    }
    if dropped.is_empty() {
        return Cleaned { rest: Some(Cow::Borrowed(text)), dropped };
    }
    Cleaned { rest: kept_any.then_some(Cow::Owned(rest)), dropped }
}

/// The header's name as answers name it, if headers of this name carry credentials.
pub fn header(name: &str) -> Option<&'static str> {
    let name = normalize_key(name.as_bytes());
    HEADERS.into_iter().find(|known| *known == name)
}

/// The name of the credential that a raw query or form key carries, if it carries one.
fn credential(key: &[u8]) -> Option<&'static str> {
    let key = normalize_key(&decoded(key));
    let whole = key.replace(['[', ']'], "");
    // Several frameworks read `key[]`, `key[0]` and `key[x]` as values of `key`.
    let base = key.split('[').next().unwrap_or_default();
    KEYS.into_iter().find(|known| *known == whole || *known == base)
}

/// Percent-decodes until nothing is left to decode, in one pass.
///
/// Decoding is confluent (two escapes never overlap), so working from a stack gives what decoding again and again
/// gives, without its quadratic cost on `%25252525…`.
fn decoded(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len());
    for byte in key {
        out.push(*byte);
        while let [.., b'%', high, low] = out.as_slice() {
            let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { break };
            out.truncate(out.len() - 3);
            out.push(high << 4 | low);
        }
    }
    out
}

/// The value of one hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Folds case and width, and leaves out what servers trim or overlook: blanks (`+` is one in a key), control
/// characters, characters without width, and what is no UTF-8; and quotes, since a form that is given as a JSON string
/// is sent with them.
fn normalize_key(key: &[u8]) -> String {
    let invisible = |c: char| {
        c.is_whitespace()
            || c.is_control()
            // The last one is what the lower case of `İ` leaves beside an `i`.
            || matches!(c, '+' | '"' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fffd}' | '\u{307}')
    };
    fold(&String::from_utf8_lossy(key)).filter(|c| !invisible(*c)).collect()
}

/// Folds width (fullwidth forms of ASCII) and case, `ſ`, `ı` and the Kelvin sign included: each of them equals its
/// ASCII letter where a server compares without case.
pub(crate) fn fold(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(fold_width).flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// The ASCII character of a fullwidth form (U+FF01 to U+FF5E), and any other character as it is.
fn fold_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> (Option<String>, Vec<&'static str>) {
        let Cleaned { rest, dropped } = clean(text.as_bytes());
        (rest.map(|rest| String::from_utf8(rest.into_owned()).unwrap()), dropped)
    }

    #[test]
    fn credentials_go_and_everything_else_stays_in_order() {
        for (text, rest, dropped) in [
            ("hapikey=old", None, vec!["hapikey"]),
            ("hapikey", None, vec!["hapikey"]),
            ("hapikey=old&a=1", Some("a=1"), vec!["hapikey"]),
            ("a=1&hapikey=old", Some("a=1"), vec!["hapikey"]),
            ("a=1&hapikey=old&b=2", Some("a=1&b=2"), vec!["hapikey"]),
            ("a=1;hapikey=old;b=2&c", Some("a=1;b=2&c"), vec!["hapikey"]),
            ("a=1&hapikey=old;b=2", Some("a=1;b=2"), vec!["hapikey"]),
            ("a&amp;hapikey=old", Some("a&amp"), vec!["hapikey"]),
            ("&&hapikey=old&&a=1&", Some("&&&a=1&"), vec!["hapikey"]),
            ("hapikey=old&a=1&", Some("a=1&"), vec!["hapikey"]),
            ("hapikey=old&", Some(""), vec!["hapikey"]),
            (
                "Access_Token=x&client_secret=y&refresh_token=z",
                None,
                vec!["access_token", "client_secret", "refresh_token"],
            ),
            (
                "client_assertion=x&private-app=y&Private-App-Legacy=z&authorization=w&k",
                Some("k"),
                vec!["client_assertion", "private-app", "private-app-legacy", "authorization"],
            ),
            ("a=1&a=2&b=%3D%26&c=x%20y+z&&d", Some("a=1&a=2&b=%3D%26&c=x%20y+z&&d"), vec![]),
            ("\"hapikey=old&a=1\"", Some("a=1\""), vec!["hapikey"]),
            ("", Some(""), vec![]),
        ] {
            assert_eq!(cleaned(text), (rest.map(str::to_owned), dropped), "{text}");
        }
    }

    #[test]
    fn a_disguised_key_is_seen_through() {
        for key in [
            "%68apikey",
            "%2568apikey",
            "%252525252568apikey",
            "%2%3568apikey",
            "HaPiKeY",
            "hapikey[]",
            "hapikey%5B%5D",
            "hapikey[0]",
            "[hapikey]",
            "+hapikey+",
            "%20hapikey%09",
            "hapi%2Bkey",
            "hapikey%00",
            "hapi%E2%80%8Bkey",
            "%EF%BB%BFhapikey",
            "%EF%BD%88%EF%BD%81%EF%BD%90%EF%BD%89%EF%BD%8B%EF%BD%85%EF%BD%99",
            "ｈａｐｉｋｅｙ",
            "HAPI%E2%84%AAEY",
            "hap%C4%B1key",
            "%FFhapikey",
        ] {
            assert_eq!(cleaned(&format!("a=1&{key}=old&b=2")), (Some("a=1&b=2".to_owned()), vec!["hapikey"]), "{key}");
        }
        assert_eq!(cleaned("acce%C5%BF%C5%BF_token=x").1, ["access_token"]);
    }

    #[test]
    fn an_innocent_key_that_only_looks_alike_stays() {
        for key in [
            "hapikeys",
            "xhapikey",
            "hapi_key",
            "hapi-key",
            "apikey",
            "api_key",
            "hapike",
            "my_hapikey",
            "hapikey2",
            "token",
            "access_tokens",
            "access-token",
            "accesstoken",
            "access_token_id",
            "client_id",
            "secret",
            "refresh",
            "client_secrets",
            "properties[hapikey]",
            "key",
            "idProperty",
            "after",
            "h%61pikez",
            "%",
            "%6",
            "hapikey.x",
            "a%3Dhapikey",
        ] {
            let text = format!("{key}=hapikey&q=hapikey%3Dold&{key}");

            assert_eq!(cleaned(&text), (Some(text.clone()), vec![]), "{key}");
        }
    }

    #[test]
    fn decoding_on_a_stack_gives_what_decoding_again_and_again_gives() {
        let again = |key: &[u8]| {
            let mut key = key.to_vec();
            loop {
                let next: Vec<u8> = percent_encoding::percent_decode(&key).collect();
                if next == key {
                    return key;
                }
                key = next;
            }
        };
        let alphabet = b"%256a%";
        for number in 0..6_u32.pow(7) {
            let key: Vec<u8> = (0..7).map(|at| alphabet[(number / 6_u32.pow(at) % 6) as usize]).collect();
            assert_eq!(decoded(&key), again(&key), "{}", String::from_utf8_lossy(&key));
        }
    }

    #[test]
    fn a_key_of_a_million_nested_escapes_is_decoded_at_once() {
        let key = format!("%{}68apikey=x", "25".repeat(500_000));

        assert_eq!(cleaned(&key), (None, vec!["hapikey"]));
    }

    #[test]
    fn headers_that_carry_credentials_are_known_in_any_case() {
        for (name, known) in [
            ("Authorization", Some("authorization")),
            ("AUTHORIZATION\r\n", Some("authorization")),
            (" private-app ", Some("private-app")),
            ("Cookie", Some("cookie")),
            ("X-Api-Key", Some("x-api-key")),
            ("x-forwarded-for", None),
            ("accept", None),
            ("", None),
        ] {
            assert_eq!(header(name), known, "{name:?}");
        }
    }
}
