//! Headers: only those of the allow-list get into a call, whatever the others try.

use super::*;
use attacks::properties::{ALLOWED_HEADERS, may_be_sent};
use attacks::tally::Tally;

/// The call's headers: safe, and only those on the allow-list.
fn judged(headers: &Value, allowed: &[(&str, &str)]) -> Result<(), String> {
    let Ok(call) = call(&json!({"method": "PUT", "endpoint": "/crm", "headers": headers})) else { return Ok(()) };
    may_be_sent(&call)?;
    let sent: Vec<(&str, &str)> = call.headers().iter().map(|(name, value)| (*name, value.as_str())).collect();
    if sent == allowed { Ok(()) } else { Err(format!("{sent:?} instead of {allowed:?}")) }
}

/// The allowed header that a name means, with blanks and colons around it.
fn meant_by(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches([' ', '\t', ':']).trim_end_matches([' ', '\t', ':']);
    ALLOWED_HEADERS.into_iter().find(|allowed| allowed.eq_ignore_ascii_case(name))
}

fn only<'a>(name: Option<&'static str>, value: &'a str) -> Vec<(&'static str, &'a str)> {
    name.map(|name| (name, value)).into_iter().collect()
}

#[test]
fn lines_of_smuggling_tools_make_no_header() {
    let mut tally = Tally::new("header lines at the call");
    for line in gadgets::lines() {
        let (name, value) = line.split_once(':').unwrap_or((&line, "x"));
        let printable = value.bytes().all(|b| (b' '..=b'~').contains(&b));
        let known = meant_by(name);
        let allowed: Vec<(&str, &str)> = known.map(|known| (known, value)).into_iter().collect();

        tally.input(&line, || judged(&json!([[name, value]]), &allowed));
        tally.input(&line, || judged(&json!({ name: value }), &allowed));
        tally.input(&line, || judged(&json!([[line, "x"], [&name[..0], line]]), &only(meant_by(&line), "x")));
        for known in ALLOWED_HEADERS {
            tally.input(&line, || judged(&json!({ known: line }), &[(known, &line)]));
        }
        if known.is_some() && !printable {
            assert!(call(&json!({"method": "GET", "endpoint": "/crm", "headers": {name: value}})).is_err(), "{line:?}");
        }
    }
    tally.finish(9_000);
}

#[test]
fn no_name_but_those_of_the_allow_list_makes_a_header() {
    let mut tally = Tally::new("header names at the call");
    for name in gadgets::names() {
        let allowed = only(meant_by(&name), "s3cret");
        let (upper, lower) = (name.to_ascii_uppercase(), name.to_ascii_lowercase());

        tally.input(&name, || judged(&json!({ &name: "s3cret" }), &allowed));
        tally.input(&name, || judged(&json!({ upper: "s3cret" }), &allowed));
        tally.input(&name, || judged(&json!({ lower: "s3cret" }), &allowed));
        for disguised in
            [format!(" {name}"), format!("{name} "), format!("{name}\r\n"), format!("{name}:"), format!("x\r\n{name}")]
        {
            let allowed = only(meant_by(&disguised), "s3cret");
            tally.input(&disguised, || judged(&json!({ &disguised: "s3cret" }), &allowed));
        }
    }
    tally.finish(300);
}
