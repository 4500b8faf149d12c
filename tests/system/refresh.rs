//! A refresh: one caller at a time, and everybody honours what it brought.

mod crowd;
mod hubs;
mod judgements;
pub(crate) mod planted;
mod reported;
mod versions;

use std::pin::pin;
use std::time::{Duration, Instant};

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::At;
use serde_json::json;
use shared::access::TokenRequest;
use shared::integration::{Integration, IntegrationId};
use shared::lease::Lease;
use shared::token_error::TokenErrorKind;

use crate::world::{ACCOUNT, World, request};
use planted::{HOUR, access, expired, hold_lease, need, overwrite, plant, plant_due, planted, pointer, store};

#[tokio::test]
async fn a_waiter_past_its_deadline_gets_retry_after() {
    let (world, record) = expired().await;
    hold_lease(&world, &record).await;
    let mut body = request(ACCOUNT, None);
    body["deadline_ms"] = json!(1000);

    let began = Instant::now();
    let answer = world.execute(&body).await;

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    assert_eq!(answer.body["outcome"], "not_sent");
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(world.stack.hubspot.requests().len(), 0);
}

#[tokio::test]
async fn an_execution_that_waited_reads_the_newest_once_more_before_it_sends() {
    let (world, _) = expired().await;
    let body = request(ACCOUNT, None);
    for superseded in [false, true] {
        world.pass(HOUR);
        let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
        let queries = world.stack.dynamo.count("Query");
        world.stack.hubspot.forget_requests();

        let (first, second, read) = tokio::join!(world.execute(&body), world.execute(&body), async {
            gate.reached(1).await;
            let reads = world.stack.dynamo.count("GetItem");
            world.stack.dynamo.wait_for_calls("GetItem", reads + 2).await;
            let read = world.stack.dynamo.count("Query") - queries;
            if superseded {
                plant(&world, ACCOUNT, 2).await;
            }
            gate.open();
            read
        });

        let waited = [&first, &second].into_iter().filter(|answer| answer.status == 409).count();
        assert_eq!((waited, read), (usize::from(superseded), 2), "{} {}", first.text, second.text);
        assert_eq!(world.stack.hubspot.api_requests().len(), if superseded { 1 } else { 2 });
        if !superseded {
            assert_eq!(world.stack.dynamo.count("Query") - queries, 3);
        }
    }
}

#[tokio::test]
async fn tokens_that_still_live_are_used_while_another_refreshes_them() {
    let (world, record) = planted().await;
    world.pass(Duration::from_secs(1800 - 40));
    hold_lease(&world, &record).await;

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.body["hubspot"]["status"], 200, "{}", answer.text);
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 0);
}

#[tokio::test]
async fn tokens_inside_the_margin_are_refreshed_and_those_before_it_are_not() {
    let (world, _) = planted().await;

    world.pass(Duration::from_secs(1800 - 90));
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    let before = world.stack.hubspot.count(&Match::refresh());
    world.pass(Duration::from_secs(60));
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);

    assert_eq!((before, world.stack.hubspot.count(&Match::refresh())), (0, 1));
}

#[tokio::test]
async fn a_caller_with_a_record_from_before_a_pause_or_verdict_does_not_ask_again() {
    for expected in [TokenErrorKind::Transient, TokenErrorKind::Revoked] {
        let (world, _) = expired().await;
        let read_before = world.record(ACCOUNT, 1).await.unwrap();
        if expected == TokenErrorKind::Transient {
            world.stack.hubspot.script_always(Match::refresh(), Fault::status(500));
            world.execute(&request(ACCOUNT, None)).await;
        } else {
            world.stack.hubspot.revoke_refresh_tokens(PORTAL);
            world.refresh(json!({})).await;
        }

        let late = access(&world).usable(read_before, &need(&world)).await;

        assert_eq!(late.err().map(|error| error.kind), Some(expected));
        assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1, "{expected:?}");
    }
}

