//! `decommission`: what `sam delete` leaves behind goes, and nothing else.

use devstack::aws::AwsFault;
use serde_json::json;

use super::run;
use crate::refresh::planted::{plant, pointer, store};
use crate::world::World;

/// What `sam delete` does to the secret that the template declares.
async fn delete_stack(world: &World) {
    let delete = world.stack.secrets().delete_secret().secret_id(store(world).app_secret_id());
    delete.recovery_window_in_days(7).send().await.unwrap();
}

/// A stack with three integrations, one of whose secrets is swept, beside a secret of another stack.
async fn world() -> World {
    let world = World::start().await;
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
async fn a_removed_stacks_secrets_are_counted_and_then_deleted_with_those_that_were_swept() {
    let world = world().await;
    delete_stack(&world).await;

    let counted = run(&world.stack, &["decommission", "--dry-run", "--json"]).await;
    let before = names(&world).len();
    let ended = run(&world.stack, &["decommission", "--stack-name", "local", "--json"]).await;
    let again = run(&world.stack, &["decommission", "--stack-name", "local", "--json"]).await;

    let counts = |outcome: &str, secrets: u32, marked: u32, deleted: u32| {
        json!({"outcome": outcome, "stack": "local", "secrets": secrets, "marked_for_deletion": marked,
            "deleted": deleted, "failed": 0})
    };
    assert_eq!((counted.code, &counted.lines[..], before), (0, &[counts("counted", 3, 1, 0)][..], 4), "{counted:?}");
    assert_eq!(ended.lines, [counts("counted", 3, 1, 0), counts("deleted", 3, 1, 3)], "{ended:?}");
    assert_eq!(names(&world), ["local-2/integrations/a"]);
    assert_eq!((ended.code, again.code), (0, 0), "{again:?}");
}

#[tokio::test]
async fn nothing_is_deleted_of_a_stack_that_lives_or_under_another_name_or_unasked() {
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
async fn what_could_not_be_deleted_is_counted_and_goes_with_the_next_start() {
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
