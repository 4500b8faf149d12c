//! Crashes between any two steps of a refresh, and answers of AWS that are lost: nothing of an integration is.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match, PORTAL, Rotation};
use devstack::wire::{At, Gate};
use serde_json::json;
use shared::integration::{Integration, Status};
use shared::token_error::TokenErrorKind;

use crate::refresh::planted::{
    HOUR, access, another_has_refreshed, change, change_text, expire, need, overwrite, plant, pointer, refused, shown,
    versions,
};
use crate::world::{ACCOUNT, World, request};

/// Longer than a lease lasts, the skew of clocks included.
const LEASE: Duration = Duration::from_secs(26);

/// Where a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KillPoint {
    LeaseTaken,
    TokensAsked,
    TokensAnswered,
    VersionAsked,
    VersionWritten,
    CommitAsked,
    Committed,
}

const STEPS: [KillPoint; 7] = [
    KillPoint::LeaseTaken,
    KillPoint::TokensAsked,
    KillPoint::TokensAnswered,
    KillPoint::VersionAsked,
    KillPoint::VersionWritten,
    KillPoint::CommitAsked,
    KillPoint::Committed,
];

/// Holds the next refresh at a step.
fn hold(world: &World, step: KillPoint) -> Gate {
    let stack = &world.stack;
    match step {
        KillPoint::LeaseTaken => stack.dynamo.hold_from("UpdateItem", 1, At::After),
        KillPoint::TokensAsked => stack.hubspot.hold(Match::refresh(), At::Before),
        KillPoint::TokensAnswered => stack.hubspot.hold(Match::refresh(), At::After),
        KillPoint::VersionAsked => stack.secrets_manager.hold("PutSecretValue", At::Before),
        KillPoint::VersionWritten => stack.secrets_manager.hold("PutSecretValue", At::After),
        KillPoint::CommitAsked => stack.dynamo.hold_from("UpdateItem", 2, At::Before),
        KillPoint::Committed => stack.dynamo.hold_from("UpdateItem", 2, At::After),
    }
}

/// A real process gets an expired token and is killed at a step; then its lease lapses and the next one executes.
/// Says how often HubSpot was asked for tokens by both.
async fn killed_at(world: &World, account: &str, step: KillPoint) -> (Integration, usize) {
    let record = plant(world, account, 1).await;
    expire(world, &record).await;
    let asked = world.stack.hubspot.count(&Match::refresh());
    let gate = hold(world, step);
    let event = world.stack.automation_event(request(account, None).to_string());
    let execution = world.stack.lambda.begin("automation-execute", event).await.unwrap();
    gate.reached(1).await;
    assert_eq!(world.stack.lambda.kill_busy("automation-execute").await, 1);
    gate.lose();
    execution.answer().await.unwrap_err();
    if world.record(account, 1).await.unwrap().lease_owner.is_some() {
        change(world, &record, &[("lease_until", Some(world.clock.now() - 6))]).await;
    }

    let answer = world.stack.post_automation(request(account, None).to_string()).await;

    assert_eq!(answer.json()["hubspot"]["status"], 200, "{step:?}: {}", answer.text());
    let after = world.record(account, 1).await.unwrap();
    assert_eq!((after.status, &after.lease_owner, after.ambiguous_until), (Status::Active, &None, None), "{step:?}");
    (after, world.stack.hubspot.count(&Match::refresh()) - asked)
}

#[tokio::test]
async fn a_crash_at_any_step_loses_nothing_if_refresh_tokens_are_kept() {
    let world = World::start().await;

    for (number, step) in STEPS.into_iter().enumerate() {
        let (_, asked) = killed_at(&world, &format!("acc_{number}"), step).await;
        let lost = matches!(step, KillPoint::TokensAsked | KillPoint::TokensAnswered | KillPoint::VersionAsked);
        assert_eq!(asked, if lost { 2 } else { 1 }, "{step:?}");
    }
}

#[tokio::test]
async fn a_crash_at_any_step_loses_nothing_under_rotation_with_grace() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Grace(60_000));

    for (number, step) in STEPS.into_iter().enumerate() {
        let account = format!("acc_{number}");
        let (record, _) = killed_at(&world, &account, step).await;
        // What it has now is good for more than this once.
        expire(&world, &record).await;
        let next = world.stack.post_automation(request(&account, None).to_string()).await;
        assert_eq!(next.json()["hubspot"]["status"], 200, "{step:?}: {}", next.text());
    }
}

