//! `app-secret`: credentials are put and rotated, without a pause and without being shown.

mod load;

use std::collections::BTreeMap;

use devstack::hubspot::Fault;
use devstack::hubspot::Match;
use devstack::secrets_manager::SecretValue;
use devstack::stack::Options;
use serde_json::{Value, json};

use super::{run, run_with};
use crate::refresh::planted::{HOUR, planted, store};
use crate::world::{ACCOUNT, World, request};

/// The value of the app's secret.
fn stored(world: &World) -> Value {
    let secret = world.stack.secrets_manager.secret(&store(world).app_secret_id());
    let value = secret.as_ref().and_then(|secret| secret.current()).map(|version| version.value.clone());
    match value {
        Some(SecretValue::Text(text)) => serde_json::from_str(&text).unwrap(),
        Some(SecretValue::Binary(_)) | None => Value::Null,
    }
}

fn credentials(world: &World) -> (String, String) {
    (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret())
}

#[tokio::test]
async fn credentials_from_stdin_are_set_and_functions_read_them() {
    let (world, _) = planted().await;
    let (client_id, client_secret) = credentials(&world);
    world.stack.put_app_secret(&json!({"client_id": client_id, "clientSecret": "odd", "note": 1})).await.unwrap();
    world.pass(HOUR);
    let before = world.execute(&request(ACCOUNT, None)).await;
    world.pass(HOUR);
    let good = json!({"client_id": client_id, "client_secret": client_secret});

    let ended = run_with(&world.stack, &["app-secret", "set", "--json"], &format!("{good}\n")).await;

    assert_eq!((ended.code, &ended.lines[0]["hubspot_accepts"]), (0, &json!(true)), "{ended:?}");
    assert_eq!(stored(&world)["client_secret"], client_secret);
    assert_eq!((before.status, world.execute(&request(ACCOUNT, None)).await.status), (503, 200));
}

