//! A run costs what is due, however many integrations there are. `LOAD=100000` is the long form.

use std::collections::BTreeMap;
use std::time::Instant;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use devstack::hubspot::Match;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::plant_all;
use crate::histories::setting;
use crate::refresh::planted::{SCOPES, item};
use crate::world::World;

/// The function's limit of resident memory, in bytes.
const MEMORY: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_costs_what_is_due_however_many_integrations_there_are() {
    let most = setting("LOAD").map_or(2_000, |load| load as usize);
    let due = most.div_ceil(100).clamp(20, 300);

    let mut costs = Vec::new();
    for all in [(most / 100).max(due), most / 10, most] {
        costs.push((all, cost(all, due).await));
    }

    let first = &costs[0].1;
    assert!(costs.iter().all(|(_, cost)| alike(&cost.calls, &first.calls, 1)), "{costs:#?}");
    assert!(costs.iter().all(|(_, cost)| cost.memory <= MEMORY), "{costs:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_as_many_that_are_due_cost_ten_times_as_much() {
    let most = setting("LOAD").map_or(2_000, |load| load as usize);
    let due = (most * 3).div_ceil(100).max(20);

    let (few, many) = (cost(most, due.div_ceil(10)).await, cost(most, due.div_ceil(10) * 10).await);

    assert!(alike(&many.calls, &few.calls, 10), "{few:#?} {many:#?}");
    assert!(many.memory <= MEMORY, "{many:#?}");
}

/// Returns true if there are so many times as many calls, but for one that the SDK repeats now and then.
fn alike(calls: &BTreeMap<String, usize>, others: &BTreeMap<String, usize>, times: usize) -> bool {
    let near = |(name, count): (&String, &usize)| {
        let expected = others.get(name).copied().unwrap_or_default() * times;
        count.abs_diff(expected) <= 1 + expected / 50
    };
    calls.len() == others.len() && calls.iter().all(near)
}

/// Requests of the real function's runs, until nothing was due.
#[derive(Debug)]
struct Cost {
    /// By operation, what finding the due ones takes (a page or more of each shard, in every run) apart.
    calls: BTreeMap<String, usize>,
    memory: u64,
}

#[expect(clippy::print_stdout, reason = "the figures of the long form")]
async fn cost(all: usize, due: usize) -> Cost {
    let world = World::start().await.without_stream().await;
    let began = Instant::now();
    crowd(&world, all - due).await;
    plant_all(&world, (0..due).map(|number| (number, 1)), |_| (300, -10)).await;
    let (planted, before) = (began.elapsed(), asked(&world));

    let (mut refreshed, mut runs, began) = (0, 0, Instant::now());
    while refreshed < due {
        let report = world.stack.run_schedule_once(None).await.unwrap();
        let count = |name: &str| report[name].as_u64().unwrap() as usize;
        // What the end of a run meets on its way is put off for seconds.
        assert_eq!(count("due"), count("refreshed") + count("left") + count("transient"), "{report}");
        assert!(count("transient") <= due / 100, "{report}");
        let done = count("refreshed");
        (refreshed, runs) = (refreshed + done, runs + 1);
    }

    let calls = asked(&world).into_iter().map(|(name, count)| {
        let before = before.get(&name).copied().unwrap_or_default();
        (name, count - before)
    });
    let calls = calls.filter(|(_, count)| *count > 0).collect();
    let memory = world.stack.lambda.peak_memory("token-refresh");
    let (megabytes, took) = (memory as f64 / f64::from(1 << 20), began.elapsed());
    println!("{due} due of {all}: planted in {planted:.1?}, {runs} runs, {took:.1?}, {megabytes:.1} MiB, {calls:?}");
    Cost { calls, memory }
}

/// How often each operation was called so far, but for those of the index, of the app's credentials and of the
/// sweep's list, which each process and each run needs once or a few times.
fn asked(world: &World) -> BTreeMap<String, usize> {
    let aws = world.stack.dynamo.calls().into_iter().filter(|call| call.body["IndexName"].is_null());
    let secrets = world.stack.secrets_manager.calls().into_iter();
    let secrets = secrets.filter(|call| call.secret().is_some_and(|name| !name.ends_with("/app")));
    let names = aws.map(|call| call.operation).chain(secrets.map(|call| call.operation));
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    names.for_each(|name| *all.entry(name).or_default() += 1);
    all.insert("refresh at HubSpot".to_owned(), world.stack.hubspot.count(&Match::refresh()));
    all
}

/// Integrations that are not due, written as fast as they can be, without secrets.
async fn crowd(world: &World, number: usize) {
    let client = aws_sdk_dynamodb::Client::new(&world.stack.true_aws_config());
    let (table, now) = (world.stack.table("INTEGRATIONS_TABLE"), world.clock.now());
    let put = |number: usize| {
        let at = now + 600 + (number % 900) as i64;
        let record = record(number, now, at);
        WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(record)).build().unwrap()).build()
    };
    let batches = (0..number).step_by(25).map(|from| (from..number.min(from + 25)).map(put).collect::<Vec<_>>());
    let written = stream::iter(batches).map(|batch| {
        let write = client.batch_write_item().request_items(table, batch).send();
        async move { assert!(write.await.unwrap().unprocessed_items.unwrap_or_default().is_empty()) }
    });
    written.buffer_unordered(4).collect::<Vec<()>>().await;
}

fn record(number: usize, now: i64, at: i64) -> std::collections::HashMap<String, AttributeValue> {
    let account = format!("crowd_{number}");
    let account_id = shared::integration::AccountId::try_from(account.clone()).unwrap();
    let record: Value = json!({
        "account_id": account, "sequence": 1, "integration_id": "integration-1", "created_at": now, "scopes": SCOPES,
        "status": "active", "secret_id": "none", "secret_version": "none", "token_expires_at": at + 450,
        "refresh_shard": shared::integration::shard(&account_id), "refresh_at": at, "schema": 1,
    });
    item(&serde_json::from_value(record).unwrap())
}
