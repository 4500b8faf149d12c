//! Requests that are sent again, those that never are, and the engine's answer when HubSpot's is missing.

use std::time::{Duration, Instant};

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::At;
use serde_json::{Value, json};
use shared::config::Reader;

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
async fn a_post_whose_answer_is_lost_is_not_sent_a_second_time() {
    let world = connected().await;

    for fault in [Fault::CloseAfterEffect, Fault::Close, Fault::Reset, Fault::Cut(40), Fault::WrongLength(9)] {
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script(Match::api(), [fault.clone()]);
        let answer = world.execute(&create()).await;

        assert_eq!((answer.status, answer.code()), (502, "hubspot_unreachable"), "{fault:?}");
        assert_eq!(
            (&answer.body["outcome"], &answer.body["retryable"]),
            (&json!("unknown"), &json!(false)),
            "{fault:?}"
        );
        assert_eq!(sent(&world), 1, "{fault:?}");
    }
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
async fn what_does_no_harm_twice_is_sent_again_when_its_answer_is_lost() {
    let world = connected().await;
    let id = world.stack.hubspot.create_object(PORTAL, "contacts", &[]);
    let one = format!("/crm/v3/objects/contacts/{id}");
    let search = with(to("POST", "/crm/v3/objects/contacts/search"), &json!({"body": {"limit": 1}}));
    let batch = with(to("POST", "/crm/v3/objects/contacts/batch/read"), &json!({"body": {"inputs": []}}));
    let put = with(to("PUT", "/crm/v3/lists/1/memberships/add"), &json!({"body": []}));

    for request in [list(), search, batch, put, to("DELETE", &one)] {
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script(Match::api(), [Fault::CloseAfterEffect, Fault::Pass]);
        let answer = world.execute(&request).await;

        assert_eq!((answer.status, &answer.body["attempts"]), (200, &json!(2)), "{request}: {}", answer.text);
        assert_eq!(sent(&world), 2, "{request}");
    }
}

#[tokio::test]
async fn an_unanswered_post_or_patch_ends_as_a_timeout_of_unknown_outcome() {
    let world = connected().await;
    let gate = world.stack.hubspot.hold(Match::api(), At::After);
    let mut request = create();
    request["deadline_ms"] = json!(1000);
    let mut patch = request.clone();
    patch["request"]["method"] = json!("PATCH");

    let (answer, patched) = tokio::join!(world.execute(&request), world.execute(&patch));

    drop(gate);
    for answer in [answer, patched] {
        assert_eq!((answer.status, answer.code()), (504, "hubspot_timeout"), "{}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("unknown"), &json!(false)));
    }
    assert_eq!(sent(&world), 2);
}

#[tokio::test]
async fn a_read_that_is_not_answered_in_time_may_be_sent_again_by_the_caller() {
    let world = connected().await;
    let gate = world.stack.hubspot.hold(Match::api(), At::After);
    let mut request = list();
    request["deadline_ms"] = json!(1000);

    let answer = world.execute(&request).await;

    drop(gate);
    assert_eq!((answer.status, answer.code(), &answer.body["retryable"]), (504, "hubspot_timeout", &json!(true)));
    assert_eq!(sent(&world), 1);
}

#[tokio::test]
async fn a_post_with_a_server_error_has_an_unknown_outcome_and_is_not_resent() {
    let world = connected().await;
    let faults = [
        Fault::status(500),
        Fault::status(502),
        Fault::status(503),
        Fault::status(503).header("retry-after", "1"),
        Fault::status(504),
        Fault::status(524),
    ];

    for fault in faults {
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script(Match::api(), [fault.clone()]);
        let answer = world.execute(&create()).await;

        assert_eq!(answer.status, 200, "{fault:?}: {}", answer.text);
        let ends = [&answer.body["outcome"], &answer.body["retryable"], &answer.body["attempts"]];
        assert_eq!(ends, [&json!("unknown"), &json!(false), &json!(1)], "{fault:?}");
        assert!(!answer.headers.contains_key("retry-after"), "{fault:?}");
        assert_eq!(sent(&world), 1, "{fault:?}");
    }
    assert!(world.stack.hubspot.objects(PORTAL, "contacts").is_empty());
}

#[tokio::test]
async fn a_passing_server_error_to_a_read_is_not_seen_by_the_caller() {
    let world = connected().await;

    for status in [502, 503, 504] {
        world.stack.hubspot.script(Match::api(), [Fault::status(status), Fault::Pass]);
        let answer = world.execute(&list()).await;

        assert_eq!((&answer.body["hubspot"]["status"], &answer.body["attempts"]), (&json!(200), &json!(2)), "{status}");
    }
}

#[tokio::test]
async fn an_execution_makes_three_attempts_at_most() {
    let world = connected().await;
    world.stack.hubspot.script_always(Match::api(), Fault::status(503));

    let answer = world.execute(&list()).await;

    assert_eq!(answer.status, 200);
    let ends = [&answer.body["outcome"], &answer.body["retryable"], &answer.body["attempts"]];
    assert_eq!(ends, [&json!("answered"), &json!(true), &json!(3)]);
    assert_eq!(sent(&world), 3);
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
async fn a_rate_limit_is_returned_and_then_kept_by_every_function() {
    let world = connected().await;
    let limited = Fault::rate_limited("TEN_SECONDLY_ROLLING").header("retry-after", "60");
    world.stack.hubspot.script(Match::api(), [limited]);

    let first = world.execute(&create()).await;
    let elsewhere = world.stack.post_automation(create().to_string()).await;

    assert_eq!((first.status, &first.body["hubspot"]["status"]), (200, &json!(429)));
    assert_eq!((&first.body["outcome"], &first.body["retryable"]), (&json!("answered"), &json!(true)));
    assert_eq!((&first.body["retry_after_seconds"], first.headers["retry-after"].as_str()), (&json!(60), "60"));
    assert_eq!((elsewhere.status, elsewhere.code().as_deref()), (429, Some("rate_limited")));
    let problem = elsewhere.json();
    assert_eq!((&problem["outcome"], &problem["retryable"]), (&json!("not_sent"), &json!(true)));
    let wait: i64 = elsewhere.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    assert_eq!(sent(&world), 1, "the second was not sent");
}

#[tokio::test]
async fn a_rate_limit_ends_by_itself() {
    let world = connected().await;
    world.stack.hubspot.script(Match::api(), [Fault::rate_limited("TEN_SECONDLY_ROLLING")]);
    let limited = world.execute(&list()).await;
    assert_eq!(limited.body["retry_after_seconds"], 10, "HubSpot's interval, where it says nothing");

    world.pass(Duration::from_secs(9));
    let early = world.execute(&list()).await;
    world.pass(Duration::from_secs(2));
    let late = world.execute(&list()).await;

    assert_eq!((early.status, early.code()), (429, "rate_limited"));
    assert_eq!(late.status, 200, "{}", late.text);
    assert_eq!(sent(&world), 2);
}

#[tokio::test]
async fn a_daily_limit_is_kept_for_a_quarter_of_an_hour() {
    let world = connected().await;
    world.stack.hubspot.script(Match::api(), [Fault::rate_limited("DAILY")]);

    let answer = world.execute(&list()).await;

    assert_eq!(answer.headers["retry-after"], "900");
    let next = world.execute(&list()).await;
    assert_eq!((next.status, next.code()), (429, "rate_limited"));
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
async fn a_portal_that_is_being_moved_is_the_callers_to_wait_for() {
    let world = connected().await;
    world.stack.hubspot.script(Match::api(), [Fault::status(477).header("retry-after", "86400")]);

    let answer = world.execute(&create()).await;

    assert_eq!((&answer.body["hubspot"]["status"], &answer.body["retryable"]), (&json!(477), &json!(true)));
    assert_eq!((answer.headers["retry-after"].as_str(), &answer.body["attempts"]), ("86400", &json!(1)));
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_reported_at_once() {
    let world = connected().await;
    let limited = Fault::rate_limited("SECONDLY").header("retry-after", "2");
    world.stack.hubspot.script_always(Match::api(), limited);
    let mut request = list();
    request["deadline_ms"] = json!(1500);

    let began = Instant::now();
    let answer = world.execute(&request).await;

    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
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
async fn nothing_can_have_reached_a_hubspot_that_takes_no_connection() {
    let world = connected().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environment = world.stack.environment("automation-execute");
    let lookup = |name: &str| match name {
        "HUBSPOT_API_URL" => Some(format!("http://{closed}")),
        name => environment.get(name).cloned(),
    };
    let config = automation_execute::Config::read(Reader::new(lookup)).unwrap();
    let app = automation_execute::App::new(config, world.stack.aws_config(), world.clock.clone()).unwrap();

    let event = world.stack.automation_event(create().to_string());
    let response = crate::world::execute_by(&app, event, world.clock.now_millis() + 29_000).await;

    let problem: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!((response.status_code, &problem["code"]), (502, &json!("hubspot_unreachable")));
    assert_eq!((&problem["outcome"], &problem["retryable"]), (&json!("not_sent"), &json!(true)));
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
