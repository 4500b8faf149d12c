//! `doctor`: each thing that can be missing is found, and nothing else.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::stack::Options;
use serde_json::{Value, json};

use super::sweep::old_world;
use super::{Ended, command, ended};
use crate::refresh::planted::{SCOPES, change, change_text, item, plant, planted, pointer, store};
use crate::world::{ACCOUNT, World};

/// The findings, by name.
fn wrong(ended: &Ended) -> Vec<String> {
    let wrong = ended.lines.iter().filter(|line| line["ok"] == false);
    wrong.map(|line| line["check"].as_str().unwrap().to_owned()).collect()
}

/// Runs the doctor with the scopes that planted integrations have and without a key, besides these variables.
async fn diagnose(world: &World, variables: &[(&str, &str)]) -> Ended {
    let mut command = command(&world.stack, &["doctor", "--json"]);
    command.env("HUBSPOT_SCOPES", SCOPES.join(" ")).env_remove("SECRETS_KMS_KEY");
    command.envs(variables.iter().copied());
    ended(command.spawn().unwrap()).await
}

async fn doctor(world: &World) -> Ended {
    let before = state(world).await;
    let ended = diagnose(world, &[]).await;
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
async fn a_healthy_stack_has_no_finding() {
    let (world, _) = planted().await;

    let ended = doctor(&world).await;

    assert_eq!((ended.code, ended.lines.len(), wrong(&ended)), (0, 14, Vec::new()), "{ended:?}");
}

#[tokio::test]
async fn orphaned_secrets_are_counted() {
    let world = old_world().await;
    let (kept, orphaned) = (plant(&world, "acc_1", 1).await, plant(&world, "acc_2", 1).await);
    store(&world).delete(&orphaned).await.unwrap();

    let ended = doctor(&world).await;

    assert!(ended.code == 1 && wrong(&ended).contains(&"orphans".to_owned()), "{ended:?}");
    assert!(ended.text.contains("1 of 2 secrets without an integration"), "{ended:?}");
    assert!(ended.text.contains("hubspotctl sweep") && !ended.text.contains(&pointer(&kept).secret_id), "{ended:?}");
}

#[tokio::test]
async fn secrets_with_another_key_than_the_stacks_are_found() {
    let (world, _) = planted().await;
    let key = "arn:aws:kms:us-east-1:123456789012:key/of-the-stack";
    let named = world.stack.secrets().create_secret().name("local/integrations/right").kms_key_id(key);
    named.secret_string("{}").send().await.unwrap();

    let ended = diagnose(&world, &[("SECRETS_KMS_KEY", key)]).await;

    assert!(wrong(&ended).contains(&"secret keys".to_owned()), "{ended:?}");
    assert!(
        ended.text.contains("1 of 2 secrets with another key") && ended.text.contains("update-secret"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn configured_scopes_that_nobody_was_granted_are_found() {
    let world = World::start().await;
    plant(&world, "acc_1", 1).await;
    plant(&world, "acc_2", 1).await;

    let renamed = diagnose(&world, &[("HUBSPOT_SCOPES", "oauth.renamed")]).await;
    let right = diagnose(&world, &[]).await;

    assert_eq!((wrong(&renamed), wrong(&right)), (vec!["scopes".to_owned()], Vec::new()), "{renamed:?} {right:?}");
    assert!(renamed.text.contains("granted to none: oauth.renamed"), "{renamed:?}");
    assert!(renamed.text.contains("granted but not configured: crm.objects.contacts.read"), "{renamed:?}");
}

#[tokio::test]
async fn a_scope_under_its_successors_name_is_found_as_renamed() {
    let (world, record) = planted().await;
    let granted = ["crm.objects.contacts.read", "hubdb.rows.read"].map(|scope| AttributeValue::S(scope.to_owned()));
    change_text(&world, &record, "scopes", AttributeValue::L(granted.to_vec())).await;

    let ended = diagnose(&world, &[("HUBSPOT_SCOPES", "crm.objects.contacts.read hubdb")]).await;

    assert_eq!(wrong(&ended), ["scopes"], "{ended:?}");
    assert!(ended.text.contains("renamed by HubSpot: hubdb to hubdb.tables.read"), "{ended:?}");
    assert!(!ended.text.contains("granted to none"), "{ended:?}");
}

#[tokio::test]
async fn the_doctor_points_at_status_if_accounts_need_attention() {
    let (world, record) = planted().await;
    let marked = AttributeValue::S("needs_reauthorization".to_owned());
    change_text(&world, &record, "status", marked).await;

    let ended = doctor(&world).await;

    assert_eq!(ended.code, 0, "an admin has to act, not the operator: {ended:?}");
    assert!(ended.text.contains("1 of 1 account with issues: `hubspotctl status`"), "{ended:?}");
}

#[tokio::test]
async fn faults_of_app_secret_hubspot_and_schedule_are_found() {
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
async fn a_clock_skew_beyond_the_leases_tolerance_is_found() {
    let world = World::start().await;
    let right = wrong(&doctor(&world).await);

    world.stack.hubspot.advance(Duration::from_secs(10));

    assert_eq!((right, wrong(&doctor(&world).await)), (Vec::new(), vec!["clock".to_owned()]));
}

#[tokio::test]
async fn a_rotation_in_progress_is_shown_and_is_no_finding() {
    let world = World::start().await;
    let (client_id, old) = (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret());
    let both = json!({"client_id": client_id, "client_secret": "new-secret", "previous_client_secret": old});
    world.stack.put_app_secret(&both).await.unwrap();

    let ended = doctor(&world).await;

    assert_eq!((ended.code, wrong(&ended)), (0, Vec::new()), "{ended:?}");
    assert!(ended.text.contains("rotate --finish") && ended.text.contains("previous client secret"), "{ended:?}");
}

#[tokio::test]
async fn refusals_of_aws_are_found() {
    let world = World::start().await;
    let with = async |change: &dyn Fn()| {
        change();
        let ended = diagnose(&world, &[]).await;
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
async fn an_incomplete_environment_is_one_finding_that_names_all_of_it() {
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
async fn an_unreadable_record_does_not_stop_the_doctor() {
    let (world, record) = planted().await;
    let mut odd = item(&record);
    odd.insert("status".to_owned(), AttributeValue::S("odd".to_owned()));
    let put = world.stack.dynamodb().put_item().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    put.set_item(Some(odd)).send().await.unwrap();

    let ended = diagnose(&world, &[]).await;

    assert_eq!((ended.code, ended.lines.last().map(|line| &line["check"])), (1, Some(&Value::from("schedule"))));
    assert_eq!(wrong(&ended), ["orphans"], "which secret it names is unknown: {ended:?}");
}
