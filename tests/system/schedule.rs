//! The scheduled refresh: what is due and nothing else, the newest only, and no bad one starves the rest.

mod load;
mod outage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::published;
use devstack::stack::Options;
use devstack::wire::At;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use shared::integration::{Integration, Status};
use token_refresh::Failed;

use crate::refresh::planted::{
    HOUR, change, change_text, overwrite, plant, plant_due, point_at, pointer, refused, shown, store, versions,
};
use crate::world::{ACCOUNT, World, request};

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_due_newest_integrations_are_refreshed() {
    let world = World::start().await;
    // 245 are not due, 40 are; 15 of these have an older instance, which is due too.
    let plan = (0..285).map(|number| (number, 2)).chain((0..15).map(|number| (number, 1)));
    let planted = plant_all(&world, plan, |number| if number < 40 { (300, -10) } else { (1800, 1350) }).await;
    let due = planted.iter().filter(|record| record.sequence == 2 && record.refresh_at < Some(world.clock.now()));
    let expected: BTreeSet<String> = due.map(|record| refresh_token(&world, record)).collect();

    let report = world.stack.run_schedule_once(None).await.unwrap();

    assert_eq!(report, counts(&[("due", 55), ("refreshed", 40), ("superseded", 15)]));
    assert_eq!((shown(&world).len(), shown(&world).into_iter().collect()), (40, expected));
    assert_eq!(world.stack.run_schedule_once(None).await.unwrap(), counts(&[]));
}

#[tokio::test]
async fn a_due_older_instance_is_marked_superseded_once_and_rescheduled() {
    let world = stopped().await;
    let older = plant_due(&world, ACCOUNT, 1, -60, -10).await;
    plant(&world, ACCOUNT, 2).await;

    let first = world.refresh(json!({})).await;
    let noted = world.record(ACCOUNT, 1).await.unwrap();
    world.pass(2 * HOUR);
    world.refresh(json!({})).await;

    assert_eq!(first, counts(&[("due", 1), ("superseded", 1)]));
    let put_off = noted.refresh_at.unwrap() - older.refresh_at.unwrap();
    assert!((5400..=7220).contains(&put_off), "{put_off}");
    let again = world.record(ACCOUNT, 1).await.unwrap();
    assert!(noted.superseded_at.is_some() && again.superseded_at == noted.superseded_at, "{again:?}");
    assert!(again.pointer == older.pointer && again.refresh_at > noted.refresh_at, "{again:?}");
    assert!(!shown(&world).contains(&refresh_token(&world, &older)));
}

#[tokio::test]
async fn an_older_instance_gives_up_its_tokens_after_thirty_days() {
    for answer_is_lost in [false, true] {
        let world = stopped().await;
        let (older, newest) = superseded_for(&world, 30 * DAY).await;
        if answer_is_lost {
            world.stack.dynamo.fail_next("TransactWriteItems", AwsFault::AnswerLost, 1);
        }

        let report = world.refresh(json!({})).await;

        assert_eq!(report, counts(&[("due", 1), ("superseded", 1)]));
        let record = world.record(ACCOUNT, 1).await.unwrap();
        let reason = record.status_reason.as_deref();
        assert_eq!((record.status, reason, &record.pointer), (Status::NeedsReauthorization, Some("superseded"), &None));
        assert!(record.status_since.is_some());
        assert_eq!((record.refresh_at, record.refresh_shard), (None, None));
        assert_eq!((versions(&world, &older), versions(&world, &newest)), (0, 1));
        if !answer_is_lost {
            assert_eq!(world.stack.dynamo.count("TransactWriteItems"), 1);
        }
        // It has no tokens to run with should it become the newest again.
        store(&world).delete(&newest).await.unwrap();
        let answer = world.execute(&request(ACCOUNT, None)).await;
        assert_eq!(answer.code(), "reauthorization_required", "{}", answer.text);
    }
}

