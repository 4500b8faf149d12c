//! No token and no secret is in anything that the tool prints, whatever it is given and whatever it meets.

use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::stack::Options;
use devstack::wire::Answer;
use serde_json::json;

use super::{Ended, run, run_with};
use crate::lines::secrets;
use crate::refresh::planted::{another_has_refreshed, expire, plant, pointer};
use crate::secrecy::found;
use crate::world::World;

/// What is given to the tool and refused, with every character that some encoding changes.
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
async fn no_output_and_no_error_shows_a_token_or_a_secret_in_any_spelling() {
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
    give(&world, &mut printed, &["app-secret", "rotate"], PLANTED[0]).await;
    give(&world, &mut printed, &["app-secret", "rotate"], &json(PLANTED[4])).await;
    give(&world, &mut printed, &["app-secret", "rotate"], &format!("{} \t", PLANTED[1])).await;
    look(&world, &mut printed).await;
    give(&world, &mut printed, &["app-secret", "set"], &format!(" {}", PLANTED[1])).await;
    give(&world, &mut printed, &["app-secret", "set"], &json(&format!(" {}", PLANTED[1]))).await;
    give(&world, &mut printed, &["app-secret", "set"], &json(PLANTED[4])).await;
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
        give(&world, &mut printed, &["app-secret", "set"], &json(PLANTED[4])).await;
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
