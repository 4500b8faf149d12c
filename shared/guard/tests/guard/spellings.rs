//! Credentials in every spelling and position.

use std::collections::HashSet;

use super::*;
use attacks::properties::NAMES;
use attacks::tally::Tally;

/// How many spellings of each name are tried in each place: for `hapikey` all of its 14 bits.
const SPELLINGS: u32 = 1 << 14;

/// So many spellings at once make a request.
const TOGETHER: usize = 64;

/// One spelling of `name`: `choices` holds two bits per character (case, and percent-encoding or not), and wraps.
fn spelling(name: &str, choices: u32) -> String {
    name.chars()
        .enumerate()
        .map(|(at, letter)| {
            let choice = choices.rotate_right(u32::try_from(at * 2 % 32).unwrap());
            let letter = if choice & 1 == 0 { letter } else { letter.to_ascii_uppercase() };
            match (choice & 2 == 0, at % 2 == 0) {
                (true, _) => letter.to_string(),
                (false, true) => format!("%{:02x}", u32::from(letter)),
                (false, false) => format!("%{:02X}", u32::from(letter)),
            }
        })
        .collect()
}

/// Different spellings of `name`, some of them also wrapped in what servers overlook.
fn spellings(name: &str) -> Vec<String> {
    // Odd, so that all numbers are met: the first 14 bits of `hapikey` in order, a spread over those of longer names.
    let step = if name.len() == 7 { 1 } else { 2_654_435_761 };
    let all: Vec<String> = (0..SPELLINGS).map(|number| spelling(name, number.wrapping_mul(step))).collect();
    let different: HashSet<&String> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{name}");
    let wrapped = |(number, key): (usize, &String)| match number / 8 % 9 {
        0 => format!("%20{key}"),
        1 => format!("{key}[]"),
        2 => format!("{key}%5B0%5D"),
        3 => format!("+{key}+"),
        4 => key.replace('%', "%25"),
        5 => format!("{key}%00"),
        6 => format!("%e2%80%8b{key}"),
        7 => key.replace('%', "%2525"),
        // The second digit of every escape is an escape of its own.
        _ => key
            .split('%')
            .enumerate()
            .map(|(at, part)| if at == 0 { part.to_owned() } else { half_escaped(part) })
            .collect(),
    };
    let wrapped: Vec<String> = all.iter().enumerate().step_by(8).map(wrapped).collect();
    [all, wrapped].concat()
}

fn half_escaped(part: &str) -> String {
    format!("%{}%{:02x}{}", &part[..1], part.as_bytes()[1], &part[2..])
}

/// Query or form of these keys, at both ends and in between, with every separator; and what has to be left of it.
fn text_of(keys: &[String]) -> (String, String) {
    let (mut text, mut rest) = (String::new(), String::new());
    for (number, key) in keys.iter().enumerate() {
        let separator = if number % 3 == 0 { ';' } else { '&' };
        if number > 0 {
            text.push(separator);
        }
        match number % 4 {
            0 => text.push_str(key),
            1 => text.push_str(&format!("{key}=s3cret")),
            2 => text.push_str(&format!("{key}==s3cret%26a")),
            _ => text.push_str(&format!("{key}=&k{number}=%3D")),
        }
        if number % 4 == 3 {
            rest.push_str(&format!("{}k{number}=%3D", if rest.is_empty() { "" } else { "&" }));
        }
    }
    (text, rest)
}

/// Tries all spellings of all names, some of them at once; `attempt` gets name, keys, their text, and its rest.
fn all_spellings(what: &'static str, attempt: impl Fn(&str, &[String], &str, &str) -> Result<(), String>) {
    let mut tally = Tally::new(what);
    for name in NAMES {
        for keys in spellings(name).chunks(TOGETHER) {
            let (text, rest) = text_of(keys);
            tally.input(&text, || attempt(name, keys, &text, &rest));
            for _ in 1..keys.len() {
                tally.found(&(), Ok(()));
            }
        }
    }
    tally.finish(8 * 16_384);
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{found:?} instead of {wanted:?}")) }
}

#[test]
fn no_spelling_gets_through_in_the_query_of_an_endpoint() {
    all_spellings("spellings in the endpoint's query", |name, _, text, rest| {
        let target = target("GET", &format!("/crm?{text}")).map_err(|error| error.to_string())?;

        same(target.url().query(), Some(rest))?;
        same(target.ignored().to_vec(), vec![format!("query:{name}"); TOGETHER])
    });
}

