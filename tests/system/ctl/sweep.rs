//! `sweep`: only secrets that no record names are deleted, by a person, within bounds, and for a week not for good.

use devstack::hubspot;
use devstack::stack::Options;
use serde_json::json;
use shared::clock::Clock;

use super::{Ended, run};
use crate::refresh::planted::{plant, pointer, store};
use crate::world::World;

/// A world whose secrets are two days old.
pub(super) async fn old_world() -> World {
    let clock = Clock::default().skewed(-2 * 86_400_000);
    let hubspot = hubspot::HubSpotOptions { clock, ..hubspot::HubSpotOptions::default() };
    World::with(Options { hubspot, ..Options::default() }).await
}

/// Plants so many integrations, and deletes the records of the last `orphaned` ones.
async fn planted(world: &World, total: usize, orphaned: usize) -> Vec<String> {
    let mut secrets = Vec::new();
    for number in 0..total {
        let record = plant(world, &format!("acc_{number}"), 1).await;
        secrets.push(pointer(&record).secret_id);
        if number >= total - orphaned {
            store(world).delete(&record).await.unwrap();
        }
    }
    secrets
}

/// The secrets that are marked for deletion.
fn marked(world: &World) -> Vec<String> {
    let secrets = world.stack.secrets_manager.secrets();
    secrets.into_iter().filter(|secret| secret.deletion_at.is_some()).map(|secret| secret.name.clone()).collect()
}

fn totals(ended: &Ended) -> Vec<serde_json::Value> {
    let last = ended.lines.last().unwrap();
    ["outcome", "secrets", "orphaned", "deleted", "failed"].map(|name| last[name].clone()).to_vec()
}

#[tokio::test]
async fn a_sweep_lists_asks_and_deletes_with_a_recovery_window() {
    let world = old_world().await;
    let secrets = planted(&world, 25, 1).await;

    let listed = run(&world.stack, &["sweep", "--dry-run", "--json"]).await;
    let asked = run(&world.stack, &["sweep"]).await;
    let untouched = marked(&world);
    let swept = run(&world.stack, &["sweep", "--yes", "--json"]).await;
    let again = run(&world.stack, &["sweep", "--yes", "--json"]).await;

    assert_eq!((listed.code, totals(&listed)), (1, vec![json!("listed"), json!(25), json!(1), json!(0), json!(0)]));
    assert_eq!(
        (&listed.lines[0]["secret_id"], &listed.lines[0]["account_id"]),
        (&json!(secrets[24]), &json!("acc_24"))
    );
    assert!(asked.code == 2 && asked.errors.contains("--yes") && untouched.is_empty(), "{asked:?}");
    assert_eq!((swept.code, totals(&swept)), (0, vec![json!("deleted"), json!(25), json!(1), json!(1), json!(0)]));
    assert_eq!(marked(&world), [secrets[24].clone()]);
    assert_eq!((again.code, again.lines.len()), (0, 1), "{again:?}");
}

#[tokio::test]
async fn a_sweep_of_many_secrets_needs_the_stacks_name() {
    let world = old_world().await;
    planted(&world, 4, 4).await;

    let confirmed = run(&world.stack, &["sweep", "--yes"]).await;
    let other = run(&world.stack, &["sweep", "--yes", "--stack-name", "other"]).await;
    let untouched = marked(&world);
    let named = run(&world.stack, &["sweep", "--stack-name", "local"]).await;

    assert!(confirmed.code == 2 && confirmed.errors.contains("4 of 4 secrets would be deleted"), "{confirmed:?}");
    assert!(other.code == 2 && untouched.is_empty(), "{other:?}");
    assert_eq!((named.code, marked(&world).len()), (0, 4), "{named:?}");
}

#[tokio::test]
async fn a_sweep_spares_what_is_young_named_or_of_another_stack() {
    let world = World::start().await;
    let young = plant(&world, "acc_1", 1).await;
    store(&world).delete(&young).await.unwrap();
    let other = world.stack.secrets().create_secret().name("local-2/integrations/a").secret_string("{}");
    other.send().await.unwrap();

    let ended = run(&world.stack, &["sweep", "--stack-name", "local", "--json"]).await;

    assert_eq!((ended.code, totals(&ended)), (0, vec![json!("listed"), json!(1), json!(0), json!(0), json!(0)]));
    assert!(marked(&world).is_empty());
}
