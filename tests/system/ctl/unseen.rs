//! Nothing secret is printed: whatever a command does, for people or for machines, on both outputs.

use devstack::hubspot::{Fault, Match};
use serde_json::{Value, json};

use super::{Folder, command, ended, legacy, path};
use crate::refresh::planted::refused;
use crate::world::{ADMIN, World, request};

/// Every text that nobody may see: what was planted, and all that Secrets Manager and HubSpot have issued.
fn secrets(world: &World, planted: &[Value]) -> Vec<String> {
    let mut secrets: Vec<String> =
        planted.iter().filter_map(|line| Some(line["refresh_token"].as_str()?.to_owned())).collect();
    secrets.push(world.stack.hubspot.client_secret());
    for secret in world.stack.secrets_manager.secrets() {
        for version in secret.versions {
            let text: Value = version.value.json();
            for name in ["access_token", "refresh_token", "client_secret"] {
                secrets.extend(text[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned));
            }
        }
    }
    secrets
}

#[tokio::test]
async fn no_output_and_no_error_shows_a_token_or_a_secret() {
    let world = World::start().await;
    let folder = Folder::new();
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
            let ended = ended(command(&world.stack, &all).spawn().unwrap()).await;
            assert_ne!(ended.code, -1, "{all:?} {ended:?}");
            printed.push((all.join(" "), ended.text, ended.errors));
        }
    }

    let secrets = secrets(&world, &lines);
    assert!(secrets.len() > 15, "{}", secrets.len());
    assert!(printed.iter().any(|(_, text, _)| text.contains("imported")), "{printed:#?}");
    for (arguments, text, errors) in &printed {
        for secret in &secrets {
            assert!(!text.contains(secret) && !errors.contains(secret), "{arguments}: {secret} in {text}{errors}");
        }
    }
}
