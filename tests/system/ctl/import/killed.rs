//! An import that is killed again and again: each integration is there exactly once, and no token is lost.

use devstack::hubspot::Rotation;
use devstack::stack::Options;
use devstack::wire::At;
use serde_json::Value;

use super::{THEN, import, records};
use crate::ctl::{Folder, command, legacy, path};
use crate::refresh::planted::expire;
use crate::world::{World, request};

/// How often the import is killed.
const KILLS: usize = 20;

/// How many integrations are imported: `IMPORT=10000` is the long form.
fn size() -> usize {
    #[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the product")]
    std::env::var("IMPORT").map_or(300, |number| number.parse().unwrap())
}

/// A world in which a lease that a killed process had lapses soon.
async fn world(rotation: Rotation) -> World {
    let short = [("TOKEN_TIMEOUT_SECONDS", "1"), ("REFRESH_LEASE_SECONDS", "11")];
    let environment = short.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into();
    let world = World::with(Options { environment, ..Options::default() }).await.without_stream().await;
    world.stack.hubspot.set_rotation(rotation);
    world
}

/// Starts the import, holds one of its next calls, and kills it there.
async fn kill(world: &World, file: &str, within: usize) {
    let nth = fastrand::usize(1..=within);
    let gate = world.stack.interruptions.hold(nth, if fastrand::bool() { At::Before } else { At::After });
    let mut child = command(&world.stack, &["import", file, "--json"]).spawn().unwrap();
    gate.reached(1).await;
    child.kill().await.unwrap();
    gate.lose();
    world.stack.interruptions.clear();
}

async fn killed_again_and_again(rotation: Rotation) {
    let (world, folder, size) = (world(rotation).await, Folder::new(), size());
    let name = |number: usize| (format!("acc_{number}"), format!("legacy-{number}"));
    let lines: Vec<Value> = (0..size).map(|number| legacy(&world, &name(number).0, &name(number).1, THEN)).collect();
    let file = folder.file("old", &lines);
    // An import makes some nine calls for each integration.
    let within = size * 9 / KILLS;

    for _ in 0..KILLS {
        kill(&world, path(&file), within.max(2)).await;
    }
    let ended = import(&world, &file, &[]).await;

    assert_eq!(ended.code, 0, "{} {}", ended.errors, ended.summary());
    let mut lost = Vec::new();
    for (account, integration) in (0..size).map(name) {
        let records = records(&world, &account).await;
        assert_eq!((records.len(), records[0].integration_id.as_str()), (1, integration.as_str()), "{account}");
        // What it has now is good for more than this once.
        expire(&world, &records[0]).await;
        let answer = world.execute(&request(&account, Some(&integration))).await;
        if answer.status != 200 || answer.body["hubspot"]["status"] != 200 {
            lost.push((account, answer.text));
        }
    }
    assert_eq!(lost, Vec::new());
    let secrets = world.stack.secrets_manager.secrets();
    assert_eq!(secrets.iter().filter(|secret| secret.name.contains("/integrations/")).count(), size);
}

#[tokio::test]
async fn an_import_killed_20_times_imports_each_exactly_once() {
    killed_again_and_again(Rotation::Keep).await;
}

#[tokio::test]
async fn an_import_killed_20_times_loses_no_token_under_rotation() {
    killed_again_and_again(Rotation::Grace(60_000)).await;
}
