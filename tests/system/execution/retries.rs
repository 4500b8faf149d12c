//! Waits before a request is sent again, and the note of its use. Lost answers and server errors are in `losses`, forms of
//! answers in `forms`.

use std::time::Duration;

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::At;
use serde_json::{Value, json};

use super::{connected, only_request, to, with, writes};
use crate::world::World;

fn create() -> Value {
    with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {"email": "a@b.c"}}}))
}

fn list() -> Value {
    to("GET", "/crm/v3/objects/contacts")
}

fn sent(world: &World) -> usize {
    world.stack.hubspot.api_requests().len()
}

#[tokio::test]
async fn the_largest_number_after_a_wait_is_a_long_wait() {
    let world = connected().await;
    world.clock.skip_waits();
    let locked = Fault::status(423).header("retry-after", "1");
    let absurd = Fault::status(503).header("retry-after", "18446744073709551615");
    world.stack.hubspot.script(Match::api(), [locked, absurd]);

    let answer = world.execute(&list()).await;

    assert_eq!((&answer.body["hubspot"]["status"], &answer.body["attempts"]), (&json!(503), &json!(2)));
    assert_eq!(answer.body["retry_after_seconds"], 86_400, "{}", answer.text);
}

#[tokio::test]
async fn what_comes_after_a_wait_may_not_be_sent_again_either() {
    let world = connected().await;
    let limited = Fault::rate_limited("SECONDLY").header("retry-after", "0");
    world.stack.hubspot.script(Match::api(), [limited, Fault::CloseAfterEffect]);

    let answer = world.execute(&create()).await;

    assert_eq!(
        (answer.status, answer.code(), &answer.body["outcome"]),
        (502, "hubspot_unreachable", &json!("unknown"))
    );
    assert_eq!(sent(&world), 2);
    assert_eq!(world.stack.hubspot.objects(PORTAL, "contacts").len(), 1);
}

#[tokio::test]
async fn a_rate_limit_that_passes_soon_is_waited_for_whatever_the_method() {
    let world = connected().await;
    let limited = Fault::rate_limited("SECONDLY").header("retry-after", "1");
    world.stack.hubspot.script(Match::api(), [limited, Fault::Pass]);

    let answer = world.execute(&create()).await;

    assert_eq!(
        (&answer.body["hubspot"]["status"], &answer.body["attempts"]),
        (&json!(201), &json!(2)),
        "{}",
        answer.text
    );
    assert_eq!(world.stack.hubspot.objects(PORTAL, "contacts").len(), 1);
}

#[tokio::test]
async fn a_locked_resource_is_tried_again_whatever_the_method() {
    let world = connected().await;
    let locked = Fault::status(423).header("retry-after", "0");
    world.stack.hubspot.script(Match::api(), [locked.clone(), Fault::Pass, locked.clone(), locked.clone(), locked]);

    let passed = world.execute(&create()).await;
    let stays = world.execute(&create()).await;

    assert_eq!((&passed.body["hubspot"]["status"], &passed.body["attempts"]), (&json!(201), &json!(2)));
    assert_eq!((&stays.body["hubspot"]["status"], &stays.body["retryable"]), (&json!(423), &json!(true)));
    assert_eq!(world.execute(&list()).await.status, 200, "one locked resource limits no other request");
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_reported_at_once() {
    let world = connected().await;
    // A wait that is made otherwise.
    let limited = Fault::rate_limited("SECONDLY").header("retry-after", "3");
    world.stack.hubspot.script_always(Match::api(), limited);
    let mut request = list();
    request["deadline_ms"] = json!(2900);

    let answer = world.execute(&request).await;

    assert!(answer.body["duration_ms"].as_u64() < Some(2900), "{}", answer.text);
    assert_eq!((&answer.body["hubspot"]["status"], &answer.body["attempts"]), (&json!(429), &json!(1)));
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let world = connected().await;
    let gate = world.stack.dynamo.hold("Query", At::Before);
    let mut request = list();
    request["deadline_ms"] = json!(5000);

    let late = async {
        gate.reached(1).await;
        world.clock.advance(Duration::from_secs(6));
        gate.open();
    };
    let (answer, ()) = tokio::join!(world.execute(&request), late);

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("not_sent"), &json!(true)));
    assert_eq!(sent(&world), 0);
}

#[tokio::test]
async fn the_use_is_noted_once_an_hour_beside_the_call() {
    let world = connected().await;
    world.execute(&list()).await;
    let noted = world.record(crate::world::ACCOUNT, 1).await.unwrap().last_used_at;
    let before = writes(&world);

    world.execute(&list()).await;

    assert!(noted.is_some_and(|at| (world.clock.now() - at).abs() < 30), "{noted:?}");
    assert_eq!(writes(&world), before, "an ordinary execution writes nothing");
}

#[tokio::test]
async fn an_execution_goes_through_although_its_use_cannot_be_noted() {
    let world = connected().await;
    world.stack.dynamo.fail_next("UpdateItem", devstack::aws::AwsFault::Refused, 3);

    let answer = world.execute(&list()).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(only_request(&world).method, "GET");
}

#[tokio::test]
async fn hubspots_answer_does_not_wait_past_the_deadline_to_record_the_use() {
    let world = connected().await;
    let gate = world.stack.dynamo.hold("UpdateItem", At::Before);
    let mut request = create();
    request["deadline_ms"] = json!(1000);

    let answer = tokio::time::timeout(Duration::from_secs(5), world.execute(&request)).await;

    drop(gate);
    assert_eq!(sent(&world), 1);
    let answer = answer.expect("only an execution that is itself refreshing may answer later");
    assert_eq!(answer.body["hubspot"]["status"], 201, "{}", answer.text);
}
