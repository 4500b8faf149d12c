//! The schema itself: it takes the lines of real runs and no others, and names no field that no line has.

use std::collections::BTreeSet;

use devstack::lambda::{LogLine, Stream};
use serde_json::{Value, json};

use super::{SCHEMA, lines, wrong};
use crate::world::{World, request};

/// Fields of lines that only a broken table makes.
const SELDOM: [&str; 3] = ["shard", "entries", "secret_id"];

fn printed(text: String) -> LogLine {
    LogLine { function: "token-refresh".to_owned(), pid: 1, stream: Stream::Out, text }
}

#[tokio::test]
async fn every_line_of_a_hard_life_is_as_the_schema_says() {
    let life = crate::secrecy::life().await;

    let wrong: Vec<String> =
        life.lines.iter().filter_map(|line| wrong(line).map(|why| format!("{why}: {line:?}"))).collect();

    assert!(life.lines.len() > 100);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_schema_names_no_field_that_no_line_has() {
    let lines = lines().await;

    let used: BTreeSet<&str> =
        lines.iter().flat_map(|line| line.as_object().unwrap().keys().map(String::as_str)).collect();

    let named = SCHEMA["properties"].as_object().unwrap().keys().map(String::as_str);
    let unused: Vec<&str> = named.filter(|name| !used.contains(name) && !SELDOM.contains(name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn a_line_that_is_not_as_the_schema_says_is_found() {
    let good = json!({"timestamp": "2026-11-24T21:20:30.000Z", "level": "INFO", "service": "token-refresh",
        "message": "tokens refreshed", "account_id": "acc_1"});
    let with = |name: &str, value: Value| {
        let mut line = good.clone();
        line[name] = value;
        wrong(&printed(line.to_string()))
    };

    assert_eq!(with("account_id", json!("acc_2")), None);
    for (name, value) in [
        ("timestamp", json!("2026-11-24 21:20:30")),
        ("level", json!("TRACE")),
        ("service", json!("oauth-callback")),
        ("message", json!("")),
        ("account_id", json!("acc 1")),
        ("path", json!("/crm/v3/objects/contacts")),
        ("cause", json!("error sending request for url https://api.hubapi.com/")),
        ("cause", json!({"nested": true})),
        ("executions", json!(1)),
        ("stack", json!("local")),
        ("due", json!(3)),
    ] {
        assert!(with(name, value.clone()).is_some(), "{name} {value}");
    }
    assert!(wrong(&printed("not JSON".to_owned())).is_some());
}

#[tokio::test]
async fn every_line_names_its_invocation_and_only_the_first_is_cold() {
    let world = World::start().await;
    for _ in 0..3 {
        world.stack.post_automation(request("acc_none", None).to_string()).await;
    }

    let lines = world.stack.lambda.stop().await;

    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(&line.text).unwrap()).collect();
    let cold: Vec<&Value> = lines.iter().map(|line| &line["cold_start"]).collect();
    let ids: BTreeSet<&str> = lines.iter().filter_map(|line| line["function_request_id"].as_str()).collect();
    assert_eq!((cold, ids.len()), (vec![&json!(true), &json!(false), &json!(false)], 3));
    assert!(lines.iter().all(|line| line["xray_trace_id"].as_str().unwrap().starts_with("1-")));
}
