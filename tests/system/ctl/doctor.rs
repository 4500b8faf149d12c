//! `doctor`: each thing that can be missing is found, and nothing else.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::stack::Options;
use serde_json::{Value, json};

use super::{Ended, command, ended, run};
use crate::refresh::planted::{change, item, plant, store};
use crate::world::{ACCOUNT, World};

/// What is wrong, by name.
fn wrong(ended: &Ended) -> Vec<String> {
    let wrong = ended.lines.iter().filter(|line| line["ok"] == false);
    wrong.map(|line| line["check"].as_str().unwrap().to_owned()).collect()
}

async fn doctor(world: &World) -> Ended {
    let before = state(world).await;
    let ended = run(&world.stack, &["doctor", "--json"]).await;
    assert_eq!(state(world).await, before, "it changes nothing");
    ended
}

/// All records and secrets.
async fn state(world: &World) -> (usize, Vec<String>) {
    let page = store(world).scan(None).await.unwrap();
    let mut records: Vec<String> = page.records.into_iter().map(|record| json!(record.unwrap()).to_string()).collect();
    records.sort();
    (world.stack.secrets_manager.secrets().iter().map(|secret| secret.versions.len()).sum(), records)
}

#[tokio::test]
async fn a_sound_stack_has_no_finding() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;

    let ended = doctor(&world).await;

    assert_eq!((ended.code, ended.lines.len(), wrong(&ended)), (0, 10, Vec::new()), "{ended:?}");
}

#[tokio::test]
async fn what_is_wrong_with_app_secret_hubspot_and_schedule_is_found_and_says_what_to_do() {
    let world = World::with(Options { app_secret: false, ..Options::default() }).await;
    let without = doctor(&world).await;
    let (client_id, client_secret) = (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret());
    world.stack.put_app_secret(&json!({"client_id": client_id, "clientSecret": "s3cret-s3cret"})).await.unwrap();
    let misshapen = doctor(&world).await;
    world.stack.put_app_secret(&json!({"client_id": client_id, "client_secret": "s3cret-s3cret"})).await.unwrap();
    let refused = doctor(&world).await;
    world.stack.put_app_secret(&json!({"client_id": client_id, "client_secret": client_secret})).await.unwrap();
    world.stack.hubspot.script_always(Match::any(), Fault::status(503));
    let down = doctor(&world).await;
    world.stack.hubspot.clear_scripts();
    let late = plant(&world, ACCOUNT, 1).await;
    change(&world, &late, &[("refresh_at", Some(world.clock.now() - 4000))]).await;
    let overdue = doctor(&world).await;

    assert_eq!(wrong(&without), ["app secret", "HubSpot"], "{without:?}");
    assert_eq!(wrong(&misshapen), ["app secret", "HubSpot"], "{misshapen:?}");
    assert!(misshapen.text.contains("client_secret is missing") && !misshapen.text.contains("s3cret"));
    assert_eq!(wrong(&refused), ["HubSpot"], "{refused:?}");
    assert_eq!(wrong(&down), ["HubSpot"], "{down:?}");
    assert_eq!(wrong(&overdue), ["schedule"], "{overdue:?}");
    assert!([&without, &misshapen, &refused, &down, &overdue].iter().all(|ended| ended.code == 1));
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_more_than_leases_allow_is_found() {
    let world = World::start().await;
    let right = wrong(&doctor(&world).await);

    world.stack.hubspot.advance(Duration::from_secs(10));

    assert_eq!((right, wrong(&doctor(&world).await)), (Vec::new(), vec!["clock".to_owned()]));
}

#[tokio::test]
async fn a_rotation_under_way_is_told_and_is_no_finding() {
    let world = World::start().await;
    let (client_id, old) = (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret());
    let both = json!({"client_id": client_id, "client_secret": "new-secret", "previous_client_secret": old});
    world.stack.put_app_secret(&both).await.unwrap();

    let ended = doctor(&world).await;

    assert_eq!((ended.code, wrong(&ended)), (0, Vec::new()), "{ended:?}");
    assert!(ended.text.contains("rotate --finish") && ended.text.contains("previous client secret"), "{ended:?}");
}

#[tokio::test]
async fn what_aws_refuses_is_found() {
    let world = World::start().await;
    let with = async |change: &dyn Fn()| {
        change();
        let ended = run(&world.stack, &["doctor", "--json"]).await;
        world.stack.dynamo.heal();
        world.stack.secrets_manager.heal();
        wrong(&ended)
    };

    let reads = with(&|| world.stack.dynamo.fail_next("Query", AwsFault::Refused, 3)).await;
    let writes = with(&|| world.stack.dynamo.fail_next("UpdateItem", AwsFault::Refused, 3)).await;
    let lists = with(&|| world.stack.secrets_manager.fail_next("ListSecrets", AwsFault::AccessDenied, 1)).await;

    assert_eq!(
        (reads, writes, lists),
        (vec!["reads".to_owned()], vec!["writes".to_owned()], vec!["secrets".to_owned()])
    );
}

#[tokio::test]
async fn an_environment_that_is_not_complete_is_a_finding_that_names_all_of_it() {
    let world = World::start().await;
    let doctor = async |changes: &[(&str, Option<&str>)]| {
        let mut command = command(&world.stack, &["doctor", "--json"]);
        for (name, value) in changes {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        ended(command.stdout(Stdio::piped()).spawn().unwrap()).await
    };

    let nothing = doctor(&[("INTEGRATIONS_TABLE", None), ("SECRET_PREFIX", None)]).await;
    let table = doctor(&[("INTEGRATIONS_TABLE", Some("other"))]).await;

    let names = ["INTEGRATIONS_TABLE", "SECRET_PREFIX"];
    assert!(nothing.code == 1 && names.iter().all(|name| nothing.text.contains(name)), "{nothing:?}");
    assert!(table.code == 1 && wrong(&table).contains(&"table".to_owned()), "{table:?}");
}

#[tokio::test]
async fn a_record_that_does_not_parse_does_not_stop_it() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    let mut odd = item(&record);
    odd.insert("status".to_owned(), AttributeValue::S("odd".to_owned()));
    let put = world.stack.dynamodb().put_item().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    put.set_item(Some(odd)).send().await.unwrap();

    let ended = run(&world.stack, &["doctor", "--json"]).await;

    assert_eq!((ended.code, ended.lines.last().map(|line| &line["check"])), (0, Some(&Value::from("schedule"))));
}