#[tokio::test]
async fn invalid_credentials_are_refused_by_field_and_change_nothing() {
    let world = World::start().await;
    let before = stored(&world);

    for (stdin, expected) in [
        ("", "a JSON object with client_id and client_secret is expected"),
        ("pl4nted", "a JSON object with client_id and client_secret is expected"),
        (r#"{"client_id":"i","clientSecret":"pl4nted"}"#, "client_secret is missing"),
        (r#"{"client_id":"i","client_secret":" pl4nted"}"#, "client_secret must be a text"),
        (r#"{"client_id":7,"client_secret":"pl4nted"}"#, "client_id must be a text"),
    ] {
        let ended = run_with(&world.stack, &["app-secret", "set"], stdin).await;

        assert!(ended.code == 2 && ended.errors.contains(expected), "{stdin}: {ended:?}");
        assert!(!ended.errors.contains("pl4nted") && ended.text.is_empty(), "{ended:?}");
        assert_eq!(stored(&world), before);
    }
}

#[tokio::test]
async fn credentials_of_another_app_need_a_confirmation() {
    let world = World::start().await;
    let other = json!({"client_id": "another", "client_secret": "of another app"}).to_string();

    let unasked = run_with(&world.stack, &["app-secret", "set"], &other).await;
    let kept = stored(&world)["client_id"].clone();
    let forced = run_with(&world.stack, &["app-secret", "set", "--yes"], &other).await;

    assert!(unasked.code == 2 && kept != "another", "{unasked:?}");
    // HubSpot does not know it.
    assert_eq!((forced.code, &stored(&world)["client_id"]), (1, &json!("another")), "{forced:?}");
}

#[tokio::test]
async fn credentials_need_a_deployed_secret() {
    let world = World::with(Options { app_secret: false, ..Options::default() }).await;
    let (client_id, client_secret) = credentials(&world);
    let good = json!({"client_id": client_id, "client_secret": client_secret}).to_string();

    let set = run_with(&world.stack, &["app-secret", "set"], &good).await;
    let rotated = run_with(&world.stack, &["app-secret", "rotate"], "new").await;

    assert!(set.code == 2 && set.errors.contains("deploy first"), "{set:?}");
    assert!(rotated.code == 2 && rotated.errors.contains("app-secret set"), "{rotated:?}");
}

#[tokio::test]
async fn a_rotation_keeps_the_old_secret_until_it_is_finished() {
    let world = World::start().await;
    let (client_id, old) = credentials(&world);
    world.stack.put_app_secret(&json!({"client_id": client_id, "client_secret": old, "note": [1]})).await.unwrap();

    let asked = run_with(&world.stack, &["app-secret", "rotate"], "new-secret\n").await;
    let untouched = stored(&world)["client_secret"].clone();
    let rotated = run_with(&world.stack, &["app-secret", "rotate", "--yes", "--json"], "new-secret\n").await;
    let both = stored(&world);
    let again = run_with(&world.stack, &["app-secret", "rotate", "--json"], "new-secret\n").await;
    let third = run_with(&world.stack, &["app-secret", "rotate"], "a third one").await;
    let early = run(&world.stack, &["app-secret", "rotate", "--finish", "--yes", "--json"]).await;
    world.stack.hubspot.rotate_client_secret("new-secret");
    let unasked = run(&world.stack, &["app-secret", "rotate", "--finish"]).await;
    let between = stored(&world);
    let finished = run(&world.stack, &["app-secret", "rotate", "--finish", "--yes"]).await;
    let once_more = run(&world.stack, &["app-secret", "rotate", "--finish", "--yes", "--json"]).await;

    let expected = |previous: Option<&str>| {
        let all = [("client_id", json!(client_id)), ("client_secret", json!("new-secret")), ("note", json!([1]))];
        let previous = previous.map(|previous| ("previous_client_secret", json!(previous)));
        json!(all.into_iter().chain(previous).collect::<BTreeMap<_, _>>())
    };
    assert_eq!((&both, &between, &stored(&world)), (&expected(Some(&old)), &expected(Some(&old)), &expected(None)));
    assert!(asked.code == 2 && untouched == *old && asked.errors.contains("--yes"), "HubSpot refuses it: {asked:?}");
    assert!(third.errors.contains("app-secret set"), "the way out: {third:?}");
    assert_eq!([rotated.code, again.code, third.code], [0, 0, 2], "{rotated:?} {again:?} {third:?}");
    assert_eq!(again.lines[0]["outcome"], "already_rotated");
    assert_eq!((early.code, &early.lines[0]["outcome"]), (1, &json!("not_finished")), "{early:?}");
    assert_eq!([unasked.code, finished.code, once_more.code], [2, 0, 0], "{unasked:?} {finished:?} {once_more:?}");
    let line = "--metric-name previous_app_secret_used";
    assert!(unasked.text.contains(line) && unasked.text.contains("Name=stack,Value=local"), "{unasked:?}");
    assert_eq!(once_more.lines[0]["outcome"], "already_finished");
}

#[tokio::test]
async fn a_rotation_is_not_finished_while_hubspot_is_down() {
    let world = World::start().await;
    run_with(&world.stack, &["app-secret", "rotate", "--yes"], "new-secret").await;
    world.stack.hubspot.rotate_client_secret("new-secret");
    world.stack.hubspot.script_always(Match::any(), Fault::status(503));

    let ended = run(&world.stack, &["app-secret", "rotate", "--finish", "--yes"]).await;

    assert!(ended.code == 3 && stored(&world)["previous_client_secret"].is_string(), "{ended:?}");
}

#[tokio::test]
async fn an_invalid_client_secret_is_not_stored() {
    let world = World::start().await;
    let before = stored(&world);

    for stdin in ["", "\n", " new", "ne\tw", r#"{"client_secret": "new"}"#] {
        let ended = run_with(&world.stack, &["app-secret", "rotate"], stdin).await;

        assert_eq!((ended.code, &stored(&world)), (2, &before), "{stdin:?}: {ended:?}");
    }
}

#[tokio::test]
async fn refused_credentials_do_not_replace_working_ones_unasked() {
    let world = World::start().await;
    let (client_id, client_secret) = credentials(&world);
    let wrong = json!({"client_id": client_id, "client_secret": "wrong"}).to_string();

    let asked = run_with(&world.stack, &["app-secret", "set"], &wrong).await;
    let kept = stored(&world);
    let confirmed = run_with(&world.stack, &["app-secret", "set", "--yes"], &wrong).await;

    assert!(asked.code == 2 && asked.errors.contains("HubSpot refuses these credentials"), "{asked:?}");
    assert_eq!(kept["client_secret"], client_secret);
    assert_eq!((confirmed.code, &stored(&world)["client_secret"]), (1, &json!("wrong")), "{confirmed:?}");
}
