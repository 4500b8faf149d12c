//! HubSpot is down for hours, and comes back: nobody is marked, and the recovery is no stampede. Time is virtual,
//! minute by minute. `LOAD=100000` is the long form: six hours, and more integrations.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::{Fault, Match, PORTAL, RecordedRequest};
use serde_json::Value;

use super::{plant_all, stopped};
use crate::histories::setting;
use crate::refresh::planted::{change, plant_due, refused};
use crate::world::{ACCOUNT, World};

/// Attempts of a run before it takes HubSpot for down.
const PROBES: usize = 10;
/// The minutes in which every integration in use is refreshed at least once.
const CYCLE: usize = 26;

/// A minute: the report of its run, and how often it asked for tokens.
struct Minute {
    report: Value,
    asked: usize,
}

impl Minute {
    fn count(&self, name: &str) -> usize {
        self.report[name].as_u64().unwrap() as usize
    }
}

/// How much a test plays.
struct Size {
    integrations: usize,
    /// Minutes in which HubSpot misbehaves.
    bad: usize,
    /// The random surplus of a minute, where the integrations are few.
    chance: usize,
}

impl Size {
    fn of(long: usize) -> Self {
        match setting("LOAD") {
            Some(load) => Self { integrations: load as usize / 50, bad: long, chance: 0 },
            None => Self { integrations: 120, bad: 30, chance: 20 },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_hubspot_costs_a_few_calls_and_the_recovery_is_no_stampede() {
    let size = Size::of(6 * 60);
    let world = in_use(size.integrations).await;
    let steady = minutes(&world, CYCLE).await;
    world.stack.hubspot.set_random_faults(1, down);

    let outage = minutes(&world, size.bad).await;
    world.stack.hubspot.clear_scripts();
    let after = minutes(&world, CYCLE * 2).await;

    assert!(outage.iter().all(|minute| minute.asked <= PROBES), "{:?}", asked(&outage));
    assert!(outage.last().unwrap().count("left") > size.integrations / 2, "{}", outage.last().unwrap().report);
    recovers(&world, &size, &steady, &after).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_refused_credentials_marks_nobody() {
    let size = Size::of(60);
    let world = in_use(size.integrations).await;
    let steady = minutes(&world, CYCLE).await;
    let secret = world.stack.hubspot.client_secret();
    world.stack.hubspot.rotate_client_secret("another one");

    let refused = minutes(&world, size.bad).await;
    world.stack.hubspot.rotate_client_secret(&secret);
    let after = minutes(&world, CYCLE * 2).await;

    assert!(refused.iter().all(|minute| minute.asked <= PROBES), "{:?}", asked(&refused));
    assert!(refused.iter().all(|minute| minute.count("refreshed") == 0));
    recovers(&world, &size, &steady, &after).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundredth_of_resets_for_hours_marks_nobody_and_leaves_nothing_behind() {
    let size = Size::of(4 * 60);
    let world = in_use(size.integrations).await;
    world.stack.hubspot.set_random_faults(1, resets);

    let all = minutes(&world, size.bad + CYCLE * 2).await;

    assert!(all.iter().any(|minute| minute.count("transient") > 0));
    assert_eq!(all.iter().map(|minute| minute.count("left") + minute.count("revoked")).sum::<usize>(), 0);
    assert_eq!((marked(&world).await, late(&world).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_begins_in_the_middle_of_a_run_ends_it() {
    let world = stopped().await;
    plant_all(&world, (0..120).map(|number| (number, 1)), |_| (300, -10)).await;
    world.stack.hubspot.script(Match::refresh(), std::iter::repeat_n(Fault::Pass, 30));
    world.stack.hubspot.script_always(Match::refresh(), Fault::status(503));

    let report = world.refresh(serde_json::json!({})).await;

    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((count("refreshed"), count("transient") + count("left")), (30, 90), "{report}");
    // Those that were under way when it was noticed are brought to their end; a success that comes late begins the
    // count anew.
    assert!((10..2 * 10 + 32).contains(&count("transient")), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_early_for_an_outage_says_so_and_one_that_is_healed_too() {
    let world = World::start().await;
    plant_all(&world, (0..12).map(|number| (number, 1)), |_| (300, -10)).await;
    let healed = plant_due(&world, "acc_marked", 1, 300, 10_000).await;
    world.stack.hubspot.script(Match::refresh(), std::iter::repeat_n(Fault::status(503), 10));
    let logs = world.stack.lambda.logs();

    let outage = world.stack.run_schedule_once(None).await.unwrap();
    let line = logs.wait_for(|line| line.text.contains(r#""outcome":"outage""#)).await;
    world.stack.hubspot.clear_scripts();
    mark(&world, &healed).await;
    world.stack.run_schedule_once(None).await.unwrap();
    let healed = logs.wait_for(|line| line.text.contains(r#""outcome":"recovered""#)).await;

    assert_eq!((&outage["transient"], &outage["left"]), (&Value::from(10), &Value::from(2)), "{outage}");
    assert!(line.text.contains(r#""level":"ERROR""#) && line.text.contains(r#""left":2"#), "{}", line.text);
    assert!(healed.text.contains("acc_marked"), "{}", healed.text);
}

#[tokio::test]
async fn refusals_of_single_authorizations_are_no_outage() {
    let world = stopped().await;
    plant_all(&world, (0..40).map(|number| (number, 1)), |_| (300, -10)).await;
    let gone = refused("invalid_grant", "BAD_REFRESH_TOKEN");
    world.stack.hubspot.script(Match::refresh(), std::iter::repeat_n(gone, 25));

    let report = world.refresh(serde_json::json!({})).await;

    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((count("revoked") + count("transient"), count("refreshed"), count("left")), (25, 15, 0), "{report}");
    assert!(count("revoked") >= 10, "{report}");
}

#[tokio::test]
async fn a_revocation_of_an_idle_integration_is_known_within_two_hours() {
    let world = stopped().await;
    let idle = plant_due(&world, ACCOUNT, 1, 300, -10).await;
    change(&world, &idle, &[("created_at", Some(0))]).await;
    minutes(&world, 1).await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);

    let known = minutes(&world, 120).await.iter().position(|minute| minute.count("revoked") == 1);

    assert!(known.is_some_and(|minute| minute >= 80), "{known:?}");
    assert_eq!(marked(&world).await, 1);
}

/// Integrations in use, whose looks are spread as the schedule spreads them.
async fn in_use(number: usize) -> World {
    let world = stopped().await.without_stream().await;
    let due = move |one: usize| (one * 1350 / number) as i64;
    plant_all(&world, (0..number).map(|one| (one, 1)), |one| (due(one) + 450, due(one))).await;
    world
}

/// Lets minutes pass, each with its run.
async fn minutes(world: &World, count: usize) -> Vec<Minute> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        // To the next full minute: the runs themselves take time too.
        let over = world.clock.now_millis().rem_euclid(60_000).unsigned_abs();
        world.pass(Duration::from_millis(60_500 - over));
        world.stack.hubspot.forget_requests();
        let report = world.refresh(serde_json::json!({})).await;
        all.push(Minute { report, asked: world.stack.hubspot.token_requests().len() });
    }
    all
}

/// After the trouble: nobody is marked, the backlog is gone in time, and it was no stampede.
#[expect(clippy::print_stdout, reason = "the figures of the long form")]
async fn recovers(world: &World, size: &Size, steady: &[Minute], after: &[Minute]) {
    let rate = asked(steady).iter().sum::<usize>().div_ceil(steady.len());
    let cleared = after.iter().rposition(|minute| minute.count("left") > 0).map_or(0, |last| last + 2);
    let most = after[1..].iter().map(|minute| minute.asked).max().unwrap();
    println!(
        "{} in use: {rate} a minute, {} at first, then {most} at most, cleared in minute {cleared}: {:?}",
        size.integrations,
        after[0].asked,
        asked(after)
    );

    assert!((2..=25).contains(&cleared), "{cleared}: {:?}", asked(after));
    assert!(most <= rate * 2 + size.chance, "{rate}: {:?}", asked(after));
    // The first run takes the shares of two minutes, and what the last runs have tried in vain.
    assert!(after[0].asked <= rate * 3 + PROBES * 4 + size.chance, "{rate}: {:?}", asked(after));
    assert_eq!((marked(world).await, late(world).await), (0, 0));
}

fn asked(minutes: &[Minute]) -> Vec<usize> {
    minutes.iter().map(|minute| minute.asked).collect()
}

/// How many integrations are marked.
async fn marked(world: &World) -> usize {
    all(world).await.iter().filter(|record| record["status"] != AttributeValue::S("active".to_owned())).count()
}

/// How many integrations have tokens that have expired.
async fn late(world: &World) -> usize {
    let expires = |record: &Item| record["token_expires_at"].as_n().unwrap().parse::<i64>().unwrap();
    all(world).await.iter().filter(|record| expires(record) <= world.clock.now()).count()
}

type Item = std::collections::HashMap<String, AttributeValue>;

async fn all(world: &World) -> Vec<Item> {
    let scan = world.stack.dynamodb().scan().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    scan.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
}

async fn mark(world: &World, record: &shared::integration::Integration) {
    let status = AttributeValue::S("needs_reauthorization".to_owned());
    crate::refresh::planted::change_text(world, record, "status", status).await;
    change(world, record, &[("refresh_at", Some(world.clock.now() - 5))]).await;
}

fn down(_: u64, request: &RecordedRequest, nth: usize) -> Option<Fault> {
    match (request.is_token(), nth % 4) {
        (false, _) => None,
        (true, 0) => Some(Fault::Close),
        (true, 1) => Some(Fault::Reset),
        (true, _) => Some(Fault::status(503)),
    }
}

fn resets(_: u64, request: &RecordedRequest, nth: usize) -> Option<Fault> {
    (request.is_token() && nth % 100 == 7).then_some(Fault::Reset)
}