#[tokio::test]
async fn an_older_instance_gives_up_no_tokens_of_another_account() {
    let world = stopped().await;
    let (older, _) = superseded_for(&world, 30 * DAY).await;
    let other = plant(&world, "acc_other", 1).await;
    point_at(&world, &older, &other).await;

    let report = world.refresh(json!({})).await;

    assert_eq!(report, counts(&[("due", 1), ("corrupt", 1)]));
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((record.pointer, record.refresh_at, versions(&world, &other)), (None, None, 1));
    assert_eq!(world.execute(&request("acc_other", None)).await.status, 200);
    assert_eq!(world.refresh(json!({})).await, counts(&[]));
}

#[tokio::test]
async fn an_older_instance_keeps_its_tokens_and_runs_again_when_newest() {
    let world = stopped().await;
    let (older, newest) = superseded_for(&world, 30 * DAY - 60).await;
    world.refresh(json!({})).await;
    store(&world).delete(&newest).await.unwrap();

    let answer = world.execute(&request(ACCOUNT, Some("integration-1"))).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert!(record.superseded_at.is_none() && versions(&world, &older) == 2, "{record:?}");
}

#[tokio::test]
async fn an_older_instance_becoming_the_newest_keeps_its_tokens() {
    let world = stopped().await;
    let (older, newest) = superseded_for(&world, 31 * DAY).await;
    let gate = world.stack.dynamo.hold("TransactWriteItems", At::Before);

    tokio::join!(world.refresh(json!({})), async {
        gate.reached(1).await;
        store(&world).delete(&newest).await.unwrap();
        gate.open();
    });

    assert_eq!((world.record(ACCOUNT, 1).await.unwrap().pointer, versions(&world, &older)), (older.pointer.clone(), 1));
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
}

#[tokio::test]
async fn an_event_limits_a_run_to_its_shards() {
    let world = stopped().await;
    let planted = plant_all(&world, (0..24).map(|number| (number, 1)), |_| (300, -10)).await;
    let shards: BTreeSet<u8> = planted.iter().filter_map(|record| record.refresh_shard).take(4).collect();
    let own = |record: &&Integration| shards.contains(&record.refresh_shard.unwrap());
    let expected: BTreeSet<String> = planted.iter().filter(own).map(|record| refresh_token(&world, record)).collect();

    // Twice the same list: a shard that is named twice is worked on once.
    let named: Vec<u8> = shards.iter().chain(&shards).copied().collect();
    let report = world.refresh(json!({ "shards": named })).await;

    assert!(expected.len() < planted.len());
    assert_eq!(report, counts(&[("due", expected.len()), ("refreshed", expected.len())]));
    assert_eq!(shown(&world).into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn a_malformed_event_is_refused_and_nothing_is_done() {
    let world = stopped().await;
    plant_due(&world, ACCOUNT, 1, 300, -10).await;

    for event in [
        json!(null),
        json!([]),
        json!("all"),
        json!({"shards": [16]}),
        json!({"shards": [-1]}),
        json!({"shards": [1.5]}),
        json!({"shards": 3}),
        json!({"shards": ["3"]}),
        json!({"shard": [3]}),
        json!({"shards": [3], "more": 1}),
        json!({"detail-type": "EC2 Instance State-change Notification", "detail": {}}),
    ] {
        let refused = world.refresh_until(event.clone(), world.clock.now_millis() + 55_000).await;
        assert_eq!(refused, Err(Failed::InvalidEvent), "{event}");
    }
    assert_eq!(world.stack.hubspot.requests().len(), 0);
}

#[tokio::test]
async fn eventbridges_own_event_means_all_shards() {
    let world = stopped().await;
    let of_a_rule = published::event("eventbridge-schedule");
    // Scheduler differs in these two.
    let mut of_scheduler = of_a_rule.clone();
    of_scheduler["source"] = json!("aws.scheduler");
    of_scheduler["detail"] = json!("{}");

    for (sequence, event) in [of_a_rule, of_scheduler].into_iter().enumerate() {
        plant_due(&world, ACCOUNT, sequence as i64 + 1, 300, -10).await;
        let report = world.refresh(event).await;
        assert_eq!((&report["due"], &report["refreshed"]), (&json!(1), &json!(1)), "{report}");
    }
}

#[tokio::test]
async fn a_run_that_cannot_read_the_index_says_so() {
    let world = stopped().await;
    world.stack.dynamo.fail_next("Query", AwsFault::Refused, 3);

    let failed = world.refresh_until(json!({"shards": [3]}), world.clock.now_millis() + 55_000).await;

    assert_eq!(failed, Err(Failed::IndexUnavailable));
}

#[tokio::test]
async fn a_run_near_its_deadline_leaves_the_rest_to_the_next() {
    let world = with(&[("REFRESH_CONCURRENCY", "4")]).await;
    plant_all(&world, (0..10).map(|number| (number, 1)), |_| (300, -10)).await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);

    let (first, ()) = tokio::join!(world.refresh(json!({})), async {
        gate.reached(4).await;
        world.pass(Duration::from_secs(46));
        gate.open();
    });
    let second = world.refresh(json!({})).await;

    assert_eq!(first, counts(&[("due", 10), ("refreshed", 4), ("left", 6)]));
    assert_eq!(second, counts(&[("due", 6), ("refreshed", 6)]));
}

#[tokio::test]
async fn a_run_without_time_leaves_all_as_it_is() {
    let world = stopped().await;
    let before = plant_due(&world, ACCOUNT, 1, 300, -10).await;

    let report = world.refresh_until(json!({}), world.clock.now_millis() + 9_000).await.unwrap();

    assert_eq!(report, counts(&[("due", 1), ("left", 1)]));
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().refresh_at, before.refresh_at);
    assert_eq!(world.stack.hubspot.requests().len(), 0);
}

