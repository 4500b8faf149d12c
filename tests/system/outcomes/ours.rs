//! The ends that are not HubSpot's answers: refusals, our own failures, keys.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::stack::Options;
use devstack::wire::{Answer as Sent, At};
use serde_json::{Value, json};
use shared::crypto::sha256_hex;

use super::Again::{Any, In, Never, Told};
use super::{ANSWERED, EngineOutcome, NOT_SENT, UNKNOWN, assert_ends, handed_on};
use crate::execution::{connected, to, with};
use crate::idempotency::{age, keyed, row, unmarked};
use crate::refresh::planted::{HOUR, change, change_text, expire, hold_lease, plant, refused};
use crate::world::{ACCOUNT, ADMIN, Answer, World};

const UNAVAILABLE: EngineOutcome = EngineOutcome(503, "temporarily_unavailable", NOT_SENT, Told);

/// A request that may be repeated, and one that may not.
fn both(account: &str) -> [Value; 2] {
    let mut put = with(to("PUT", "/crm/v3/lists/1/memberships/add"), &json!({"body": []}));
    let mut create = with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}));
    for request in [&mut put, &mut create] {
        request["account_id"] = json!(account);
        request["deadline_ms"] = json!(4000);
    }
    [put, create]
}

async fn assert_both_end(world: &World, account: &str, end: EngineOutcome, context: &str) {
    for request in both(account) {
        assert_ends(&world.execute(&request).await, end, context);
    }
}

#[tokio::test]
async fn what_is_refused_was_not_sent_and_stays_refused() {
    let world = connected().await;
    world.stack.connect("acc_2", ADMIN).await;
    let old = world.stack.newest_text("acc_2", "integration_id").await.unwrap();
    world.stack.connect_new_instance("acc_2", ADMIN).await;
    let marked = plant(&world, "acc_3", 1).await;
    change_text(&world, &marked, "status", AttributeValue::S("needs_reauthorization".to_owned())).await;
    expire(&world, &marked).await;
    let refused = |status, code| EngineOutcome(status, code, NOT_SENT, Never);
    let of = |integration: &str, mut request: Value| {
        request["integration_id"] = json!(integration);
        request
    };
    let before = world.stack.hubspot.api_requests().len();

    for method in ["GET", "PUT", "DELETE", "POST", "PATCH"] {
        let on = |account: &str, endpoint: &str| {
            let mut request = to(method, endpoint);
            request["account_id"] = json!(account);
            request
        };
        let fine = "/crm/v3/objects/contacts/1";
        let long = format!("{fine}?x={}", "x".repeat(40_000));
        for (request, end) in [
            (on(ACCOUNT, "/crm/../x"), refused(400, "invalid_request")),
            (on("a b", fine), refused(400, "invalid_request")),
            (on(ACCOUNT, "https://evil.example/"), refused(403, "endpoint_not_allowed")),
            (on(ACCOUNT, "/oauth/2026-03/token"), refused(403, "endpoint_not_allowed")),
            (on(ACCOUNT, &long), refused(413, "request_too_large")),
            (of("nobodys", on(ACCOUNT, fine)), refused(404, "integration_not_found")),
            (of(&old, on("acc_2", fine)), refused(409, "integration_superseded")),
            (on("acc_3", fine), refused(409, "reauthorization_required")),
            (on("acc_9", fine), refused(409, "not_connected")),
            (of("another", on("acc_9", fine)), refused(409, "not_connected")),
        ] {
            assert_ends(&world.execute(&request).await, end, &request.to_string());
            let under_a_key = keyed(request, "k");
            assert_ends(&world.execute(&under_a_key).await, end, &under_a_key.to_string());
        }
        let text = on(ACCOUNT, fine).to_string();
        assert_ends(&world.execute_as(&json!({}), &text).await, refused(401, "unauthenticated"), "nobody");
        let stranger = json!({"iam": {"userArn": world.stack.stranger.user_arn}});
        assert_ends(&world.execute_as(&stranger, &text).await, refused(403, "forbidden"), "a stranger");
    }
    assert_ends(&world.execute_text("{").await, refused(400, "invalid_request"), "no JSON");
    assert_eq!(world.stack.hubspot.api_requests().len(), before);
}

