//! Idempotency keys while no process dies.

use std::time::Duration;

use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::wire::{Answer, At};
use serde_json::{Value, json};

use super::{contacts, create, keyed, row, sent, state, unmarked};
use crate::execution::{access_token, connected, to, with, writes};
use crate::world::{ACCOUNT, ADMIN, World};

#[tokio::test]
async fn the_same_key_and_request_writes_once_and_gets_the_same_answer() {
    let world = connected().await;

    let first = world.execute(&create("k")).await;
    let reads = (world.stack.dynamo.count("Query"), world.stack.secrets_manager.calls().len());
    let again = world.execute(&create("k")).await;
    let elsewhere = world.stack.post_automation(create("k").to_string()).await;

    assert_eq!((first.status, &first.body["hubspot"]["status"]), (200, &json!(201)), "{}", first.text);
    assert_eq!((again.status, unmarked(&again.text), &again.headers), (200, first.text.clone(), &first.headers));
    assert_eq!((elsewhere.status, unmarked(&elsewhere.text())), (200, first.text));
    assert_eq!((sent(&world), contacts(&world)), (1, 1));
    let now = (world.stack.dynamo.count("Query"), world.stack.secrets_manager.calls().len());
    assert_eq!(now, reads, "a replay reads neither the record nor the tokens");
}

#[tokio::test]
async fn without_a_key_nothing_is_noted_and_every_delivery_executes() {
    let world = connected().await;
    let mut request = create("k");
    request["idempotency_key"] = Value::Null;
    world.execute(&request).await;
    let before = writes(&world);

    let answer = world.execute(&request).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((sent(&world), writes(&world)), (2, before));
}

#[tokio::test]
async fn deliveries_at_once_in_one_process_and_several_write_once() {
    let world = connected().await;
    let gate = world.stack.hubspot.hold(Match::api(), At::After);
    let body = create("k").to_string();
    let others = async {
        gate.reached(1).await;
        let others = futures_util::future::join_all((0..4).map(|_| world.stack.post_automation(body.clone()))).await;
        gate.open();
        others
    };

    let (first, others) = tokio::join!(world.execute_text(&body), others);

    assert_eq!(first.body["hubspot"]["status"], 201, "{}", first.text);
    for other in others {
        let problem = other.json();
        assert_eq!((other.status, other.code().as_deref()), (409, Some("execution_in_progress")), "{problem}");
        assert_eq!((&problem["outcome"], &problem["retryable"]), (&json!("unknown"), &json!(true)));
        assert_eq!((other.header("retry-after"), &problem["retry_after_seconds"]), (Some("2"), &json!(2)));
    }
    assert_eq!(contacts(&world), 1);
    assert_eq!(unmarked(&world.stack.post_automation(body).await.text()), first.text);
}