#[tokio::test]
async fn corrupt_records_are_counted_and_put_off_and_the_rest_is_refreshed() {
    let world = with(&[("REFRESH_CONCURRENCY", "1")]).await;
    let corrupt = plant_all(&world, (0..3).map(|number| (number, 1)), |_| (300, -20)).await;
    change_text(&world, &corrupt[0], "status", AttributeValue::S("half-dead".to_owned())).await;
    change_text(&world, &corrupt[1], "hub_id", AttributeValue::S("no number".to_owned())).await;
    let foreign = plant_due(&world, "acc_of_another", 1, 1800, 1350).await;
    overwrite(&world, &Integration { pointer: foreign.pointer, ..corrupt[2].clone() }).await;
    plant_all(&world, (3..6).map(|number| (number, 1)), |_| (300, -10)).await;

    let first = world.refresh(json!({})).await;
    let second = world.refresh(json!({})).await;

    assert_eq!(first, counts(&[("due", 6), ("corrupt", 3), ("refreshed", 3)]));
    assert_eq!(second, counts(&[]));
    for record in &corrupt {
        let refresh_at = number(&world, record, "refresh_at").await.unwrap() - world.clock.now();
        assert!((5390..=7200).contains(&refresh_at), "{refresh_at}");
    }
}

#[tokio::test]
async fn what_passes_is_put_off_until_its_pause_is_over() {
    let world = stopped().await;
    plant_due(&world, ACCOUNT, 1, 300, -10).await;
    world.stack.hubspot.script(Match::refresh(), [Fault::status(429).header("retry-after", "100")]);

    let first = world.refresh(json!({})).await;
    let at_once = world.refresh(json!({})).await;
    let record = world.record(ACCOUNT, 1).await.unwrap();
    world.pass(Duration::from_secs(101));
    let later = world.refresh(json!({})).await;

    assert_eq!((first, at_once), (counts(&[("due", 1), ("transient", 1)]), counts(&[])));
    assert!(record.refresh_at == record.refresh_not_before && record.refresh_at.is_some(), "{record:?}");
    assert_eq!(later, counts(&[("due", 1), ("refreshed", 1)]));
}

