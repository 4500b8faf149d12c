//! Events of an integration are published: the template's pipes over the stream of the functions' real writes.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Match, PORTAL};
use devstack::pipe;
use devstack::template::repository;
use devstack::wire::At;
use serde_json::{Value, json};

use crate::connect::{begin, connect, connected_account, finish};
use crate::ctl::{self, Folder, legacy, path};
use crate::execution::tamper;
use crate::refresh::planted::{HOUR, access, change_text, expired, need, plant, refused};
use crate::world::{ACCOUNT, ADMIN, World, dashboard, request};

const DAY: Duration = Duration::from_secs(86_400);

/// All events so far, each as the schema wants it.
async fn events(world: &World) -> Vec<Value> {
    let schema = std::fs::read_to_string(repository().join("infra/events.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let stream = world.stack.dynamo.stream(world.stack.table("INTEGRATIONS_TABLE")).await.unwrap();
    let pipes = &world.stack.deployment.pipes;
    let events = stream.iter().flat_map(|record| pipes.iter().filter_map(move |pipe| pipe::event(pipe, record)));
    let events: Vec<Value> = events.collect();
    for event in &events {
        schema.validate(event).unwrap_or_else(|error| panic!("{error}: {event}"));
    }
    events
}

/// Their names, without the common first part, and whom they are about.
async fn told(world: &World) -> Vec<String> {
    let events = events(world).await;
    let name = |event: &Value| event["detail-type"].as_str().unwrap().replace("Integration", "");
    let whom = |event: &Value| event["detail"]["sequence"].as_str().unwrap().to_owned();
    events.iter().map(|event| format!("{} {}", name(event), whom(event))).collect()
}

async fn reconnect(world: &World, id: &str) {
    assert_eq!(finish(world, &begin(world, ACCOUNT, &json!({ "integration_id": id })).await).await, "reconnected");
}

#[tokio::test]
async fn events_carry_who_acted_and_what_an_admin_asks_next_and_no_secret() {
    let (world, id) = connected_account().await;
    let connected = world.record(ACCOUNT, 1).await.unwrap();
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    world.pass(HOUR);
    world.refresh(json!({})).await;
    let since = world.record(ACCOUNT, 1).await.unwrap().status_since.unwrap().to_string();
    // A later verdict changes neither the reason nor the time.
    world.pass(HOUR);
    world.refresh(json!({})).await;
    reconnect(&world, &id).await;
    let another = json!({"account_id": ACCOUNT, "sub": "another_admin", "role": "admin"});
    let disconnect = dashboard("DELETE", &format!("/v1/integrations/{id}"), "", &another, "");
    assert_eq!(world.function("oauth-callback", disconnect).await.status, 204);

    let events = events(&world).await;

    assert_eq!(
        actors(&world).await,
        [
            format!("IntegrationConnected {ADMIN}"),
            "IntegrationNeedsReauthorization service".to_owned(),
            format!("IntegrationRecovered {ADMIN}"),
            "IntegrationDisconnected another_admin".to_owned(),
        ]
    );
    let facts: Vec<_> = events.iter().map(|event| &event["detail"]).collect();
    for detail in &facts {
        let about = (&detail["created_at"], &detail["connected_by"], &detail["hub_id"]);
        let created_at = connected.created_at.to_string();
        assert_eq!(about, (&json!(created_at), &json!(ADMIN), &json!(PORTAL.to_string())), "{detail}");
    }
    let statuses: Vec<_> = facts
        .iter()
        .map(|detail| ["status", "status_reason", "status_since"].map(|name| detail[name].as_str().unwrap()))
        .collect();
    let active = ["active", "", ""];
    assert_eq!(statuses, [active, ["needs_reauthorization", "revoked", &since], active, active]);
    let ids: BTreeSet<&str> = facts.iter().map(|detail| detail["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "each has an id of its own");
    let text = json!(events).to_string();
    assert!(!text.contains(&connected.pointer.unwrap().secret_id), "{text}");
}

#[tokio::test]
async fn an_imported_integration_without_portal_and_admin_has_events_too() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, -8_000_000_000).await;
    for name in ["hub_id", "connected_by"] {
        tamper(&world, ACCOUNT, record.sequence, name, None).await;
    }
    world
        .dashboard(ACCOUNT, "admin", "DELETE", &format!("/v1/integrations/{}", record.integration_id), &json!(null))
        .await;

    let events = events(&world).await;

    let detail = &events.last().unwrap()["detail"];
    assert_eq!(
        (&detail["hub_id"], &detail["connected_by"], &detail["acted_by"]),
        (&json!(""), &json!(""), &json!(ADMIN))
    );
}

#[tokio::test]
async fn a_refresh_and_a_disconnect_by_the_operator_name_the_role() {
    let (world, id) = connected_account().await;
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);

    let marked = ctl::run(&world.stack, &["refresh", ACCOUNT]).await;
    let recovered = ctl::run(&world.stack, &["refresh", ACCOUNT]).await;
    let disconnected = ctl::run(&world.stack, &["disconnect", ACCOUNT, &id, "--yes"]).await;

    assert_eq!([marked.code, recovered.code], [1, 0], "{marked:?} {recovered:?}");
    assert_eq!(disconnected.code, 0, "{disconnected:?}");
    let by_the_role = ["NeedsReauthorization", "Recovered", "Disconnected"]
        .map(|name| format!("Integration{name} assumed-role/Operators"));
    assert_eq!(actors(&world).await[1..], by_the_role);
}

#[tokio::test]
async fn an_import_by_the_operator_names_the_role() {
    let (world, folder) = (World::start().await, Folder::new());
    let mut line = legacy(&world, ACCOUNT, "legacy-1", 1_600_000_000);
    let good = line["refresh_token"].take();
    line["refresh_token"] = json!("dead");
    let refused = ctl::run(&world.stack, &["import", path(&folder.file("old", &[line.clone()]))]).await;
    line["refresh_token"] = good;
    let corrected = ctl::run(&world.stack, &["import", path(&folder.file("old", &[line]))]).await;

    assert_eq!((refused.code, corrected.code), (1, 0), "{refused:?} {corrected:?}");
    assert_eq!(
        actors(&world).await,
        ["IntegrationNeedsReauthorization assumed-role/Operators", "IntegrationRecovered assumed-role/Operators"]
    );
}

/// The events so far, each with who acted.
async fn actors(world: &World) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let event = |event: &Value| format!("{} {}", text(&event["detail-type"]), text(&event["detail"]["acted_by"]));
    events(world).await.iter().map(event).collect()
}