#[tokio::test]
async fn a_key_of_another_request_is_a_conflict_and_neither_is_sent() {
    let world = connected().await;
    let integration = world.stack.newest_text(ACCOUNT, "integration_id").await.unwrap();
    let first = create("k");
    world.execute(&first).await;
    let changed = |name: &str, value: Value| with(first.clone(), &json!({name: value}));
    let mut of_an_integration = first.clone();
    of_an_integration["integration_id"] = json!(integration);

    for other in [
        changed("method", json!("PATCH")),
        changed("endpoint", json!("/crm/v3/objects/companies")),
        changed("query", json!({"a": 1})),
        changed("headers", json!({"Accept": "text/html"})),
        changed("body", json!({})),
    ] {
        let answer = world.execute(&other).await;
        assert_eq!((answer.status, answer.code()), (422, "idempotency_conflict"), "{other}: {}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("not_sent"), &json!(false)));
    }
    let named = world.execute(&of_an_integration).await;
    assert_eq!((named.status, &named.body["outcome"]), (200, &json!("answered")), "{}", named.text);
    assert_eq!(sent(&world), 1);
}

#[tokio::test]
async fn the_same_request_written_otherwise_is_the_same() {
    let world = connected().await;
    let body = r#"{"properties":{"email":"a@b.c"}}"#;
    let texts = [
        format!(
            r#"{{"account_id":"acc_1","idempotency_key":"k","request":{{"method":"POST","endpoint":"/crm/v3/objects/contacts",
            "headers":{{"Accept":"*/*","Content-Type":"application/json"}},"body":{body}}}}}"#
        ),
        format!(
            r#"{{"request":{{"body":{body},"headers":[["content-type","application/json"],["accept","*/*"]],"method":"post",
            "endpoint":"https://api.hubapi.com/crm/v3/objects/contacts?hapikey=x"}},"idempotency_key":"k",
            "deadline_ms":9000,"automation_id":"wf_7","account_id":"acc_1"}}"#
        ),
    ];

    let answers = [world.execute_text(&texts[0]).await, world.execute_text(&texts[1]).await];

    assert_eq!(answers[0].body["hubspot"]["status"], 201, "{}", answers[0].text);
    assert_eq!(answers[0].text, unmarked(&answers[1].text));
    assert_eq!(sent(&world), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_account() {
    let world = connected().await;
    world.stack.connect("acc_2", ADMIN).await;
    let mut other = create("k");
    other["account_id"] = json!("acc_2");

    let answers = [world.execute(&create("k")).await, world.execute(&other).await];

    assert_ne!(answers[0].body["execution_id"], answers[1].body["execution_id"]);
    assert_eq!(sent(&world), 2);
}

#[tokio::test]
async fn what_may_be_sent_again_and_what_was_not_sent_leaves_the_key_free() {
    let world = connected().await;
    let lost = [Fault::Close, Fault::Close, Fault::Close];
    let put = keyed(with(to("PUT", "/crm/v3/lists/1/memberships/add"), &json!({"body": []})), "k");
    let cases = [
        (create("k"), vec![Fault::rate_limited("DAILY").header("retry-after", "60")]),
        (create("k"), vec![Fault::status(423).header("retry-after", "9")]),
        (create("k"), vec![Fault::status(477)]),
        (put.clone(), vec![Fault::status(500)]),
        (put, lost.to_vec()),
    ];

    for (request, faults) in cases {
        world.stack.hubspot.script(Match::api(), faults.clone());
        let answer = world.execute(&request).await;
        assert_eq!(answer.body["retryable"], true, "{faults:?}: {}", answer.text);
        assert!(row(&world, "k").await.is_none(), "{faults:?}");
        world.pass(Duration::from_secs(70));
    }
    let mut refused = create("k");
    refused["integration_id"] = json!("nobodys");
    assert_eq!(world.execute(&refused).await.code(), "integration_not_found");
    assert!(row(&world, "k").await.is_none());
    assert_eq!(world.execute(&create("k")).await.body["hubspot"]["status"], 201);
}

#[tokio::test]
async fn a_replay_comes_before_the_newest_check() {
    let world = connected().await;
    let mut request = create("k");
    request["integration_id"] = json!(world.stack.newest_text(ACCOUNT, "integration_id").await.unwrap());
    let first = world.execute(&request).await;
    world.stack.connect_new_instance(ACCOUNT, ADMIN).await;

    let again = world.execute(&request).await;

    assert_eq!((again.status, unmarked(&again.text)), (200, first.text));
    request["idempotency_key"] = json!("another");
    assert_eq!(world.execute(&request).await.code(), "integration_superseded");
}

#[tokio::test]
async fn a_large_answer_is_replayed_without_its_body() {
    let world = connected().await;
    let answered = |bytes| {
        let body = format!("\"{}\"", "x".repeat(bytes));
        Fault::Answer(Answer::new(201).header("content-type", "application/json").body(body))
    };
    world.stack.hubspot.script(Match::api(), [answered(65_000), answered(65_537)]);

    let [small, large] = [world.execute(&create("small")).await, world.execute(&create("large")).await];

    assert_eq!(unmarked(&world.execute(&create("small")).await.text), small.text);
    assert!(large.body["hubspot"]["body"].is_string());
    let mut expected = large.body.clone();
    let hubspot = expected["hubspot"].as_object_mut().unwrap();
    hubspot.remove("body");
    hubspot.insert("body_omitted".to_owned(), json!("too_large"));
    expected["replayed"] = json!(true);
    assert_eq!(world.execute(&create("large")).await.body, expected);
    assert_eq!(sent(&world), 2);
}

#[tokio::test]
async fn a_key_can_be_used_anew_after_a_day() {
    let world = connected().await;
    let first = world.execute(&create("k")).await;

    world.pass(Duration::from_secs(24 * 3600 - 30));
    let before = world.execute(&create("k")).await;
    world.pass(Duration::from_secs(31));
    let after = world.execute(&create("k")).await;

    assert_eq!(unmarked(&before.text), first.text);
    assert_ne!(after.body["execution_id"], first.body["execution_id"]);
    assert_eq!(sent(&world), 2);
}

#[tokio::test]
async fn a_step_whose_answer_is_lost_and_which_is_repeated_is_a_step() {
    let world = connected().await;
    for nth in 1..=3 {
        let key = format!("k{nth}");
        let gate = world.stack.dynamo.hold_from("PutItem", nth, At::After);
        let losing = async {
            gate.reached(1).await;
            gate.lose();
        };

        let request = create(&key);
        let (answer, ()) = tokio::join!(world.execute(&request), losing);

        assert_eq!(answer.body["hubspot"]["status"], 201, "{nth}: {}", answer.text);
        assert_eq!(state(&world, &key).await.as_deref(), Some("answered"), "{nth}");
        assert_eq!(unmarked(&world.execute(&create(&key)).await.text), answer.text, "{nth}");
    }
    assert_eq!(contacts(&world), 3);
}

#[tokio::test]
async fn a_key_that_cannot_be_noted_is_not_sent() {
    let world = connected().await;
    for nth in 1..=2 {
        let gate = world.stack.dynamo.hold_from("PutItem", nth, At::Before);
        let failing = async {
            gate.reached(1).await;
            world.stack.dynamo.fail_next("PutItem", AwsFault::Refused, 9);
            gate.lose();
        };

        let request = create("k");
        let (answer, ()) = tokio::join!(world.execute(&request), failing);
        world.stack.dynamo.heal();

        assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{nth}: {}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("not_sent"), &json!(true)));
        assert!(row(&world, "k").await.is_none(), "{nth}");
    }
    assert_eq!(sent(&world), 0);
    assert_eq!(world.execute(&create("k")).await.body["hubspot"]["status"], 201);
}