#[tokio::test]
async fn one_that_pauses_after_an_executions_failure_is_not_asked_for() {
    let world = stopped().await;
    let record = plant_due(&world, ACCOUNT, 1, 300, -10).await;
    let until = world.clock.now() + 100;
    change(&world, &record, &[("refresh_not_before", Some(until))]).await;

    let report = world.refresh(json!({})).await;

    assert_eq!(report, counts(&[("due", 1), ("transient", 1)]));
    assert_eq!(world.stack.hubspot.requests().len(), 0);
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().refresh_at, Some(until));
}

#[tokio::test]
async fn a_revoked_integration_is_retried_for_a_week_and_then_no_more() {
    let world = stopped().await;
    plant_due(&world, ACCOUNT, 1, 300, -10).await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    let revoked = counts(&[("due", 1), ("revoked", 1)]);

    let mut reports = vec![world.refresh(json!({})).await];
    let since = world.record(ACCOUNT, 1).await.unwrap().status_since;
    let growing = [HOUR / 12, HOUR / 4, HOUR];
    let pauses = growing.into_iter().chain(std::iter::repeat_n(24 * HOUR, 7));
    for pause in pauses {
        assert_eq!(world.refresh(json!({})).await, counts(&[]), "not before its time");
        world.pass(pause);
        reports.push(world.refresh(json!({})).await);
    }

    assert!(reports.len() == 11 && reports.iter().all(|report| *report == revoked), "{reports:?}");
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((record.refresh_at, record.refresh_shard, record.failures), (None, None, Some(11)));
    assert_eq!((record.status, record.status_reason.as_deref()), (Status::NeedsReauthorization, Some("revoked")));
    assert!(since.is_some() && record.status_since == since, "{since:?} {record:?}");
}

#[tokio::test]
async fn a_run_stops_after_five_refusals_of_our_own_credentials_and_marks_nobody() {
    let world = with(&[("REFRESH_CONCURRENCY", "1")]).await;
    plant_all(&world, (0..8).map(|number| (number, 1)), |_| (300, -10)).await;
    let secret = world.stack.hubspot.client_secret();
    world.stack.hubspot.rotate_client_secret("another one");

    let refused = world.refresh(json!({})).await;
    let asked = world.stack.hubspot.token_requests().len();
    let statuses = stream::iter(0..8).then(|number| status(&world, number)).collect::<Vec<_>>().await;
    world.stack.hubspot.rotate_client_secret(&secret);
    world.pass(Duration::from_secs(60));
    let healed = world.refresh(json!({})).await;

    assert_eq!((refused, asked), (counts(&[("due", 8), ("misconfigured", 5), ("left", 3)]), 5));
    assert!(statuses.iter().all(|status| *status == Status::Active), "{statuses:?}");
    assert_eq!(healed, counts(&[("due", 8), ("refreshed", 8)]));
}

#[tokio::test]
async fn integrations_in_use_are_refreshed_early_and_idle_ones_two_hourly() {
    let world = stopped().await;
    let used = plant_due(&world, "acc_used", 1, 300, -10).await;
    let idle = plant_due(&world, "acc_idle", 1, 300, -10).await;
    let now = world.clock.now();
    change(&world, &used, &[("created_at", Some(0)), ("last_used_at", Some(now - DAY + 60))]).await;
    change(&world, &idle, &[("created_at", Some(0)), ("last_used_at", Some(now - DAY - 60))]).await;

    let report = world.refresh(json!({})).await;

    assert_eq!(report, counts(&[("due", 2), ("refreshed", 2)]));
    let used = number(&world, &used, "refresh_at").await.unwrap() - now;
    let idle = number(&world, &idle, "refresh_at").await.unwrap() - now;
    assert!((1200..=1510).contains(&used) && (5400..=7210).contains(&idle), "{used} {idle}");
}