#[tokio::test]
async fn tokens_that_a_dead_process_stored_are_adopted_without_asking_hubspot() {
    let world = World::start().await;
    let before = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    dies_at(&world, KillPoint::VersionWritten).await;
    world.pass(LEASE);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((world.stack.hubspot.count(&Match::refresh()), versions(&world, &before)), (1, 2));
    assert_ne!(world.record(ACCOUNT, 1).await.unwrap().pointer, before.pointer);
}

#[tokio::test]
async fn a_dead_lease_is_respected_until_it_lapses_beyond_clock_skew() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    dies_at(&world, KillPoint::TokensAsked).await;
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
    dies_at(&world, KillPoint::TokensAnswered).await;
    world.pass(LEASE);

    let early = world.execute(&request(ACCOUNT, None)).await;
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
    let frozen = freeze_at(&world, KillPoint::TokensAnswered).await;
    change(&world, &record, &[("lease_until", Some(world.clock.now() - 6))]).await;
    let early = world.execute(&request(ACCOUNT, None)).await;
    let committed = world.record(ACCOUNT, 1).await.unwrap();

    world.stack.lambda.thaw(frozen.pid).await.unwrap();
    let late = frozen.execution.answer().await.unwrap();

    assert_eq!((early.status, &late["statusCode"]), (200, &json!(200)), "{} {late}", early.text);
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.pointer, after.lease_owner), (committed.pointer, None));
    // What it brought is kept all the same: it might be the only refresh token that works.
    assert_eq!((world.stack.hubspot.count(&Match::refresh()), versions(&world, &record)), (2, 3));
}

#[tokio::test]
async fn a_process_thawed_between_its_writes_overwrites_nothing_newer() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    let record = plant(&world, ACCOUNT, 1).await;
    expire(&world, &record).await;
    let frozen = freeze_at(&world, KillPoint::VersionWritten).await;
    change(&world, &record, &[("lease_until", Some(world.clock.now() - 6))]).await;
    let adopted = world.execute(&request(ACCOUNT, None)).await;
    expire(&world, &record).await;
    let refreshed = world.execute(&request(ACCOUNT, None)).await;
    let committed = world.record(ACCOUNT, 1).await.unwrap();

    world.stack.lambda.thaw(frozen.pid).await.unwrap();
    let late = frozen.execution.answer().await.unwrap();

    assert_eq!((adopted.status, refreshed.status, &late["statusCode"]), (200, 200, &json!(200)), "{late}");
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().pointer, committed.pointer);
    assert_eq!((shown(&world).len(), world.stack.hubspot.refresh_token_reuses()), (2, 0));
}

#[tokio::test]
async fn a_verdict_about_tokens_that_the_record_no_longer_points_at_marks_nobody() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
    world.pass(HOUR);
    // Its second update is the verdict.
    let gate = hold(&world, KillPoint::CommitAsked);
    let body = request(ACCOUNT, None);

    let (_, newer) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        let held = world.record(ACCOUNT, 1).await.unwrap();
        let newer = another_has_refreshed(&world, &record).await;
        // Even with the lease still its own the verdict is void.
        let now = world.record(ACCOUNT, 1).await.unwrap();
        overwrite(&world, &Integration { lease_owner: held.lease_owner, lease_until: held.lease_until, ..now }).await;
        gate.open();
        newer
    });

    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.status, after.pointer), (Status::Active, Some(newer)));
}

#[tokio::test]
async fn a_verdict_of_one_who_has_lost_the_lease_marks_nobody() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
    world.pass(HOUR);
    let gate = hold(&world, KillPoint::CommitAsked);
    let body = request(ACCOUNT, None);

    let (_, ()) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        let taken = Integration {
            lease_owner: Some("somebody else".to_owned()),
            lease_until: Some(world.clock.now() + 20),
            ..world.record(ACCOUNT, 1).await.unwrap()
        };
        overwrite(&world, &taken).await;
        gate.open();
    });

    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.status, after.lease_owner.as_deref()), (Status::Active, Some("somebody else")));
    assert_eq!(after.pointer, record.pointer);
}

