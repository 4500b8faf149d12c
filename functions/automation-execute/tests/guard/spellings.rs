//! Credentials in every spelling and position.

use automation_execute::credentials;

use super::*;

const NAMES: [&str; 8] = [
    "hapikey",
    "access_token",
    "client_secret",
    "refresh_token",
    "client_assertion",
    "private-app",
    "private-app-legacy",
    "authorization",
];

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

#[test]
fn all_16384_spellings_of_hapikey_are_dropped_in_every_position_of_an_endpoint() {
    for choices in 0..1 << 14 {
        let key = spelling("hapikey", choices);
        let endpoint = format!("/crm?{key}=1&a=1&{key}=2;{key}&%20{key}[]=3;b=%3D&{key}=");

        let target = target("GET", &endpoint).unwrap();

        assert_eq!(target.url().as_str(), "https://api.hubapi.com/crm?a=1;b=%3D", "{key}");
        assert_eq!(target.ignored().first().map(String::as_str), Some("query:hapikey"));
    }
}

#[test]
fn spellings_of_every_credential_are_dropped_from_query_field_and_form() {
    for name in NAMES {
        for number in 0..512_u32 {
            let key = spelling(name, number.wrapping_mul(2_654_435_761));
            let request = json!({
                "method": "POST", "endpoint": format!("/crm?{key}=1"), "query": [[key, "2"], ["a", "1"], [key, ["3", 4]]],
                "headers": {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"},
                "body_text": format!("{key}=1&b=%3D;{key}=2&c&{key}"),
            });

            let call = accepted(&request);

            assert_eq!(call.target().url().as_str(), "https://api.hubapi.com/crm?a=1", "{key}");
            assert_eq!(call.body().unwrap(), b"b=%3D&c", "{key}");
            assert_eq!(call.ignored(), [format!("query:{name}"), format!("form:{name}")], "{key}");
        }
    }
}

#[test]
fn sixteen_thousand_spellings_of_every_credential_are_seen_through() {
    for name in NAMES {
        for number in 0..1_u32 << 14 {
            let key = spelling(name, number.wrapping_mul(2_654_435_761));
            let text = format!("a&{key}=x;b");

            let cleaned = credentials::clean(text.as_bytes());

            assert_eq!(cleaned.rest.as_deref(), Some(b"a;b".as_slice()), "{key}");
            assert_eq!(cleaned.dropped, [name], "{key}");
        }
    }
}

#[test]
fn values_that_hold_the_name_of_a_credential_are_left_alone() {
    let endpoint = "/crm?q=hapikey&url=https%3A%2F%2Fx%3Fhapikey%3Dold%26a=1&hapikeys=1&sort=access_token";

    let target = target("GET", endpoint).unwrap();

    assert_eq!(target.url().as_str(), format!("{ORIGIN}{endpoint}"));
    assert_eq!(target.ignored(), [""; 0]);
}
