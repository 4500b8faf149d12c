//! Headers over the wire: what a customer writes into names and values makes no other header and no other request.

use devstack::hubspot::RecordedRequest;
use serde_json::{Value, json};

use super::{access_token, connected, to, with};
use crate::world::World;
use attacks::tally::Tally;
use attacks::{foreign, gadgets};

const ALLOWED: [&str; 6] =
    ["accept", "accept-language", "content-type", "if-match", "if-none-match", "if-modified-since"];

/// The head that HubSpot has to see, line by line in any order, for these headers of a customer.
fn head(world: &World, token: &str, method: &str, own: &[(&str, &str)], length: Option<usize>) -> Vec<String> {
    let mut lines = vec![
        format!("{method} /crm/v3/owners HTTP/1.1"),
        format!("authorization: Bearer {token}"),
        format!("host: {}", world.stack.hubspot.url().trim_start_matches("http://")),
    ];
    lines.push(format!("user-agent: hubspot-automations/{}", env!("CARGO_PKG_VERSION")));
    lines.extend(own.iter().map(|(name, value)| format!("{name}: {value}")));
    if !own.iter().any(|(name, _)| *name == "accept") {
        lines.push("accept: */*".to_owned());
    }
    lines.extend(length.map(|length| format!("content-length: {length}")));
    lines.sort();
    lines
}

/// Checks that the raw bytes are this head, ended by an empty line, and this body.
fn is(sent: &RecordedRequest, head: &[String], body: &str) -> Result<(), String> {
    let raw = std::str::from_utf8(&sent.raw).map_err(|error| error.to_string())?;
    let (lines, rest) = raw.split_once("\r\n\r\n").ok_or("the head has no end")?;
    let mut lines: Vec<&str> = lines.split("\r\n").collect();
    lines.sort_unstable();
    if lines == head && rest == body && sent.complete { Ok(()) } else { Err(format!("HubSpot got {raw:?}")) }
}

/// Sends headers, of which `own` are to arrive or else the request is to be refused: exactly one request then, or none.
async fn judged(world: &World, token: &str, headers: Value, own: &[(&str, &str)]) -> Result<(), String> {
    world.stack.hubspot.forget_requests();
    let body = "x".repeat(own.len());
    let (method, fields) = match own {
        [] => ("GET", json!({ "headers": headers })),
        _ => ("POST", json!({ "headers": headers, "body_text": body })),
    };
    let answer = world.execute(&with(to(method, "/crm/v3/owners"), &fields)).await;
    let requests = world.stack.hubspot.requests();
    let printable = own.iter().all(|(_, value)| value.bytes().all(|b| (b' '..=b'~').contains(&b)));
    match (answer.status, requests.as_slice()) {
        (200, [sent]) if answer.body["attempts"] == 1 && printable => {
            let mut own = own.to_vec();
            // A body always has a type; an empty one says nothing.
            own.retain(|(name, value)| *name != "content-type" || !value.trim().is_empty());
            if method == "POST" && !own.iter().any(|(name, _)| *name == "content-type") {
                own.push(("content-type", "application/json"));
            }
            let length = (method == "POST").then_some(body.len());
            is(sent, &head(world, token, method, &own, length), &body)
        }
        (400, []) if answer.code() == "invalid_request" && !printable => Ok(()),
        (status, requests) => Err(format!("{status} {} with {} requests", answer.code(), requests.len())),
    }
}

/// The allowed header that a name means, blanks and a colon around it aside.
fn allowed(name: &str) -> Option<&'static str> {
    let name = name.trim_matches([' ', '\t', ':']);
    ALLOWED.into_iter().find(|allowed| allowed.eq_ignore_ascii_case(name))
}

#[tokio::test]
async fn lines_of_smuggling_tools_arrive_as_no_header_and_no_second_request() {
    let world = connected().await;
    let token = access_token(&world).await;
    let mut tally = Tally::new("header lines over the wire");

    for (number, line) in foreign::sample(gadgets::lines(), 3).into_iter().enumerate() {
        let (name, value) = line.split_once(':').unwrap_or((&line, "x"));
        let known = allowed(name);
        let own: Vec<(&str, &str)> = known.map(|known| (known, value)).into_iter().collect();
        let headers = json!([[name, value], [line, "x"], [format!("x\r\n{name}"), value], ["", line]]);
        tally.found(&line, judged(&world, &token, headers, &own).await);
        let known = ALLOWED[number % 6];
        if !(known == "content-type" && line.to_lowercase().contains("x-www-form")) {
            tally.found(&line, judged(&world, &token, json!({ known: line }), &[(known, &line)]).await);
        }
    }

    tally.finish(600);
}

#[tokio::test]
async fn of_all_names_only_those_of_the_allow_list_arrive() {
    let world = connected().await;
    let token = access_token(&world).await;
    let mut tally = Tally::new("header names over the wire");

    for name in gadgets::names() {
        let known = allowed(&name);
        let own: Vec<(&str, &str)> = known.map(|known| (known, "s3cret")).into_iter().collect();
        let disguised = [format!("x {name}"), format!("x\n{name}"), format!("x\0{name}")];
        let mut headers = vec![json!([name, "s3cret"])];
        headers.extend(disguised.map(|name| json!([name, "s3cret"])));
        tally.found(&name, judged(&world, &token, json!(headers), &own).await);
    }

    tally.finish(40);
}
