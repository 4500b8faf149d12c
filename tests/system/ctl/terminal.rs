//! The tool at a terminal: whose credentials it takes, what its messages say, what may reach the screen.

use std::path::Path;
use std::process::Stdio;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::process::Command;

use super::{Ended, Folder, command, ended, legacy, path, run};
use crate::refresh::planted::{change_text, plant, planted};
use crate::world::{ACCOUNT, World};

/// A command that does not read the AWS files of the developer who runs the tests.
fn with_profiles(world: &World, arguments: &[&str], config: &Path) -> Command {
    let mut command = command(&world.stack, arguments);
    command.env("AWS_CONFIG_FILE", config).env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
    command
}

async fn finish(mut command: Command) -> Ended {
    ended(command.spawn().unwrap()).await
}

#[tokio::test]
async fn an_explicit_profile_wins_over_credentials_in_the_environment() {
    let (world, folder) = (World::start().await, Folder::new());
    plant(&world, ACCOUNT, 1).await;
    let profile = "[profile ops]\naws_access_key_id = AKIAOPERATOR\naws_secret_access_key = s\n";
    let config = folder.text("config", profile);

    let ended = finish(with_profiles(&world, &["refresh", ACCOUNT, "--profile", "ops", "--json"], &config)).await;

    assert_eq!((ended.code, &ended.lines[0]["acted_by"]), (0, &"user/OPERATOR".into()), "{ended:?}");
}

#[tokio::test]
async fn an_unknown_profile_is_an_error() {
    let (world, folder) = (World::start().await, Folder::new());
    plant(&world, ACCOUNT, 1).await;
    let config = folder.text("config", "");
    let disconnect = ["disconnect", ACCOUNT, "integration-1", "--yes", "--profile", "nope"];

    let ended = finish(with_profiles(&world, &disconnect, &config)).await;

    assert!(ended.code == 2 && ended.errors.contains("profile nope"), "{ended:?}");
    assert!(world.record(ACCOUNT, 1).await.is_some());
}

#[tokio::test]
async fn missing_credentials_and_missing_tables_are_named() {
    let (world, folder) = (World::start().await, Folder::new());
    let config = folder.text("config", "");
    let mut anonymous = with_profiles(&world, &["status"], &config);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        anonymous.env_remove(name);
    }
    anonymous.env("AWS_EC2_METADATA_DISABLED", "true");
    let mut elsewhere = command(&world.stack, &["status"]);
    elsewhere.env("INTEGRATIONS_TABLE", "absent");

    let (anonymous, elsewhere) = (finish(anonymous).await, finish(elsewhere).await);

    assert!(anonymous.code == 2 && anonymous.errors.contains("no AWS credentials"), "{anonymous:?}");
    assert!(elsewhere.code == 3 && elsewhere.errors.contains("no such table"), "{elsewhere:?}");
}

#[tokio::test]
async fn texts_of_customers_cannot_control_the_terminal() {
    let (world, record) = planted().await;
    let hostile = "\u{1b}[2J\u{202e}nimda\nforged line";
    change_text(&world, &record, "connected_by", AttributeValue::S(hostile.to_owned())).await;

    let ended = run(&world.stack, &["integrations", "show", ACCOUNT]).await;

    assert!(ended.text.contains("\\u{1b}[2J\\u{202e}nimda\\u{a}forged line"), "{ended:?}");
    assert!(!ended.text.contains('\u{1b}') && !ended.text.contains('\u{202e}'), "{ended:?}");
}

#[tokio::test]
async fn a_closed_pipe_ends_quietly_with_the_shells_code() {
    let (world, folder) = (World::start().await, Folder::new());
    for number in 0..3 {
        plant(&world, &format!("acc_{number}"), 1).await;
    }
    let file = folder.file("old", &[legacy(&world, "acc_9", "legacy-9", 1_600_000_000)]);
    // The other end of the pipe is closed before anything is written.
    let closed = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(&world.stack, arguments);
        command.stdout(Stdio::from(writer));
        command
    };

    let list = finish(closed(&["integrations", "list"])).await;
    let import = finish(closed(&["import", path(&file)])).await;

    assert_eq!((list.code, list.errors.as_str()), (141, ""), "{list:?}");
    assert!(import.code == 141 && import.errors.contains("run the same command again"), "{import:?}");
}

#[tokio::test]
async fn a_mistyped_command_gets_a_suggestion_and_help_folds() {
    let world = World::start().await;

    let mistyped = run(&world.stack, &["staus"]).await;
    let mut narrow = command(&world.stack, &["import", "--help"]);
    narrow.env("COLUMNS", "60");
    let narrow = finish(narrow).await;

    assert!(mistyped.code == 2 && mistyped.errors.contains("'status'"), "{mistyped:?}");
    let wide: Vec<&str> = narrow.text.lines().filter(|line| line.chars().count() > 60).collect();
    assert!(narrow.text.lines().count() > 30 && wide.is_empty(), "{wide:?} {narrow:?}");
}