#[tokio::test]
async fn a_whole_life_is_published_event_by_event_and_nothing_else() {
    let (world, first) = connected_account().await;
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.pass(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    world.pass(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.code(), "temporarily_unavailable");
    world.refresh(json!({})).await;
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.code(), "reauthorization_required");
    world.pass(2 * HOUR);
    world.refresh(json!({})).await;
    reconnect(&world, &first).await;
    reconnect(&world, &first).await;
    connect(&world, ACCOUNT, &json!({ "new_instance": true })).await;
    for _ in 0..2 {
        world.pass(3 * HOUR);
        world.refresh(json!({})).await;
    }
    world.pass(31 * DAY);
    world.refresh(json!({})).await;
    for integration in
        world.dashboard(ACCOUNT, "admin", "GET", "/v1/integrations", &json!(null)).await.body["integrations"]
            .as_array()
            .unwrap()
    {
        let path = format!("/v1/integrations/{}", integration["integration_id"].as_str().unwrap());
        assert_eq!(world.dashboard(ACCOUNT, "admin", "DELETE", &path, &json!(null)).await.status, 204);
    }

    assert_eq!(
        told(&world).await,
        [
            "Connected 1",
            "NeedsReauthorization 1",
            "Recovered 1",
            "Connected 2",
            "Superseded 1",
            "Disconnected 2",
            "Disconnected 1"
        ]
    );
    let record = world.stack.dynamo.stream(world.stack.table("INTEGRATIONS_TABLE")).await.unwrap();
    assert!(record.iter().any(|record| record["dynamodb"]["NewImage"]["status_reason"]["S"] == "superseded"));
}

#[tokio::test]
async fn an_event_goes_out_once_though_the_answer_of_its_write_is_lost() {
    let world = World::start().await;
    let begun = begin(&world, ACCOUNT, &json!({})).await;
    world.stack.dynamo.fail_next("PutItem", AwsFault::AnswerLost, 1);

    let outcome = finish(&world, &begun).await;

    assert_eq!((outcome.as_str(), told(&world).await), ("connected", vec!["Connected 1".to_owned()]));
}

#[tokio::test]
async fn an_import_is_no_connect() {
    let world = World::start().await;

    plant(&world, ACCOUNT, -8_000_000_000).await;
    world.pass(HOUR);
    world.refresh(json!({})).await;

    assert_eq!(told(&world).await, Vec::<String>::new());
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
}

#[tokio::test]
async fn a_commit_after_an_unseen_verdict_is_published_as_a_recovery() {
    let (world, record) = expired().await;
    let gate = world.stack.dynamo.hold_one("UpdateItem", &["IntegrationRecovered"], At::Before);
    let (access, need) = (access(&world), need(&world));

    let (tokens, ()) = tokio::join!(access.usable(record.clone(), &need), async {
        gate.reached(1).await;
        for (name, value) in [("status", "needs_reauthorization"), ("event", "IntegrationNeedsReauthorization")] {
            change_text(&world, &record, name, AttributeValue::S(value.to_owned())).await;
        }
        gate.open();
    });

    assert!(tokens.is_ok());
    assert_eq!(told(&world).await.last().unwrap(), "Recovered 1");
}