#[tokio::test]
async fn a_lease_whose_answer_is_lost_is_still_ones_own() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    world.stack.dynamo.fail_next("UpdateItem", AwsFault::AnswerLost, 1);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    went_well_once(&world, &answer).await;
}

#[tokio::test]
async fn a_version_whose_answer_is_lost_is_written_once() {
    for kind in [AwsFault::AnswerLost, AwsFault::RefusedAfterEffect, AwsFault::Throttled, AwsFault::ConnectionDropped] {
        let world = World::start().await;
        let record = plant(&world, ACCOUNT, 1).await;
        world.pass(HOUR);
        world.stack.secrets_manager.fail_next("PutSecretValue", kind, 1);

        let answer = world.execute(&request(ACCOUNT, None)).await;

        went_well_once(&world, &answer).await;
        assert_eq!(versions(&world, &record), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_a_success() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let gate = hold(&world, KillPoint::Committed);
    let body = request(ACCOUNT, None);

    let (answer, ()) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        gate.lose();
    });

    went_well_once(&world, &answer).await;
}

#[tokio::test]
async fn a_commit_that_dynamodb_refuses_for_a_while_is_tried_until_it_succeeds() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let body = request(ACCOUNT, None);

    let (answer, ()) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        // More than the SDK itself tries.
        world.stack.dynamo.fail_next("UpdateItem", AwsFault::Refused, 3);
        gate.open();
    });

    went_well_once(&world, &answer).await;
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
    ];

    for (account, fault) in cases {
        let record = plant(&world, account, 1).await;
        expire(&world, &record).await;
        world.stack.hubspot.script(Match::refresh(), [fault]);
        world.execute(&request(account, None)).await;

        let after = world.record(account, 1).await.unwrap();
        assert_eq!((after.lease_owner, after.lease_until), (None, None), "{account}");
    }
}

#[tokio::test]
async fn an_attempt_that_fails_at_secrets_manager_releases_the_lease() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    world.stack.secrets_manager.fail_next("GetSecretValue", AwsFault::AccessDenied, 1);

    let denied = access(&world).usable(world.record(ACCOUNT, 1).await.unwrap(), &need(&world)).await;

    assert!(denied.as_ref().is_err_and(|error| error.kind == TokenErrorKind::Transient), "{denied:?}");
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.lease_owner, after.status, after.pointer), (None, Status::Active, record.pointer));
}

#[tokio::test]
async fn an_attribute_that_this_version_does_not_know_survives_a_refresh() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    change_text(&world, &record, "of_a_later_version", AttributeValue::S("kept".to_owned())).await;
    world.pass(HOUR);

    world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(world.stack.newest_text(ACCOUNT, "of_a_later_version").await.as_deref(), Ok("kept"));
    assert_ne!(world.record(ACCOUNT, 1).await.unwrap().pointer, record.pointer);
}

/// An execution in this process dies at a step: its future is dropped, its connections with it.
async fn dies_at(world: &World, step: KillPoint) {
    let gate = hold(world, step);
    let body = request(ACCOUNT, None);
    tokio::select! {
        answer = world.execute(&body) => panic!("it does not come to {step:?}: {answer:?}"),
        () = gate.reached(1) => {}
    }
    gate.lose();
}

/// A frozen process with its execution.
struct Frozen {
    pid: u32,
    execution: devstack::lambda::Invocation,
}

/// A real process is frozen at a step; what it waits for is answered while it is.
async fn freeze_at(world: &World, step: KillPoint) -> Frozen {
    let gate = hold(world, step);
    let event = world.stack.automation_event(request(ACCOUNT, None).to_string());
    let execution = world.stack.lambda.begin("automation-execute", event).await.unwrap();
    gate.reached(1).await;
    let pid = world.stack.lambda.processes("automation-execute")[0].pid;
    world.stack.lambda.freeze(pid).await.unwrap();
    gate.open();
    Frozen { pid, execution }
}

/// One call of the token endpoint, tokens committed, the lease free.
async fn went_well_once(world: &World, answer: &crate::world::Answer) {
    assert_eq!(answer.body["hubspot"]["status"], 200, "{}", answer.text);
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((record.lease_owner.as_deref(), record.hub_id), (None, Some(PORTAL)));
    let current = world.stack.secrets_manager.secret(&pointer(&record).secret_id).unwrap();
    assert_eq!(current.current().unwrap().id, pointer(&record).secret_version);
}
