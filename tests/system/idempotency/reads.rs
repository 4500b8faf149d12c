//! Data stored under a key: nothing for a read, the minimum for a write.

use std::time::Duration;

use devstack::hubspot::{Fault, Match};
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{create, keyed, row, sent, state};
use crate::execution::{connected, to, with};

fn reads(key: &str) -> [Value; 3] {
    let search = with(to("POST", "/crm/v3/objects/contacts/search"), &json!({"body": {"limit": 1}}));
    let batch = with(to("POST", "/crm/v3/objects/contacts/batch/read"), &json!({"body": {"inputs": []}}));
    [to("GET", "/crm/v3/objects/contacts"), search, batch].map(|request| keyed(request, key))
}

#[tokio::test]
async fn nothing_of_a_reads_answer_is_stored_and_it_executes_again() {
    let world = connected().await;
    for (nth, request) in reads("read").into_iter().enumerate() {
        let key = format!("read-{nth}");
        let request = keyed(request, &key);
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script_always(Match::api(), Fault::Answer(Answer::json(200, &json!({"name": "Jane"}))));

        let first = world.execute(&request).await;
        let stored = row(&world, &key).await.unwrap();
        let second = world.execute(&request).await;

        assert_eq!((first.status, second.status, sent(&world)), (200, 200, 2), "{} {}", first.text, second.text);
        assert!(!stored.contains_key("answer") && !format!("{stored:?}").contains("Jane"), "{stored:?}");
        assert_eq!(second.body["hubspot"]["body"], json!({"name": "Jane"}));
        assert!(second.body["replayed"].is_null() && first.body["execution_id"] != second.body["execution_id"]);
        assert_eq!(state(&world, &key).await.as_deref(), Some("answered"));
    }
}

#[tokio::test]
async fn the_key_of_a_read_cannot_serve_another_request() {
    let world = connected().await;
    let [list, search, _] = reads("one");

    world.execute(&list).await;
    let other = world.execute(&search).await;

    assert_eq!((other.status, other.code()), (422, "idempotency_conflict"), "{}", other.text);
}

#[tokio::test]
async fn a_replay_says_that_it_is_one() {
    let world = connected().await;
    let request = create("replayed");

    let first = world.execute(&request).await;
    let second = world.execute(&request).await;

    assert!(first.body["replayed"].is_null(), "{}", first.text);
    assert_eq!((&second.body["replayed"], sent(&world)), (&json!(true), 1), "{}", second.text);
    assert_eq!(second.body["execution_id"], first.body["execution_id"]);
}

#[tokio::test]
async fn a_body_over_64_kilobytes_is_not_stored() {
    let world = connected().await;
    for (length, kept) in [(60_000, true), (70_000, false)] {
        let key = format!("length-{length}");
        let text = "a".repeat(length);
        world.stack.hubspot.script(Match::api(), [Fault::Answer(Answer::json(201, &json!(text)))]);

        let first = world.execute(&create(&key)).await;
        let second = world.execute(&create(&key)).await;

        assert_eq!(first.body["hubspot"]["body"], json!(text));
        let replayed = &second.body["hubspot"];
        assert_eq!(replayed["body"] == json!(text), kept, "{length}");
        assert_eq!(replayed["body_omitted"] == json!("too_large"), !kept, "{length}");
        assert_eq!(replayed["status"], 201);
    }
}

#[tokio::test]
async fn a_time_out_that_is_repeated_with_its_key_is_not_retryable() {
    let world = connected().await;
    world.stack.hubspot.script_always(Match::api(), Fault::StallAnswer(Duration::from_secs(9)));
    let delete = to("DELETE", "/crm/v3/objects/contacts/1");
    for (key, request, stored) in [("list", to("GET", "/crm/v3/objects/contacts"), false), ("delete", delete, true)] {
        let mut request = keyed(request, key);
        request["deadline_ms"] = json!(1_000);
        world.stack.hubspot.forget_requests();

        let first = world.execute(&request).await;
        let second = world.execute(&request).await;
        let third = world.execute(&request).await;

        let end = |answer: &crate::world::Answer| (answer.code().to_owned(), answer.body["retryable"].clone());
        assert_eq!(end(&first), ("hubspot_timeout".to_owned(), json!(true)), "{key}: {}", first.text);
        assert!(first.body["detail"].as_str().unwrap().contains("smaller page"), "{}", first.text);
        for later in [&second, &third] {
            assert_eq!(end(later), ("hubspot_timeout".to_owned(), json!(false)), "{key}: {}", later.text);
            assert_eq!(later.body["outcome"], "unknown");
        }
        assert_eq!(sent(&world), if stored { 2 } else { 3 }, "{key}");
    }
}

#[tokio::test]
async fn a_key_whose_request_timed_out_is_free_for_another() {
    let world = connected().await;
    world.stack.hubspot.script(Match::api(), [Fault::StallBody(0)]);
    let mut request = keyed(to("GET", "/crm/v3/objects/contacts"), "free");
    request["deadline_ms"] = json!(1_000);

    let first = world.execute(&request).await;
    let other = world.execute(&keyed(to("GET", "/crm/v3/objects/deals"), "free")).await;

    assert_eq!((first.code(), other.status), ("hubspot_timeout", 200), "{} {}", first.text, other.text);
}