#[tokio::test]
async fn a_caller_with_a_record_from_before_a_refresh_uses_the_new_tokens() {
    let (world, _) = expired().await;
    let read_before = world.record(ACCOUNT, 1).await.unwrap();
    world.execute(&request(ACCOUNT, None)).await;

    let late = access(&world).usable(read_before, &need(&world)).await.unwrap();

    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((late.version.pointer, late.refreshed), (pointer(&record), false));
    assert_eq!((world.stack.hubspot.count(&Match::refresh()), record.lease_owner), (1, None));
}

#[tokio::test]
async fn a_refresh_is_not_begun_when_the_function_has_no_time_to_end_it() {
    let (world, _) = expired().await;
    let record = world.record(ACCOUNT, 1).await.unwrap();
    let now = world.clock.now_millis();
    let short = TokenRequest { deadline: now + 11_000, function_deadline: now + 12_000, ..need(&world) };

    let late = access(&world).usable(record, &short).await;

    assert!(late.as_ref().is_err_and(|error| error.kind == TokenErrorKind::Transient), "{late:?}");
    assert_eq!(world.stack.hubspot.requests().len(), 0);
    assert!(world.record(ACCOUNT, 1).await.unwrap().lease_owner.is_none());
}

#[tokio::test]
async fn a_caller_without_time_to_refresh_still_waits_for_another_refresh() {
    let (world, _) = expired().await;
    let (body, late) = (request(ACCOUNT, None), access(&world));
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);

    let (first, second) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        let (record, now) = (world.record(ACCOUNT, 1).await.unwrap(), world.clock.now_millis());
        let short = TokenRequest { deadline: now + 11_000, function_deadline: now + 12_000, ..need(&world) };
        let reads = world.stack.dynamo.count("GetItem");
        let mut second = pin!(late.usable(record, &short));
        tokio::select! {
            early = &mut second => early,
            () = world.stack.dynamo.wait_for_calls("GetItem", reads + 1) => {
                gate.open();
                second.await
            }
        }
    });

    assert_eq!(first.status, 200, "{}", first.text);
    assert!(second.is_ok(), "{second:?}");
}

#[tokio::test]
async fn a_refresh_that_has_begun_is_brought_to_its_end_past_the_callers_deadline() {
    let (world, before) = expired().await;
    let mut body = request(ACCOUNT, None);
    body["deadline_ms"] = json!(1000);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);

    let (_, ()) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        world.pass(Duration::from_secs(5));
        gate.open();
    });

    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert!(after.pointer != before.pointer && after.lease_owner.is_none(), "{after:?}");
}

#[tokio::test]
async fn an_execution_overtaken_by_a_disconnect_writes_nothing() {
    let (world, record) = expired().await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let body = request(ACCOUNT, None);

    let (answer, ()) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        store(&world).delete(&record).await.unwrap();
        store(&world).delete_secret(&pointer(&record).secret_id).await.unwrap();
        gate.open();
    });

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert!(world.record(ACCOUNT, 1).await.is_none());
    assert!(world.stack.secrets_manager.secret(&pointer(&record).secret_id).is_none());
}

#[tokio::test]
async fn the_schedule_looks_soon_after_a_caller_takes_a_lease() {
    let world = World::start().await;
    let now = world.clock.now();
    let lapsed = now + 20 + Lease::SKEW + 1;
    for (sequence, due, looked_after) in [(1, 7_200, lapsed), (2, 3, now + 3)] {
        let record = plant_due(&world, ACCOUNT, sequence, 1800, due).await;
        let lease = Lease { owner: "a process that dies".to_owned(), until: now + 20, ambiguous_until: None };

        let leased = store(&world).take_lease(&record, &lease, now).await.unwrap().unwrap();

        let found = leased.refresh_at.unwrap();
        assert!((looked_after..=looked_after + 1).contains(&found), "{found} for {looked_after}");
    }
}

#[tokio::test]
async fn another_integration_under_the_same_key_is_not_the_same_record_again() {
    let (world, record) = planted().await;
    let other = Integration { integration_id: IntegrationId::random(), ..record.clone() };

    let same = store(&world).reread(&record).await.unwrap();
    overwrite(&world, &other).await;
    let gone = store(&world).reread(&record).await.unwrap();

    assert_eq!(same.map(|now| now.integration_id), Some(record.integration_id));
    assert!(gone.is_none());
}
