//! No token and no secret is in anything that the tool prints, whatever it is given and whatever it meets.

use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::stack::Options;
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{Ended, Folder, legacy, path, run, run_with};
use crate::lines::secrets;
use crate::refresh::planted::{another_has_refreshed, expire, plant, pointer, refused};
use crate::secrecy::found;
use crate::world::{ADMIN, World, request};

/// A value that the tool refuses, with every character that some encoding changes.
const PLANTED: [&str; 5] = [
    "pl4nted/typed+secret=\"<&",
    "pl4nted-misshapen-secret",
    "pl4nted-corrupt-tokens",
    "pl4nted-echoed-by-hubspot",
    "pl4nted-json-secret",
];

/// All commands that look at something, in both formats.
async fn look(world: &World, printed: &mut Vec<(String, String)>) {
    for arguments in [
        vec!["status"],
        vec!["status", "--all"],
        vec!["status", "acc_1", "acc_2", "acc_3"],
        vec!["integrations", "list"],
        vec!["integrations", "show", "acc_1"],
        vec!["integrations", "show", "acc_2"],
        vec!["refresh", "acc_1"],
        vec!["refresh", "acc_2"],
        vec!["doctor"],
        vec!["sweep", "--dry-run"],
        vec!["decommission", "--dry-run"],
        vec!["app-secret", "rotate", "--finish"],
    ] {
        for json in [&["--json"][..], &[]] {
            let arguments = [&arguments, json].concat();
            keep(printed, &arguments, run(&world.stack, &arguments).await);
        }
    }
}

fn keep(printed: &mut Vec<(String, String)>, arguments: &[&str], ended: Ended) {
    printed.push((arguments.join(" "), format!("{}\n{}", ended.text, ended.errors)));
}

async fn give(world: &World, printed: &mut Vec<(String, String)>, arguments: &[&str], stdin: &str) {
    for json in [&["--json"][..], &[]] {
        let arguments = [arguments, json].concat();
        keep(printed, &arguments, run_with(&world.stack, &arguments, stdin).await);
    }
}

