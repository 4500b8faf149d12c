//! Bad input: its problem code, a detail that says what to do, nothing sent and nothing written.

use serde_json::{Value, json};

use super::{connected, to, with, writes};
use crate::world::{Answer, World, request};

/// Executes what has to be refused.
async fn refused(world: &World, text: &str) -> Answer {
    let before = (writes(world), world.stack.hubspot.requests().len());
    let answer = world.execute_text(text).await;
    assert_eq!((writes(world), world.stack.hubspot.requests().len()), before, "something happened for {text:.200}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{text:.200}: {}", answer.text);
    assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("not_sent"), &json!(false)));
    assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{}", answer.text);
    assert!(!answer.text.contains("s3cret"), "{}", answer.text);
    answer
}

#[tokio::test]
async fn what_is_no_request_is_invalid_and_nothing_happens() {
    let good = r#"{"account_id":"acc_1","request":{"method":"GET","endpoint":"/crm"}}"#;
    let texts = [
        "".to_owned(),
        "s3cret".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("{good} {good}"),
        format!("{good},"),
        good.replace("/crm", "/crm\u{0}"),
        good.replace("/crm\"", "/crm"),
        good.replace(r#""acc_1""#, "7.5"),
        good.replace(r#""acc_1""#, "-7"),
        good.replace("acc_1", ""),
        good.replace("acc_1", "a b"),
        good.replace("acc_1", &"x".repeat(129)),
        good.replace(r#""account_id""#, r#""account_id":"acc_1","account_id""#),
        good.replace(r#""method""#, r#""method":"GET","method""#),
        format!("{}{good}{}", "[".repeat(100_000), "]".repeat(100_000)),
    ];
    let world = connected().await;

    for text in texts {
        let answer = refused(&world, &text).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{text:.200}: {}", answer.text);
    }
}

#[tokio::test]
async fn each_bad_field_is_named_with_what_it_may_be() {
    let outer = |name: &str, value: Value| {
        let mut request = request("acc_1", None);
        request[name] = value;
        (request, name.to_owned())
    };
    let inner = |name: &str, value: Value| {
        (with(to("POST", "/crm/v3/objects/contacts"), &json!({name: value})), format!("request.{name}"))
    };
    let two_bodies = |one: &str, other: &str| {
        let fields = json!({one: "YQ==", other: "YQ=="});
        (with(to("POST", "/crm/v3/objects/contacts"), &fields), "body".to_owned())
    };
    let mut unknown_outside = request("acc_1", None);
    unknown_outside["deadlineMs"] = json!("s3cret");
    let cases = [
        outer("account_id", Value::Null),
        outer("integration_id", json!("a.b")),
        outer("integration_id", json!("")),
        outer("integration_id", json!(7)),
        outer("automation_id", json!("x".repeat(129))),
        outer("automation_id", json!("a\nb")),
        outer("automation_id", json!(7)),
        outer("deadline_ms", json!(999)),
        outer("deadline_ms", json!(25_001)),
        outer("deadline_ms", json!(-1)),
        outer("deadline_ms", json!(1000.5)),
        outer("deadline_ms", json!("2000")),
        outer("idempotency_key", json!("")),
        outer("idempotency_key", json!("x".repeat(129))),
        outer("idempotency_key", json!("a\u{7f}")),
        outer("idempotency_key", json!(7)),
        outer("request", Value::Null),
        outer("request", json!("s3cret")),
        outer("request", json!([])),
        inner("method", Value::Null),
        inner("method", json!("HEAD")),
        inner("method", json!("TRACE")),
        inner("method", json!("GET /x HTTP/1.1\r\n")),
        inner("endpoint", Value::Null),
        inner("endpoint", json!(7)),
        inner("endpoint", json!("")),
        inner("endpoint", json!("crm/v3/owners")),
        inner("endpoint", json!("//api.hubapi.com/crm")),
        inner("endpoint", json!("/crm/../oauth/2026-03/token")),
        inner("endpoint", json!("/crm/%2e%2e/x")),
        inner("endpoint", json!("/crm/%252e%252e/x")),
        inner("endpoint", json!("/crm//x")),
        inner("endpoint", json!("/crm\\x")),
        inner("endpoint", json!("/crm/x%0d%0aHost:%20evil")),
        inner("endpoint", json!("/crm/x\r\nHost: evil")),
        inner("endpoint", json!("/crm/%zz")),
        inner("endpoint", json!("/crm/a;b")),
        inner("query", json!("a=1")),
        inner("query", json!({"a": {"b": 1}})),
        inner("query", json!({"a": null})),
        inner("query", json!([["a", "b", "s3cret"]])),
        inner("headers", json!("Accept: x")),
        inner("headers", json!([["Accept"]])),
        inner("headers", json!([["Accept", "a"], ["accept", "b"]])),
        inner("headers", json!({"Content-Type": "a\r\nX: s3cret"})),
        inner("headers", json!({"If-Match": ["s3cret"]})),
        inner("headers", json!({"Content-Type": "ü"})),
        inner("body_text", json!({"s3cret": 1})),
        inner("body_base64", json!("s3cret!")),
        inner("body_base64", json!("YQ")),
        two_bodies("body", "body_text"),
        two_bodies("body", "body_base64"),
        two_bodies("body_text", "body_base64"),
        (unknown_outside, "`deadlineMs`".to_owned()),
        (with(to("GET", "/crm/v3/owners"), &json!({"querry": {"hapikey": "s3cret"}})), "`querry`".to_owned()),
    ];
    let world = connected().await;

    for (request, name) in cases {
        let answer = refused(&world, &request.to_string()).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{request}: {}", answer.text);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(&name), "{detail} does not name {name}");
    }
}

#[tokio::test]
async fn a_request_of_exactly_a_mebibyte_is_sent() {
    let world = connected().await;
    let empty = with(to("POST", "/crm/v3/objects/contacts"), &json!({"body_text": ""})).to_string();
    let room = 1024 * 1024 - empty.len();
    let full = with(to("POST", "/crm/v3/objects/contacts"), &json!({"body_text": "x".repeat(room)})).to_string();
    assert_eq!(full.len(), 1024 * 1024);

    let answer = world.execute_text(&full).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(super::only_request(&world).body.len(), room);
}
