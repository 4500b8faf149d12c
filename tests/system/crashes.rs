//! Crashes between two steps of a refresh, one by one, and answers of AWS that are lost: nothing of an integration
//! is. The histories crash at every call.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match, PORTAL, Rotation};
use devstack::wire::{At, Gate};
use serde_json::json;
use shared::integration::{Integration, Status};

use crate::refresh::planted::{
    HOUR, another_has_refreshed, change, change_text, expire, expired, overwrite, plant, planted, pointer, refused,
    versions,
};
use crate::world::{ACCOUNT, World, request};

/// Longer than a lease lasts, the skew of clocks included.
const LEASE: Duration = Duration::from_secs(26);

#[tokio::test]
async fn tokens_that_a_dead_process_stored_are_adopted_without_asking_hubspot() {
    let (world, before) = expired().await;
    dies_at(&world, world.stack.secrets_manager.hold("PutSecretValue", At::After)).await;
    world.pass(LEASE);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((world.stack.hubspot.count(&Match::refresh()), versions(&world, &before)), (1, 2));
    assert_ne!(world.record(ACCOUNT, 1).await.unwrap().pointer, before.pointer);
}

#[tokio::test]
async fn a_dead_lease_is_respected_until_it_lapses_beyond_clock_skew() {
    let (world, _) = expired().await;
    dies_at(&world, world.stack.hubspot.hold(Match::refresh(), At::Before)).await;
    let mut body = request(ACCOUNT, None);
    body["deadline_ms"] = json!(1000);

    world.pass(Duration::from_secs(23));
    let early = world.execute(&body).await;
    world.pass(Duration::from_secs(3));
    let late = world.execute(&body).await;

    assert_eq!((early.code(), late.status), ("temporarily_unavailable", 200), "{} {}", early.text, late.text);
}

#[tokio::test]
async fn a_crash_after_the_token_call_does_not_revoke_within_five_minutes() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    dies_at(&world, world.stack.hubspot.hold(Match::refresh(), At::After)).await;
    world.pass(LEASE);

    let early = world.execute(&request(ACCOUNT, None)).await;
    // Nor does the schedule, should it be asked for a proof.
    world.refresh(json!({})).await;
    let unmarked = world.record(ACCOUNT, 1).await.unwrap();
    world.pass(Duration::from_secs(301));
    world.refresh(json!({})).await;
    let late = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!((early.code(), late.code()), ("temporarily_unavailable", "reauthorization_required"));
    assert_eq!((unmarked.status, unmarked.lease_owner), (Status::Active, None));
    let marked = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!(
        (marked.status, marked.status_reason.as_deref()),
        (Status::NeedsReauthorization, Some("refresh_interrupted"))
    );
}

#[tokio::test]
async fn a_process_that_thaws_late_with_hubspots_answer_overwrites_nothing_newer() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Grace(60_000));
    let record = plant(&world, ACCOUNT, 1).await;
    expire(&world, &record).await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let event = world.stack.automation_event(request(ACCOUNT, None).to_string());
    let execution = world.stack.lambda.begin("automation-execute", event).await.unwrap();
    gate.reached(1).await;
    let pid = world.stack.lambda.processes("automation-execute")[0].pid;
    world.stack.lambda.freeze(pid).await.unwrap();
    gate.open();
    change(&world, &record, &[("lease_until", Some(world.clock.now() - 6))]).await;
    let early = world.execute(&request(ACCOUNT, None)).await;
    let committed = world.record(ACCOUNT, 1).await.unwrap();

    world.stack.lambda.thaw(pid).await.unwrap();
    let late = execution.answer().await.unwrap();

    assert_eq!((early.status, &late["statusCode"]), (200, &json!(200)), "{} {late}", early.text);
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.pointer, after.lease_owner), (committed.pointer, None));
    // What it brought is kept all the same: it might be the only refresh token that works.
    assert_eq!((world.stack.hubspot.count(&Match::refresh()), versions(&world, &record)), (2, 3));
}

#[tokio::test]
async fn a_verdict_about_a_record_that_has_moved_on_marks_nobody() {
    for lost in ["the tokens", "the lease"] {
        let (world, record) = planted().await;
        world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
        world.pass(HOUR);
        // Its second update is the verdict.
        let gate = world.stack.dynamo.hold_from("UpdateItem", 2, At::Before);

        let (_, expected) = tokio::join!(world.refresh(json!({})), async {
            gate.reached(1).await;
            let held = world.record(ACCOUNT, 1).await.unwrap();
            let moved = if lost == "the tokens" {
                another_has_refreshed(&world, &record).await;
                // Even with the lease still its own the verdict is void.
                let now = world.record(ACCOUNT, 1).await.unwrap();
                Integration { lease_owner: held.lease_owner, lease_until: held.lease_until, ..now }
            } else {
                let (owner, until) = ("somebody else".to_owned(), world.clock.now() + 20);
                Integration { lease_owner: Some(owner), lease_until: Some(until), ..held }
            };
            overwrite(&world, &moved).await;
            gate.open();
            moved
        });

        let after = world.record(ACCOUNT, 1).await.unwrap();
        assert_eq!((after.status, after.pointer), (Status::Active, expected.pointer), "it has lost {lost}");
        if lost == "the lease" {
            assert_eq!(after.lease_owner, expected.lease_owner);
        }
    }
}

