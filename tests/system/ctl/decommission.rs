//! `decommission`: what `sam delete` leaves behind goes, and nothing else.

use devstack::aws::AwsFault;
use serde_json::{Value, json};

use super::sweep::old_world;
use super::{command, ended, run};
use crate::refresh::planted::{plant, pointer, store};
use crate::world::World;

/// The effect of `sam delete` on the secret and the table of authorizations that the template declares.
async fn delete_stack(world: &World) {
    delete_app_secret(world).await;
    let (dynamodb, table) = (world.stack.dynamodb(), world.stack.table("AUTHORIZATIONS_TABLE"));
    dynamodb.update_table().table_name(table).deletion_protection_enabled(false).send().await.unwrap();
    dynamodb.delete_table().table_name(table).send().await.unwrap();
}

async fn delete_app_secret(world: &World) {
    let delete = world.stack.secrets().delete_secret().secret_id(store(world).app_secret_id());
    delete.recovery_window_in_days(7).send().await.unwrap();
}

/// A stack with three integrations, one of whose secrets is swept, beside a secret of another stack.
async fn world() -> World {
    // Nothing has written its table for an hour.
    let world = old_world().await;
    for account in ["acc_1", "acc_2", "acc_3"] {
        plant(&world, account, 1).await;
    }
    let swept = pointer(&world.record("acc_3", 1).await.unwrap());
    store(&world).discard_secret(&swept.secret_id).await.unwrap();
    let other = world.stack.secrets().create_secret().name("local-2/integrations/a").secret_string("{}");
    other.send().await.unwrap();
    world
}

fn names(world: &World) -> Vec<String> {
    let secrets = world.stack.secrets_manager.secrets();
    secrets.into_iter().map(|secret| secret.name.clone()).filter(|name| !name.ends_with("/app")).collect()
}

#[tokio::test]
async fn a_removed_stacks_secrets_are_counted_then_deleted() {
    let world = world().await;
    delete_stack(&world).await;

    let counted = run(&world.stack, &["decommission", "--dry-run", "--json"]).await;
    let before = names(&world).len();
    let ended = run(&world.stack, &["decommission", "--stack-name", "local", "--json"]).await;
    let again = run(&world.stack, &["decommission", "--stack-name", "local", "--json"]).await;

    let counts = |outcome: &str, secrets: u32, marked: u32, deleted: u32| {
        json!({"outcome": outcome, "stack": "local", "secrets": secrets, "marked_for_deletion": marked,
            "deleted": deleted, "failed": 0, "type": "decommission"})
    };
    let deleted = |mut line: Value| {
        for name in ["aws_account", "region", "acted_by"] {
            assert!(line.as_object_mut().unwrap().remove(name).is_some(), "{line}");
        }
        line
    };
    assert_eq!((counted.code, &counted.lines[..], before), (0, &[counts("counted", 3, 1, 0)][..], 4), "{counted:?}");
    assert_eq!(ended.lines[0], counts("counted", 3, 1, 0), "{ended:?}");
    assert_eq!(deleted(ended.lines[1].clone()), counts("deleted", 3, 1, 3), "{ended:?}");
    assert_eq!(names(&world), ["local-2/integrations/a"]);
    assert_eq!((ended.code, again.code), (0, 0), "{again:?}");
}

#[tokio::test]
async fn nothing_is_deleted_of_a_live_stack_by_another_name_or_unasked() {
    let world = world().await;

    let alive = run(&world.stack, &["decommission", "--stack-name", "local"]).await;
    delete_stack(&world).await;
    let other = run(&world.stack, &["decommission", "--stack-name", "local-2"]).await;
    let unasked = run(&world.stack, &["decommission"]).await;

    assert_eq!([alive.code, other.code, unasked.code], [2, 2, 2], "{alive:?} {other:?} {unasked:?}");
    assert!(alive.errors.contains("sam delete") && unasked.errors.contains("--stack-name"), "{alive:?} {unasked:?}");
    assert_eq!(names(&world).len(), 4);
}

#[tokio::test]
async fn nothing_is_counted_or_deleted_without_the_authorizations_table() {
    // The variables of automation-execute, which does not have it.
    let world = world().await;
    delete_app_secret(&world).await;
    let without = async |arguments: &[&str]| {
        let mut command = command(&world.stack, arguments);
        ended(command.env_remove("AUTHORIZATIONS_TABLE").spawn().unwrap()).await
    };

    let counted = without(&["decommission", "--dry-run"]).await;
    let deleted = without(&["decommission", "--stack-name", "local"]).await;

    for ended in [&counted, &deleted] {
        assert!(ended.code == 2 && ended.text.is_empty(), "{ended:?}");
        assert!(ended.errors.contains("AUTHORIZATIONS_TABLE is not set"), "{ended:?}");
    }
    assert_eq!(names(&world).len(), 4);
}

#[tokio::test]
async fn failed_deletions_are_counted_and_done_by_the_next_run() {
    let world = world().await;
    delete_stack(&world).await;
    world.stack.secrets_manager.fail_next("DeleteSecret", AwsFault::AccessDenied, 1);

    let first = run(&world.stack, &["decommission", "--stack-name", "local", "--json"]).await;
    let second = run(&world.stack, &["decommission", "--stack-name", "local", "--json"]).await;

    assert_eq!(
        (first.code, &first.lines[1]["failed"], &first.lines[1]["deleted"]),
        (1, &json!(1), &json!(2)),
        "{first:?}"
    );
    assert_eq!((second.code, names(&world).len()), (0, 1), "{second:?}");
}

#[tokio::test]
async fn each_sign_of_a_live_stack_keeps_its_secrets() {
    let (tables, recent) = (world().await, World::start().await);
    delete_app_secret(&tables).await;
    plant(&recent, "acc_1", 1).await;
    delete_stack(&recent).await;

    let table_there = run(&tables.stack, &["decommission", "--stack-name", "local"]).await;
    let just_written = run(&recent.stack, &["decommission", "--stack-name", "local"]).await;

    assert!(table_there.code == 2 && table_there.errors.contains("AuthorizationsTable"), "{table_there:?}");
    assert!(just_written.code == 2 && just_written.errors.contains("an hour after the last write"), "{just_written:?}");
    assert_eq!(names(&recent).len(), 1);
}
