//! HubSpot's answer, as the engine gets it.

use devstack::hubspot::{Fault, Match};
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{access_token, connected, to, with};

#[tokio::test]
async fn hubspots_body_is_returned_as_json_text_base64_or_nothing() {
    let world = connected().await;
    let typed = |kind: &str, body: &[u8]| Answer::new(200).header("content-type", kind).body(body);
    let cases = [
        (typed("application/json", b"[1]"), json!({"body": [1]})),
        (typed("application/problem+json; charset=utf-8", b"{}"), json!({"body": {}})),
        (typed("application/json", b"null"), json!({"body": null})),
        (typed("application/json", b"{\"cut"), json!({"body_text": "{\"cut"})),
        (typed("application/json", b"{} {}"), json!({"body_text": "{} {}"})),
        (Answer::html(404, "<h1>\"Not\" here</h1>"), json!({"body_text": "<h1>\"Not\" here</h1>"})),
        (Answer::new(200).body("{}"), json!({"body_text": "{}"})),
        (typed("application/json", b"\"\xff\""), json!({"body_base64": "Iv8i"})),
        (typed("image/png", b"\x89PNG\x00"), json!({"body_base64": "iVBORwA="})),
        (typed("application/json", b""), json!({})),
        (Answer::new(204), json!({})),
        (Answer::new(304), json!({})),
        (Answer::declared_gzip(200, "{\"a\":1}"), json!({"body": {"a": 1}})),
    ];

    for (answered, expected) in cases {
        world.stack.hubspot.script(Match::api(), [Fault::Answer(answered.clone())]);
        let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

        assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("answered")), "{answered:?}");
        let mut hubspot = answer.body["hubspot"].clone();
        assert_eq!(hubspot["status"], answered.status);
        hubspot.as_object_mut().unwrap().retain(|name, _| name.starts_with("body"));
        assert_eq!(hubspot, expected, "{answered:?}");
    }
}

#[tokio::test]
async fn hubspots_json_comes_back_byte_for_byte() {
    let world = connected().await;
    let body = r#"{ "id" :123456789012345678901234567890,"n":1.0e2, "a":1,"a":2,"s":"\u00e9\/" }"#;
    let answered = Answer::new(200).header("content-type", "application/json").body(body);
    world.stack.hubspot.script(Match::api(), [Fault::Answer(answered)]);

    let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    assert!(answer.text.contains(&format!("\"body\":{body}")), "{}", answer.text);
}

#[tokio::test]
async fn only_harmless_headers_of_hubspot_come_back() {
    let world = connected().await;
    let answered = Answer::json(200, &json!({}))
        .header("ETag", "\"1\"")
        .header("Last-Modified", "then")
        .header("Location", "/there")
        .header("Content-Disposition", "inline")
        .header("X-HubSpot-Correlation-Id", "7")
        .header("Set-Cookie", "a=1")
        .header("Server", "x")
        .header("Access-Control-Allow-Origin", "*");
    world.stack.hubspot.script(Match::api(), [Fault::Answer(answered)]);

    let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    let headers = &answer.body["hubspot"]["headers"];
    assert_eq!(
        *headers,
        json!({
            "content-type": "application/json;charset=utf-8", "etag": "\"1\"", "last-modified": "then",
            "location": "/there", "content-disposition": "inline", "x-hubspot-correlation-id": "7",
        })
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_omitted_and_not_an_error() {
    let world = connected().await;
    let words = format!("\"{}\"", "x".repeat(6_100_000));
    let quotes = "\"".repeat(3_200_000);
    let cases = [
        Fault::Answer(Answer::new(200).header("content-type", "application/json").body(words)),
        Fault::Answer(Answer::html(200, &quotes)),
        Fault::Endless,
    ];

    for fault in cases {
        world.stack.hubspot.script(Match::api(), [fault]);
        let answer = world.execute(&with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {}}))).await;

        assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("answered")));
        let mut hubspot = answer.body["hubspot"].clone();
        hubspot.as_object_mut().unwrap().retain(|name, _| name.starts_with("body"));
        assert_eq!(hubspot, json!({"body_omitted": "too_large"}));
    }
    assert_eq!(world.stack.hubspot.api_requests().len(), 3, "nothing is sent twice");
}

#[tokio::test]
async fn the_token_is_scrubbed_where_hubspot_echoes_it() {
    let world = connected().await;
    let token = access_token(&world).await;
    world.stack.hubspot.script(Match::api(), [Fault::Echo]);

    let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    let headers = answer.body["hubspot"]["body"]["headers"].as_array().unwrap();
    let named: Vec<&Value> = headers.iter().filter(|header| header[0] == "authorization").collect();
    assert_eq!(named, [&json!(["authorization", "Bearer [REDACTED]"])], "{}", answer.text);
    assert!(!answer.text.contains(&token));
}