#[tokio::test]
async fn our_own_failures_are_reported_as_temporary_and_the_retry_succeeds() {
    let world = World::start().await;
    let sent = || world.stack.hubspot.api_requests().len();

    plant(&world, "table", 1).await;
    world.stack.dynamo.fail_next("Query", AwsFault::Refused, 9);
    assert_both_end(&world, "table", UNAVAILABLE, "the record cannot be read").await;
    world.stack.dynamo.heal();

    plant(&world, "secret", 1).await;
    world.stack.secrets_manager.fail_next("GetSecretValue", AwsFault::KeyDenied, 2);
    assert_both_end(&world, "secret", UNAVAILABLE, "the secret cannot be read").await;

    let cooling = plant(&world, "cooling", 1).await;
    change(&world, &cooling, &[("cooldown_until", Some(world.clock.now() + 100))]).await;
    assert_both_end(&world, "cooling", EngineOutcome(429, "rate_limited", NOT_SENT, Told), "a cool-down").await;

    let held = plant(&world, "held", 1).await;
    expire(&world, &held).await;
    hold_lease(&world, &held).await;
    assert_both_end(&world, "held", UNAVAILABLE, "another's refresh lasts beyond the deadline").await;

    for (account, fault) in [
        ("token-503", Fault::status(503)),
        ("token-429", Fault::status(429)),
        ("token-lost", Fault::CloseAfterEffect),
        ("token-ours", refused("invalid_client", "BAD_CLIENT_SECRET")),
        ("token-html", Fault::Answer(Sent::html(200, "<h1>"))),
    ] {
        let record = plant(&world, account, 1).await;
        expire(&world, &record).await;
        world.stack.hubspot.script_always(Match::refresh(), fault);
        // The second one meets the pause that the first one has noted, or the fault again.
        assert_both_end(&world, account, UNAVAILABLE, account).await;
        world.stack.hubspot.clear_scripts();
    }
    assert_eq!(sent(), 0);

    world.pass(Duration::from_secs(400));
    for account in
        ["table", "secret", "cooling", "held", "token-503", "token-429", "token-lost", "token-ours", "token-html"]
    {
        for request in both(account) {
            let answer = world.execute(&request).await;
            assert!(answer.body["hubspot"]["status"].is_u64(), "{account}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn what_does_not_pass_by_itself_is_not_retryable() {
    let world = World::start().await;
    let corrupt = plant(&world, "corrupt", 1).await;
    change_text(&world, &corrupt, "status", AttributeValue::S("bogus".to_owned())).await;
    let revoked = plant(&world, "revoked", 1).await;
    expire(&world, &revoked).await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    change_text(&world, &revoked, "status", AttributeValue::S("needs_reauthorization".to_owned())).await;

    assert_both_end(&world, "corrupt", EngineOutcome(500, "internal", NOT_SENT, Never), "a corrupt record").await;
    let gone = EngineOutcome(409, "reauthorization_required", NOT_SENT, Never);
    assert_both_end(&world, "revoked", gone, "an authorization that is gone").await;
    assert_eq!(world.stack.hubspot.api_requests().len(), 0);
}

#[tokio::test]
async fn an_old_token_that_hubspot_calls_expired_ends_as_the_replay_does() {
    let expired = || Fault::Answer(Sent::json(401, &json!({"category": "EXPIRED_AUTHENTICATION"})));
    let world = World::start().await;
    for (account, then, ends) in [
        ("passes", Fault::status(404), [handed_on(404, ANSWERED, Never); 2]),
        ("again", expired(), [handed_on(401, ANSWERED, Never); 2]),
        ("limited", Fault::rate_limited("DAILY"), [handed_on(429, ANSWERED, In(900)); 2]),
        ("broken", Fault::status(500), [handed_on(500, ANSWERED, Any), handed_on(500, UNKNOWN, Never)]),
        ("lost", Fault::CloseAfterEffect, {
            let code = "hubspot_unreachable";
            [EngineOutcome(502, code, UNKNOWN, Any), EngineOutcome(502, code, UNKNOWN, Never)]
        }),
    ] {
        for (nth, end) in ends.into_iter().enumerate() {
            let account = format!("{account}{nth}");
            plant(&world, &account, 1).await;
            world.pass(Duration::from_secs(16 * 60));
            world.stack.hubspot.script(Match::api(), [expired(), then.clone(), then.clone()]);
            assert_ends(&world.execute(&both(&account)[nth]).await, end, &account);
            world.stack.hubspot.clear_scripts();
        }
    }
}

#[tokio::test]
async fn a_deadline_before_anything_was_sent_says_so() {
    let world = connected().await;
    let late = EngineOutcome(503, "temporarily_unavailable", NOT_SENT, Told);
    for (operation, key) in [("PutItem", Some("a")), ("Query", None), ("Query", Some("b"))] {
        for mut request in both(ACCOUNT) {
            request["deadline_ms"] = json!(1000);
            if let Some(key) = key {
                request = keyed(request, key);
            }
            let gate = world.stack.dynamo.hold(operation, At::Before);
            let answer = world.execute(&request).await;
            gate.lose();
            assert_ends(&answer, late, &format!("{operation} {key:?}"));
            assert_eq!(answer.body["retry_after_seconds"], 1);
        }
    }
    assert_eq!(world.stack.hubspot.api_requests().len(), 0);
    // An own refresh is awaited past the deadline; then nothing is sent any more.
    world.pass(HOUR);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let request = &both(ACCOUNT)[1];
    let passing = async {
        gate.reached(1).await;
        world.clock.advance(Duration::from_secs(5));
        gate.open();
    };
    let (answer, ()) = tokio::join!(world.execute(request), passing);
    assert_ends(&answer, late, "the deadline came during a refresh");
    assert_eq!(world.stack.hubspot.api_requests().len(), 0);
}

#[tokio::test]
async fn a_hubspot_that_cannot_be_reached_got_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environment = [("HUBSPOT_API_URL".to_owned(), Some(format!("http://{closed}")))].into();
    let world = World::with(Options { environment, ..Options::default() }).await;
    plant(&world, ACCOUNT, 1).await;

    let unreached = EngineOutcome(502, "hubspot_unreachable", NOT_SENT, Any);
    assert_both_end(&world, ACCOUNT, unreached, "no connection").await;
    // Without a body there is no other sign than the connection that failed.
    assert_ends(&world.execute(&to("GET", "/crm/v3/owners")).await, unreached, "no connection for a GET");
}

/// An execution that ends where the claim's next write stands.
async fn die_sending(world: &World, request: &Value, key: &str) {
    let gate = world.stack.dynamo.hold_one("PutItem", &[&sha256_hex(key), r#"{"S":"sending"}"#], At::After);
    tokio::select! {
        answer = world.execute(request) => panic!("{}", answer.text),
        () = gate.reached(1) => gate.lose(),
    }
}

#[tokio::test]
async fn deliveries_of_a_key_get_the_outcome_of_the_key() {
    let world = connected().await;
    for (nth, request) in both(ACCOUNT).into_iter().enumerate() {
        let key = format!("k{nth}");
        let request = keyed(request, &key);
        let progress = |again| EngineOutcome(409, "execution_in_progress", UNKNOWN, again);
        die_sending(&world, &request, &key).await;

        assert_ends(&world.execute(&request).await, progress(In(2)), "an owner that lives");
        age(&world, &key, 40).await;
        assert_ends(&world.execute(&request).await, progress(Told), "an owner that may live");
        let other = with(request.clone(), &json!({"query": {"a": 1}}));
        let conflict = EngineOutcome(422, "idempotency_conflict", NOT_SENT, Never);
        assert_ends(&world.execute(&other).await, conflict, "another request");
        age(&world, &key, 21).await;
        // A successor that cannot record it knows already that the dead owner may have sent it.
        let gate = world.stack.dynamo.hold_one("PutItem", &["#owner = :owner"], At::Before);
        let mut hurried = request.clone();
        hurried["deadline_ms"] = json!(1000);
        let taking_over = world.execute(&hurried).await;
        gate.lose();
        assert_ends(
            &taking_over,
            EngineOutcome(503, "temporarily_unavailable", UNKNOWN, Told),
            "a take-over that fails",
        );
        let last = world.execute(&request).await;
        let end = if nth == 0 {
            handed_on(403, ANSWERED, Never)
        } else {
            EngineOutcome(502, "hubspot_unreachable", UNKNOWN, Never)
        };
        assert_ends(&last, end, "the owner is dead");
        assert_eq!(unmarked(&world.execute(&request).await.text), last.text);
    }
    world.stack.dynamo.fail_next("PutItem", AwsFault::Refused, 3);
    assert_ends(&world.execute(&keyed(both(ACCOUNT)[1].clone(), "n")).await, UNAVAILABLE, "the key cannot be noted");
    assert!(row(&world, "n").await.is_none());
}

#[tokio::test]
async fn every_kind_of_stored_end_is_replayed_word_for_word() {
    let world = connected().await;
    let cases = [
        (0, Fault::status(404), handed_on(404, ANSWERED, Never)),
        (0, Fault::Answer(Sent::new(204)), handed_on(204, ANSWERED, Never)),
        (1, Fault::Pass, handed_on(201, ANSWERED, Never)),
        (1, Fault::Answer(Sent::redirect(307, "/x")), handed_on(307, ANSWERED, Never)),
        (1, Fault::status(401), handed_on(401, ANSWERED, Never)),
        (1, Fault::status(503), handed_on(503, UNKNOWN, Never)),
        (1, Fault::CloseAfterEffect, EngineOutcome(502, "hubspot_unreachable", UNKNOWN, Never)),
        (1, Fault::StallAnswer(Duration::from_secs(6)), EngineOutcome(504, "hubspot_timeout", UNKNOWN, Never)),
    ];
    for (nth, (which, fault, end)) in cases.into_iter().enumerate() {
        let request = keyed(both(ACCOUNT)[which].clone(), &format!("k{nth}"));
        world.stack.hubspot.script(Match::api(), [fault.clone()]);
        let first: Answer = world.execute(&request).await;
        let sent = world.stack.hubspot.api_requests().len();

        let again = world.execute(&request).await;

        assert_ends(&first, end, &format!("{fault:?}"));
        assert_eq!(
            (again.status, unmarked(&again.text), &again.headers),
            (first.status, first.text.clone(), &first.headers),
            "{fault:?}"
        );
        assert_eq!(world.stack.hubspot.api_requests().len(), sent, "{fault:?}");
    }
}