#[tokio::test]
async fn neither_the_key_nor_a_token_is_stored_and_the_row_says_when_it_ends() {
    let world = connected().await;
    let token = access_token(&world).await;
    world.stack.hubspot.script(Match::api(), [Fault::Echo]);
    world.execute(&create("the-key-itself")).await;

    let row = row(&world, "the-key-itself").await.unwrap();

    let mut names: Vec<&str> = row.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = ["account_id", "answer", "digest", "expires_at", "heartbeat_at", "key_hash", "owner", "state"];
    assert_eq!(names, expected);
    let text = format!("{row:?}");
    // The contact's address is made from the key; it is in the answer that HubSpot echoed.
    assert!(!text.replace("the-key-itself@example.com", "").contains("the-key-itself"), "{text}");
    assert!(!text.contains(&token) && text.contains("[REDACTED]"), "{text}");
    let expires_at: i64 = row["expires_at"].as_n().unwrap().parse().unwrap();
    assert!((expires_at - world.clock.now() - 24 * 3600).abs() < 60, "{expires_at}");
}

#[tokio::test]
async fn hubspots_answer_is_returned_although_it_cannot_be_stored() {
    let world: World = connected().await;
    let gate = world.stack.dynamo.hold_from("PutItem", 3, At::Before);
    let mut request = create("k");
    request["deadline_ms"] = json!(1000);

    let answer = tokio::time::timeout(Duration::from_secs(5), world.execute(&request)).await;

    drop(gate);
    assert_eq!(answer.unwrap().body["hubspot"]["status"], 201);
    assert_eq!(contacts(&world), 1);
}
