//! A bad minute at HubSpot or AWS, or a record that points elsewhere, harms as few integrations as possible.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Match, PORTAL};
use serde_json::json;
use shared::integration::Status;

use crate::refresh::planted::{HOUR, change, change_text, plant, plant_due, planted, pointer, refused};
use crate::world::{ACCOUNT, World, request};

#[tokio::test]
async fn tokens_of_another_account_are_not_served_from_memory() {
    let world = World::start().await;
    let victim = plant(&world, "acc_victim", 1).await;
    let record = plant(&world, ACCOUNT, 1).await;
    // Both are in this process's memory.
    assert_eq!(world.execute(&request("acc_victim", None)).await.status, 200);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    let sent = world.stack.hubspot.api_requests().len();
    let theirs = pointer(&victim);
    change_text(&world, &record, "secret_id", AttributeValue::S(theirs.secret_id)).await;
    change_text(&world, &record, "secret_version", AttributeValue::S(theirs.secret_version)).await;

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!((answer.status, answer.code()), (500, "internal"), "{}", answer.text);
    assert_eq!(world.stack.hubspot.api_requests().len(), sent);
}

#[tokio::test]
async fn a_secret_that_cannot_be_written_does_not_stop_a_run() {
    let world = World::start().await;
    for number in 0..24 {
        plant_due(&world, &format!("acc_{number}"), 1, -60, -10).await;
    }
    world.stack.secrets_manager.fail_next("PutSecretValue", AwsFault::AccessDenied, 1);
    let began = Instant::now();

    let report = world.refresh(json!({})).await;

    assert_eq!((&report["refreshed"], &report["transient"]), (&json!(23), &json!(1)), "{report}");
    assert_eq!(world.stack.secrets_manager.count("PutSecretValue"), 24);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn runs_in_which_everybody_is_refused_mark_ten_at_most() {
    let world = World::start().await;
    for number in 0..30 {
        plant_due(&world, &format!("acc_{number}"), 1, 200, -10).await;
    }
    world.stack.hubspot.script_always(Match::refresh(), refused("invalid_grant", "BAD_REFRESH_TOKEN"));

    let report = world.refresh(json!({})).await;

    assert_eq!((&report["revoked"], &report["transient"]), (&json!(10), &json!(20)), "{report}");
    // The access tokens live on, and those that are marked execute as well.
    for number in 0..30 {
        let answer = world.execute(&request(&format!("acc_{number}"), None)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    // Nor do the runs of the next minutes mark further ones, whatever they meet, until HubSpot refreshes somebody.
    minutes(&world, 8).await;
    let mut marked = 0;
    for number in 0..30 {
        let record = world.record(&format!("acc_{number}"), 1).await.unwrap();
        marked += usize::from(record.status == Status::NeedsReauthorization);
    }
    assert_eq!(marked, 10);
    world.stack.hubspot.clear_scripts();
    minutes(&world, 15).await;
    for number in 0..30 {
        let record = world.record(&format!("acc_{number}"), 1).await.unwrap();
        assert_eq!(record.status, Status::Active, "{record:?}");
    }
}

/// Lets minutes pass, each with its run.
async fn minutes(world: &World, number: usize) {
    for _ in 0..number {
        world.pass(Duration::from_secs(60));
        world.refresh(json!({})).await;
    }
}

#[tokio::test]
async fn an_execution_asks_the_schedule_for_the_verdict() {
    let (world, _) = planted().await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    world.pass(HOUR);

    let first = world.execute(&request(ACCOUNT, None)).await;
    let second = world.execute(&request(ACCOUNT, None)).await;
    let asked = world.stack.hubspot.count(&Match::refresh());
    let before = world.record(ACCOUNT, 1).await.unwrap();
    let report = world.refresh(json!({})).await;
    let third = world.execute(&request(ACCOUNT, None)).await;

    for answer in [first, second] {
        assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    }
    assert_eq!((asked, before.status), (1, Status::Active));
    assert!(before.refresh_at.unwrap() <= world.clock.now() && before.lease_owner.is_none(), "{before:?}");
    assert_eq!(report["revoked"], 1, "{report}");
    assert_eq!((third.status, third.code()), (409, "reauthorization_required"), "{}", third.text);
}

#[tokio::test]
async fn a_day_of_unknown_refusals_marks_an_integration_while_others_refresh() {
    let world = World::start().await;
    let record = plant_due(&world, ACCOUNT, 1, -60, -10).await;
    let odd = || refused("no_such_word", "NO_SUCH_WORD");
    world.stack.hubspot.script(Match::refresh(), [odd()]);
    world.refresh(json!({})).await;
    let at_once = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((at_once.status, at_once.refused_since.is_some()), (Status::Active, true));

    plant_due(&world, "acc_other", 1, -60, -10).await;
    let since = world.clock.now() - 86_400;
    change(&world, &record, &[("refused_since", Some(since)), ("refresh_not_before", None)]).await;
    world.refresh(json!({})).await;
    let early = world.record(ACCOUNT, 1).await.unwrap();
    let now = world.clock.now();
    change(&world, &record, &[("refresh_at", Some(now - 5)), ("refresh_not_before", None)]).await;
    if early.status == Status::Active {
        change(&world, &record, &[("token_expires_at", Some(now - 60)), ("refused_since", Some(since))]).await;
        world.stack.hubspot.script(Match::refresh(), [odd()]);
        world.refresh(json!({})).await;
    }

    let marked = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((marked.status, marked.status_reason.as_deref()), (Status::NeedsReauthorization, Some("refused")));
}

#[tokio::test]
async fn the_scheduled_run_neither_lists_nor_deletes_secrets() {
    let world = World::start().await;
    for number in 0..5 {
        plant(&world, &format!("acc_{number}"), 1).await;
    }
    let names: Vec<String> = world.stack.secrets_manager.secrets().iter().map(|secret| secret.name.clone()).collect();
    // A table that was recreated, or restored to an earlier time.
    for number in 0..5 {
        let record = world.record(&format!("acc_{number}"), 1).await.unwrap();
        world.stack.store().delete(&record).await.unwrap();
    }

    for _ in 0..3 {
        world.pass(Duration::from_secs(2 * 86_400));
        world.refresh(json!({})).await;
    }

    assert_eq!(world.stack.secrets_manager.count("ListSecrets"), 0);
    for name in names {
        assert!(world.stack.secrets_manager.secret(&name).unwrap().deletion_at.is_none(), "{name}");
    }
}
