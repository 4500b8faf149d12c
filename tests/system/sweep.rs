//! The sweep: secrets that no record names are deleted, a share of them per run, and no others.

use std::time::Duration;

use devstack::aws::AwsCall;
use serde_json::json;
use shared::integration::{Integration, Pointer};

use crate::refresh::planted::{HOUR, SCOPES, change_text, plant, pointer};
use crate::world::{ACCOUNT, World};

const DAY: i64 = 86_400;

/// After so many seconds a share has its turn again: three hex digits, a minute each; less than three days.
const ROUND: i64 = 4096 * 60;

/// A name in the share that the run of that time looks at.
fn name_at(world: &World, time: i64, rest: &str) -> String {
    let prefix = &world.stack.environment("token-refresh")["SECRET_PREFIX"];
    format!("{prefix}/integrations/{:03x}{rest}", time.div_euclid(60).rem_euclid(4096))
}

/// The beginning of a minute so many seconds from now: tests that aim at it have most of the minute for it.
fn minute(world: &World, seconds: i64) -> i64 {
    (world.clock.now() + seconds).div_euclid(60) * 60 + 5
}

/// A scheduled run at that time.
async fn run_at(world: &World, time: i64) {
    world.pass(Duration::from_secs(u64::try_from(time - world.clock.now()).unwrap()));
    world.refresh(json!({})).await;
}

/// A secret of the record's integration, as a connect writes it just before the record names it.
async fn written(world: &World, record: &Integration, name: &str) -> Pointer {
    let issued = world.stack.hubspot.authorize(record.hub_id.unwrap(), SCOPES);
    let tokens = world.stack.tokens_of(record, &issued.access_token, &issued.refresh_token, &[]);
    let text = serde_json::to_string(&tokens).unwrap();
    let created = world.stack.secrets().create_secret().name(name).secret_string(text).send().await.unwrap();
    Pointer { secret_id: name.to_owned(), secret_version: created.version_id.unwrap() }
}

fn is_deleted(world: &World, name: &str) -> bool {
    world.stack.secrets_manager.secret(name).unwrap().deletion_at.is_some()
}

#[tokio::test]
async fn a_secret_that_no_record_names_is_deleted_when_it_is_a_day_old_and_its_turn_has_come() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    let turn = minute(&world, DAY + 600);
    let name = name_at(&world, turn, "-orphan");
    written(&world, &record, &name).await;

    run_at(&world, turn - 120).await;
    let before_its_turn = is_deleted(&world, &name);
    run_at(&world, turn).await;

    assert!(!before_its_turn);
    assert!(is_deleted(&world, &name));
    // It can be restored for a week.
    assert!(world.stack.secrets_manager.secret(&name).unwrap().current().is_some());
    assert!(!is_deleted(&world, &pointer(&record).secret_id));
    assert_eq!(world.execute(&crate::world::request(ACCOUNT, None)).await.body["hubspot"]["status"], 200);
}

#[tokio::test]
async fn every_secret_has_its_turn_within_three_days() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    let first = minute(&world, 2 * DAY);
    let turns = [0, 10, 2047, 4095].map(|turn| first + turn * 60);
    let names = turns.map(|turn| name_at(&world, turn, "-orphan"));
    for name in &names {
        written(&world, &record, name).await;
    }

    let mut swept = Vec::new();
    for turn in turns {
        run_at(&world, turn).await;
        swept.push(names.iter().filter(|name| is_deleted(&world, name)).count());
    }

    assert_eq!(swept, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_secret_younger_than_a_day_is_left_to_the_connect_that_is_writing_it() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let turn = minute(&world, DAY - 300);
    let name = name_at(&world, turn, "-young");
    written(&world, &record, &name).await;

    run_at(&world, turn).await;
    let young = is_deleted(&world, &name);
    run_at(&world, turn + ROUND).await;

    assert!(!young);
    assert!(is_deleted(&world, &name));
}

#[tokio::test]
async fn a_secret_that_any_record_of_the_account_names_is_kept() {
    let world = World::start().await;
    let (older, newest) = (plant(&world, ACCOUNT, 1).await, plant(&world, ACCOUNT, 2).await);
    let turn = minute(&world, 2 * DAY);
    let mut names = Vec::new();
    for (number, record) in [older, newest].iter().enumerate() {
        let pointer = written(&world, record, &name_at(&world, turn, &format!("-{number}"))).await;
        let text = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
        change_text(&world, record, "secret_id", text(&pointer.secret_id)).await;
        change_text(&world, record, "secret_version", text(&pointer.secret_version)).await;
        names.push(pointer.secret_id);
    }
    let orphan = name_at(&world, turn, "-orphan");
    written(&world, &world.record(ACCOUNT, 1).await.unwrap(), &orphan).await;

    run_at(&world, turn).await;

    assert!(is_deleted(&world, &orphan));
    assert!(names.iter().all(|name| !is_deleted(&world, name)), "{names:?}");
}

#[tokio::test]
async fn a_run_looks_at_its_share_only_and_of_several_runs_in_a_minute_one_does() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    for number in 0..30 {
        written(&world, &record, &name_at(&world, number * 60, "-orphan")).await;
    }
    world.pass(Duration::from_secs(2 * 86_400));
    let lists = || world.stack.secrets_manager.count("ListSecrets");

    world.refresh(json!({"shards": [1, 2]})).await;
    let without = lists();
    world.refresh(json!({"shards": [0]})).await;

    assert_eq!((without, lists()), (0, 1));
    let calls = world.stack.secrets_manager.calls();
    let orphan = |call: &&AwsCall| call.secret().is_some_and(|name| name.ends_with("-orphan"));
    let looked_at = calls.iter().filter(|call| call.operation == "GetSecretValue").filter(orphan).count();
    assert!(looked_at <= 1, "{looked_at}");
}