#[tokio::test]
async fn two_runs_at_once_refresh_each_due_integration_once() {
    let world = stopped().await;
    // As many as a run begins with.
    plant_all(&world, (0..10).map(|number| (number, 1)), |_| (300, -10)).await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);

    let (first, second, ()) = tokio::join!(world.refresh(json!({})), world.refresh(json!({})), async {
        gate.reached(10).await;
        gate.open();
    });

    let sum = |name: &str| first[name].as_u64().unwrap() + second[name].as_u64().unwrap();
    assert_eq!((sum("refreshed"), shown(&world).len()), (10, 10), "{first} {second}");
    assert_eq!(sum("revoked") + sum("misconfigured") + sum("corrupt") + sum("left"), 0, "{first} {second}");
}

#[tokio::test]
async fn one_that_is_fresh_already_is_only_put_off() {
    let world = stopped().await;
    plant_due(&world, ACCOUNT, 1, 1800, -10).await;

    let first = world.refresh(json!({})).await;
    let second = world.refresh(json!({})).await;

    assert_eq!((first, second), (counts(&[("due", 1), ("already_fresh", 1)]), counts(&[])));
    assert_eq!(world.stack.hubspot.requests().len(), 0);
}

#[tokio::test]
async fn revocations_do_not_keep_the_rest_from_being_refreshed() {
    let world = with(&[("REFRESH_CONCURRENCY", "1")]).await;
    plant_all(&world, (0..9).map(|number| (number, 1)), |_| (300, -10)).await;
    let gone = refused("invalid_grant", "BAD_REFRESH_TOKEN");
    world.stack.hubspot.script(Match::refresh(), std::iter::repeat_n(gone, 6));

    let report = world.refresh(json!({})).await;

    assert_eq!(report, counts(&[("due", 9), ("revoked", 6), ("refreshed", 3)]));
}

/// A world whose functions have these variables.
/// A world in which what is just due stays so, however busy the machine is.
async fn stopped() -> World {
    with(&[]).await
}

async fn with(variables: &[(&str, &str)]) -> World {
    let set = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned()));
    let environment: BTreeMap<_, _> = variables.iter().map(set).collect();
    let world = World::with(Options { environment, ..Options::default() }).await;
    world.stop_time();
    world
}

/// Integrations of the accounts `acc_{number}`; `times` says when the tokens expire and when the schedule looks.
async fn plant_all(
    world: &World,
    plan: impl Iterator<Item = (usize, i64)>,
    times: impl Fn(usize) -> (i64, i64),
) -> Vec<Integration> {
    let planting = plan.map(|(number, sequence)| {
        let (expires, due) = times(number);
        async move { plant_due(world, &format!("acc_{number}"), sequence, expires, due).await }
    });
    stream::iter(planting).buffered(16).collect().await
}

/// An older instance that the schedule found superseded so long ago and finds due now, and the newest.
async fn superseded_for(world: &World, seconds: i64) -> (Integration, Integration) {
    let older = plant_due(world, ACCOUNT, 1, -60, -10).await;
    change(world, &older, &[("superseded_at", Some(world.clock.now() - seconds))]).await;
    (older, plant(world, ACCOUNT, 2).await)
}

/// A report with these counts and nothing else.
fn counts(some: &[(&str, usize)]) -> Value {
    let mut report = json!({
        "due": 0, "refreshed": 0, "already_fresh": 0, "superseded": 0, "revoked": 0, "misconfigured": 0,
        "transient": 0, "corrupt": 0, "left": 0,
    });
    for (name, count) in some {
        report[name] = json!(count);
    }
    report
}

/// The refresh token of the first version of a record's secret.
fn refresh_token(world: &World, record: &Integration) -> String {
    let secret = world.stack.secrets_manager.secret(&pointer(record).secret_id).unwrap();
    secret.versions[0].value.json()["refresh_token"].as_str().unwrap().to_owned()
}

async fn status(world: &World, number: usize) -> Status {
    world.record(&format!("acc_{number}"), 1).await.unwrap().status
}

/// A number of a record that may not parse.
async fn number(world: &World, record: &Integration, name: &str) -> Result<i64, String> {
    world.stack.newest_number(record.account_id.as_str(), name).await
}
