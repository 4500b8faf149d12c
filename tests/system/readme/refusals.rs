//! The documented refusals and codes are those of the code.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::Match;
use devstack::wire::At;
use serde_json::{Value, json};
use shared::error::Error;

use crate::execution::{connected, tamper, to, with};
use crate::world::{ACCOUNT, ADMIN, Answer, World, request};

const API: &str = include_str!("../../../infra/docs/api.md");

/// The text between two headings or words of the page.
fn between(from: &str, to: &str) -> &'static str {
    API.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap()
}

/// The texts in backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the table of refusals: what is refused, and the code.
fn rows() -> Vec<(&'static str, &'static str)> {
    let table = between("## What is refused, and why", "Not refused but dropped");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[0], cells[1].trim_matches('`'))).collect()
}

/// The codes that the one map to HTTP knows, as its source has them: `fixed(404, "not_found", …)`.
fn codes_of_the_code() -> BTreeSet<&'static str> {
    let source = include_str!("../../../shared/src/error.rs");
    let map = source.split("fn facts(").nth(1).and_then(|rest| rest.split("\n    }\n").next()).unwrap();
    map.split("fixed(").skip(1).map(|row| row.split('"').nth(1).unwrap()).collect()
}

/// Requests of a row that need no more than an account that is connected.
fn plain(row: &str) -> Option<Vec<Value>> {
    let endpoints = |all: &[&str]| all.iter().map(|endpoint| to("GET", endpoint)).collect();
    let post = |more: Value| with(to("POST", "/crm/v3/objects/contacts"), &more);
    Some(match row {
        "another host, scheme or port than HubSpot's API" => endpoints(&[
            "https://evil.example/crm",
            "https://api.hubapi.com.evil.example/crm",
            "https://api.hubapi.com@evil.example/crm",
            "https://evil.example#@api.hubapi.com/crm",
            "http://169.254.169.254/latest/meta-data/",
            "http://127.0.0.1/crm",
            "file:///etc/passwd",
            "ftp://api.hubapi.com/crm",
            "https://api.hubapi.com:8443/crm",
        ]),
        "`/oauth/…`, `…/external-install`, in any encoding" => endpoints(&[
            "/oauth/2026-03/token",
            "/oauth/v1/access-tokens/x",
            "/OAuth/2026-03/token/introspect",
            "/%6fauth/2026-03/token",
            "/appinstalls/2026-03/external-install",
            "/appinstalls/v3/external-install",
            "/appinstalls/v3/External%2DInstall",
        ]),
        "`.` and `..` segments, `//` (except one right after the host), backslashes, control characters, a raw `;` in the path, bad percent-encodings in the path" => {
            endpoints(&[
                "/crm/./x",
                "/crm/../x",
                "/crm/%252e%252e/x",
                "/crm//x",
                "/crm\\x",
                "/crm/%0d",
                "/crm/\nx",
                "/crm/a;b",
                "/crm/%zz",
            ])
        }
        "methods other than GET, POST, PUT, PATCH, DELETE" => {
            ["HEAD", "OPTIONS", "TRACE", "CONNECT"].map(|method| to(method, "/crm")).into()
        }
        "an unknown or doubled field, more than one body" => {
            vec![
                post(json!({"boddy": 1})),
                post(json!({"body": 1, "body_text": "1"})),
                post(json!({"body_text": "1", "body_base64": "MQ=="})),
            ]
        }
        "a form in another charset than UTF-8" => {
            let headers = json!({"Content-Type": "application/x-www-form-urlencoded; charset=utf-16"});
            vec![post(json!({"headers": headers, "body_text": "a=1"}))]
        }
        "a request of more than 1 MiB as it arrives, a URL of more than 32 KiB (credentials in it included), a header of more than 8 KiB" =>
        {
            vec![
                post(json!({"body_text": "x".repeat(1024 * 1024)})),
                to("GET", &format!("/crm?x={}", "x".repeat(32 * 1024))),
                post(json!({"headers": {"Accept": "x".repeat(9 * 1024)}})),
            ]
        }
        "an account that has no integration" => vec![request("acc_none", None)],
        "an integration id the account does not have" => vec![request(ACCOUNT, Some("unknown"))],
        _ => return None,
    })
}