#[tokio::test]
async fn a_write_that_aws_refuses_or_does_not_answer_is_made_once_in_the_end() {
    for (operation, fault, times) in [
        ("lease", AwsFault::AnswerLost, 1),
        ("version", AwsFault::AnswerLost, 1),
        ("version", AwsFault::RefusedAfterEffect, 1),
        // More than the SDK itself tries.
        ("version", AwsFault::Throttled, 6),
        ("version", AwsFault::ConnectionDropped, 1),
        ("commit", AwsFault::AnswerLost, 1),
        ("commit", AwsFault::Refused, 3),
    ] {
        let world = World::start().await;
        world.stack.hubspot.set_rotation(Rotation::Strict);
        let record = plant(&world, ACCOUNT, 1).await;
        world.pass(HOUR);
        let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
        let body = request(ACCOUNT, None);
        match operation {
            "version" => world.stack.secrets_manager.fail_next("PutSecretValue", fault, times),
            "lease" => world.stack.dynamo.fail_next("UpdateItem", fault, times),
            _ => {}
        }

        let (answer, ()) = tokio::join!(world.execute(&body), async {
            gate.reached(1).await;
            if operation == "commit" {
                world.stack.dynamo.fail_next("UpdateItem", fault, times);
            }
            gate.open();
        });

        let case = format!("{operation} {fault:?}: {}", answer.text);
        assert_eq!(answer.body["hubspot"]["status"], 200, "{case}");
        assert_eq!((world.stack.hubspot.count(&Match::refresh()), versions(&world, &record)), (1, 2), "{case}");
        let after = world.record(ACCOUNT, 1).await.unwrap();
        assert_eq!((after.lease_owner.as_deref(), after.hub_id), (None, Some(PORTAL)), "{case}");
        let secret = world.stack.secrets_manager.secret(&pointer(&after).secret_id).unwrap();
        assert_eq!(secret.current().unwrap().id, pointer(&after).secret_version, "{case}");
    }
}

#[tokio::test]
async fn every_attempt_that_lives_to_its_end_releases_the_lease() {
    let world = World::start().await;
    let cases = [
        ("success", Fault::Pass),
        ("revoked", refused("invalid_grant", "BAD_REFRESH_TOKEN")),
        ("client", refused("invalid_client", "BAD_CLIENT_SECRET")),
        ("misjudged", refused("invalid_request", "BAD_REQUEST")),
        ("passing", Fault::status(500)),
        ("lost", Fault::CloseAfterEffect),
        ("denied", Fault::Pass),
    ];

    for (account, fault) in cases {
        let record = plant(&world, account, 1).await;
        expire(&world, &record).await;
        if account == "denied" {
            world.stack.secrets_manager.fail_next("GetSecretValue", AwsFault::AccessDenied, 1);
        } else {
            world.stack.hubspot.script(Match::refresh(), [fault]);
        }
        let answer = world.execute(&request(account, None)).await;

        let after = world.record(account, 1).await.unwrap();
        assert_eq!((after.lease_owner, after.lease_until), (None, None), "{account}");
        if account == "denied" {
            assert_eq!(answer.code(), "temporarily_unavailable", "{}", answer.text);
            assert_eq!((after.status, after.pointer), (Status::Active, record.pointer));
        }
    }
}

#[tokio::test]
async fn an_attribute_that_this_version_does_not_know_survives_a_refresh() {
    let (world, record) = planted().await;
    change_text(&world, &record, "of_a_later_version", AttributeValue::S("kept".to_owned())).await;
    world.pass(HOUR);

    world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(world.stack.newest_text(ACCOUNT, "of_a_later_version").await.as_deref(), Ok("kept"));
    assert_ne!(world.record(ACCOUNT, 1).await.unwrap().pointer, record.pointer);
}

/// An execution in this process dies where the gate holds it: its future is dropped, its connections with it.
async fn dies_at(world: &World, gate: Gate) {
    let body = request(ACCOUNT, None);
    tokio::select! {
        answer = world.execute(&body) => panic!("it does not come that far: {answer:?}"),
        () = gate.reached(1) => {}
    }
    gate.lose();
}