#[test]
fn no_spelling_gets_through_in_the_field_query() {
    all_spellings("spellings in the field query", |name, keys, _, _| {
        let mut query: Vec<(String, String)> = keys.iter().map(|key| (key.clone(), "s3cret".to_owned())).collect();
        query.insert(keys.len() / 2, ("a".to_owned(), name.to_owned()));
        let target = Target::parse(&origin(), "GET", "/crm?b", &query).map_err(|error| error.to_string())?;

        same(target.url().query(), Some(format!("b&a={name}").as_str()))?;
        same(target.ignored().to_vec(), vec![format!("query:{name}"); TOGETHER])
    });
}

#[test]
fn no_spelling_gets_through_in_a_form() {
    all_spellings("spellings in a form", |name, keys, text, rest| {
        let (method, content_type) = ("POST", "application/x-www-form-urlencoded; charset=UTF-8");
        // Also as a JSON string, which is sent with its quotes.
        let (field, text, rest) = if keys[0].len() % 2 == 0 {
            ("body_text", text.to_owned(), rest.to_owned())
        } else {
            ("body", format!("x&{text}&y"), format!("\"x&{rest}&y\""))
        };
        let request =
            json!({"method": method, "endpoint": "/crm", "headers": {"content-type": content_type}, field: text});
        let call = call(&request).map_err(|error| error.to_string())?;

        same(call.body().map(String::from_utf8_lossy), Some(rest.into()))?;
        same(call.ignored(), &[format!("form:{name}")])
    });
}

#[test]
fn keys_that_only_look_alike_are_kept_wherever_they_stand() {
    let mut tally = Tally::new("innocent keys");
    let mut keys: Vec<String> = Vec::new();
    for name in NAMES {
        keys.extend(["s", "2", "_id", ".x", "-x", "%2Ex", "%5Fx"].map(|tail| format!("{name}{tail}")));
        keys.extend(["x", "my_", "x-", "properties[", "%70"].map(|head| format!("{head}{name}")));
        keys.extend((1..name.len()).map(|at| format!("{}{}", &name[..at], &name[at + 1..])));
        keys.extend((1..name.len()).map(|at| format!("{}.{}", &name[..at], &name[at..])));
        keys.extend((1..name.len()).map(|at| format!("{}%2D{}", &name[..at], &name[at..])));
    }
    for key in keys {
        let text = format!("{key}=1&q=hapikey&{key}=hapikey%3Dold%26access_token=x;{key}");
        tally.input(&key, || {
            let call = call(&json!({"method": "POST", "endpoint": format!("/crm?{text}"), "body_text": text,
                "headers": {"content-type": "application/x-www-form-urlencoded"}}))
            .map_err(|error| error.to_string())?;

            same(call.target().url().query(), Some(text.as_str()))?;
            same(call.body(), Some(text.as_bytes()))?;
            same(call.ignored().len(), 0)
        });
    }
    tally.finish(300);
}

#[test]
fn lookalike_and_invisible_characters_are_judged_like_the_oracle() {
    let mut tally = Tally::new("keys with every character in them");
    let letters = "hapikeycstonlrfumz-_v";
    // Letters that have another case, fullwidth forms and tags; in the long form all planes that have letters.
    let end = if rounds() > 1 { 0x2_0000 } else { 0x3000 };
    for c in (0..end).chain(0xfb00..0x1_0000).chain(0xe_0000..0xe_0200).filter_map(char::from_u32) {
        let mut parts = vec![format!("h{c}apikey"), format!("{c}access_token{c}")];
        for letter in letters.chars() {
            let name = NAMES.into_iter().find(|name| name.contains(letter)).unwrap_or("hapikey");
            parts.push(name.replacen(letter, &c.to_string(), 1));
        }
        let text = parts.join("=1&a&");
        tally.input(&text, || properties::credentials(text.as_bytes()));
    }
    tally.finish(10_000);
}

#[test]
fn values_that_hold_the_name_of_a_credential_are_left_alone() {
    let endpoint = "/crm?q=hapikey&url=https%3A%2F%2Fx%3Fhapikey%3Dold%26a=1&hapikeys=1&sort=access_token";

    let target = target("GET", endpoint).unwrap();

    assert_eq!(target.url().as_str(), format!("{ORIGIN}{endpoint}"));
    assert_eq!(target.ignored(), [""; 0]);
}