/// The ends of a row's requests.
async fn ends(row: &str) -> Vec<Answer> {
    let world = connected().await;
    if let Some(requests) = plain(row) {
        return futures_util::future::join_all(requests.iter().map(|request| world.execute(request))).await;
    }
    let list = to("GET", "/crm/v3/objects/contacts");
    let broken = AttributeValue::S("needs_reauthorization".to_owned());
    match row {
        "an automation of an older integration" => {
            let older = world.record(ACCOUNT, 1).await.unwrap().integration_id;
            world.stack.connect_new_instance(ACCOUNT, ADMIN).await;
            tamper(&world, ACCOUNT, 2, "status", Some(broken)).await;
            vec![world.execute(&request(ACCOUNT, Some(older.as_str()))).await]
        }
        "an integration that HubSpot no longer accepts" => {
            tamper(&world, ACCOUNT, 1, "status", Some(broken)).await;
            world.pass(std::time::Duration::from_secs(1801));
            vec![world.execute(&list).await]
        }
        "a portal whose rate limit is used up" => {
            let until = AttributeValue::N((world.clock.now() + 60).to_string());
            tamper(&world, ACCOUNT, 1, "cooldown_until", Some(until)).await;
            vec![world.execute(&list).await]
        }
        "an `idempotency_key` that was used for another request" => {
            vec![another_of_its_key(&world).await]
        }
        "an `idempotency_key` whose request is in flight" => vec![second_of_two(&world).await],
        _ => panic!("no request is known for the row: {row}"),
    }
}

fn keyed(key: &str, endpoint: &str) -> Value {
    let mut request = to("GET", endpoint);
    request["idempotency_key"] = json!(key);
    request
}

/// The answer to a request whose key was used for another one.
pub(crate) async fn another_of_its_key(world: &World) -> Answer {
    world.execute(&keyed("used", "/crm/v3/objects/contacts")).await;
    world.execute(&keyed("used", "/crm/v3/objects/deals")).await
}

/// The answer to a keyed request while the first of its key is still with HubSpot.
pub(crate) async fn second_of_two(world: &World) -> Answer {
    let gate = world.stack.hubspot.hold(Match::api(), At::After);
    let request = keyed("running", "/crm/v3/objects/contacts");
    let later = async {
        gate.reached(1).await;
        let answer = world.execute(&request).await;
        gate.open();
        answer
    };
    tokio::join!(world.execute(&request), later).1
}

#[tokio::test]
async fn documented_refusals_have_their_documented_code() {
    let rows = rows();
    assert!(rows.len() >= 14, "{rows:?}");

    for (row, code) in rows.into_iter() {
        let answers = Box::pin(ends(row)).await;

        assert!(!answers.is_empty(), "{row}");
        for answer in answers {
            assert_eq!(answer.code(), code, "{row}: {}", answer.text);
            let is_unsent = answer.body["outcome"] == "not_sent" || code == "execution_in_progress";
            assert!(is_unsent, "{row}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_doubled_field_is_refused_as_documented() {
    let world = connected().await;
    let doubled = to("GET", "/crm").to_string().replace("\"method\"", "\"method\":\"PUT\",\"method\"");

    let answer = world.execute_text(&doubled).await;

    assert_eq!(answer.code(), "invalid_request");
}

#[test]
fn codes_are_the_same_in_the_page_in_openapi_and_in_the_code() {
    let listed = quoted(between("carry `code`:", ".\n"));

    let documented = crate::openapi::codes();

    assert_eq!(listed, documented);
    assert_eq!(documented, codes_of_the_code());
    assert!(documented.contains(Error::NotFound.code()));
}

#[test]
fn the_refusal_table_lists_every_code_of_an_automation_request() {
    let table: BTreeSet<&str> = rows().into_iter().map(|(_, code)| code).collect();
    // Who calls, what our side lacks and what HubSpot does are no properties of a request.
    let others = [
        "unauthenticated",
        "forbidden",
        "internal",
        "hubspot_unreachable",
        "hubspot_timeout",
        "temporarily_unavailable",
    ];

    let all: BTreeSet<&str> = crate::openapi::codes_of_an_execution();

    let rest: BTreeSet<&str> = all.difference(&table).copied().collect();
    assert_eq!(rest, others.into());
    assert!(table.is_subset(&all), "{table:?}");
}