#[tokio::test]
async fn no_command_prints_a_token_or_a_secret_in_any_spelling() {
    let world = World::with(Options::default()).await;
    let (mut printed, mut planted) = (Vec::new(), secrets(&world.stack));
    let (sound, corrupt) = (plant(&world, "acc_1", 1).await, plant(&world, "acc_2", 1).await);
    another_has_refreshed(&world, &sound).await;
    plant(&world, "acc_3", 1).await;
    look(&world, &mut printed).await;
    planted.extend(secrets(&world.stack));

    // What is typed, right and wrong.
    let client_id = world.stack.hubspot.client_id();
    let json = |secret: &str| json!({"client_id": client_id, "client_secret": secret}).to_string();
    give(&world, &mut printed, &["app-secret", "rotate", "--yes"], PLANTED[0]).await;
    give(&world, &mut printed, &["app-secret", "rotate"], &json(PLANTED[4])).await;
    give(&world, &mut printed, &["app-secret", "rotate"], &format!("{} \t", PLANTED[1])).await;
    look(&world, &mut printed).await;
    give(&world, &mut printed, &["app-secret", "set"], &format!(" {}", PLANTED[1])).await;
    give(&world, &mut printed, &["app-secret", "set"], &json(&format!(" {}", PLANTED[1]))).await;
    give(&world, &mut printed, &["app-secret", "set", "--yes"], &json(PLANTED[4])).await;
    planted.extend(secrets(&world.stack));

    // What lies where it should not, and what HubSpot and AWS say.
    let echo = json!({"error": PLANTED[3], "status": PLANTED[3], "message": PLANTED[3]});
    world.stack.hubspot.script_always(Match::token(), Fault::Answer(Answer::json(400, &echo)));
    expire(&world, &sound).await;
    let secrets_of = pointer(&corrupt).secret_id;
    let odd = format!(r#"{{"access_token":"{}""#, PLANTED[2]);
    let put = world.stack.secrets().put_secret_value().secret_id(&secrets_of).secret_string(odd).send().await.unwrap();
    let version = put.version_id.unwrap();
    let value = aws_sdk_dynamodb::types::AttributeValue::S(version);
    crate::refresh::planted::change_text(&world, &corrupt, "secret_version", value).await;
    look(&world, &mut printed).await;
    world.stack.hubspot.clear_scripts();
    for (operation, kind) in [
        ("GetSecretValue", AwsFault::AccessDenied),
        ("GetSecretValue", AwsFault::KeyDenied),
        ("PutSecretValue", AwsFault::AccessDenied),
        ("ListSecretVersionIds", AwsFault::AccessDenied),
    ] {
        world.stack.secrets_manager.fail_next(operation, kind, 100);
        look(&world, &mut printed).await;
        give(&world, &mut printed, &["app-secret", "set", "--yes"], &json(PLANTED[4])).await;
        world.stack.secrets_manager.heal();
    }
    let misshapen = json!({"client_id": client_id, "clientSecret": PLANTED[1]});
    world.stack.put_app_secret(&misshapen).await.unwrap();
    look(&world, &mut printed).await;
    keep(&mut printed, &["disconnect"], run(&world.stack, &["disconnect", "acc_1", "integration-1", "--yes"]).await);
    planted.extend(secrets(&world.stack));
    planted.extend(PLANTED.map(str::to_owned));

    let found = found(&planted, &printed);

    assert!(planted.len() > 12 && printed.len() > 150, "{} {}", planted.len(), printed.len());
    assert!(printed.iter().any(|(_, text)| text.contains("acc_1")), "these are the outputs");
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn import_and_check_print_no_token_and_no_secret() {
    let (world, folder) = (World::start().await, Folder::new());
    world.stack.connect("acc_1", ADMIN).await;
    let mut lines: Vec<Value> =
        (0..6).map(|n| legacy(&world, &format!("acc_{n}"), &format!("legacy-{n}"), 1_600_000_000)).collect();
    let dead =
        json!({"account_id": "acc_9", "integration_id": "legacy-9", "created_at": 7, "refresh_token": "na1-dead"});
    lines.push(dead);
    let token = lines[0]["refresh_token"].as_str().unwrap().to_owned();
    let wellformed = folder.file("wellformed", &lines);
    let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    for broken in [
        token.clone(),
        format!("\"{token}\""),
        format!("{{\"refresh_token\":\"{token}\"}}"),
        format!("{{\"refresh_token\":[\"{token}\"]}}"),
        format!("{{\"{token}\":1}}"),
        json!({"account_id": "a", "integration_id": "x", "created_at": 1, "refresh_token": format!("{token} {token}")})
            .to_string(),
        json!({"account_id": token, "integration_id": token, "created_at": token, "refresh_token": token}).to_string(),
        json!({"account_id": format!("{token} "), "integration_id": "x", "created_at": 1, "refresh_token": token})
            .to_string(),
    ] {
        text.push_str(&broken);
        text.push('\n');
    }
    let import = folder.text("old", &text);
    let mut stored = request("acc_1", None);
    stored["request"]["endpoint"] = json!(format!("https://{token}@example.com/{token}?hapikey={token}"));
    stored["request"]["headers"] = json!({"authorization": format!("Bearer {token}")});
    let mut carries = request("acc_2", None);
    carries["request"]["endpoint"] = json!(format!("/crm/v3/objects/contacts?hapikey={token}&access_token={token}"));
    let stored = folder.text("stored", &format!("{stored}\n{carries}\n{{\"account_id\": \"{token}\"\n"));
    let hubspot = &world.stack.hubspot;
    hubspot.script(
        Match::refresh(),
        [
            refused("teapot", &token),
            Fault::Answer(devstack::wire::Answer::json(200, &json!({"access_token": 7, "refresh_token": token}))),
        ],
    );

    let mut printed = Vec::new();
    for arguments in [
        &["import", path(&import), "--dry-run"][..],
        &["import", path(&import), "--concurrency", "1"],
        &["import", path(&import)],
        &["check", path(&stored)],
        &["check", path(&stored), "--import", path(&import)],
        &["check", path(&wellformed)],
        &["import", path(&stored)],
        &["check", path(&stored), "--stack", path(&import)],
    ] {
        for json in [&[][..], &["--json"]] {
            let all = [arguments, json].concat();
            let ended = run(&world.stack, &all).await;
            assert_ne!(ended.code, -1, "{all:?} {ended:?}");
            keep(&mut printed, &all, ended);
        }
    }

    let mut planted = secrets(&world.stack);
    planted.extend(lines.iter().filter_map(|line| Some(line["refresh_token"].as_str()?.to_owned())));
    let found = found(&planted, &printed);

    assert!(planted.len() >= 15, "{}", planted.len());
    assert!(printed.iter().any(|(_, text)| text.contains("imported")), "{printed:#?}");
    assert!(found.is_empty(), "{found:#?}");
}
