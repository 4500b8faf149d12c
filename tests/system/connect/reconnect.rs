//! Renewing the authorization of the newest integration: its automations go on.

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::{Answer as Wire, At};
use serde_json::{Value, json};
use shared::integration::{Integration, IntegrationId, Status};
use shared::lease::Lease;
use shared::refresh_policy::RefreshEnd;
use shared::store::Store;
use shared::store::WriteResult;

use super::{begin, connect, connected_account, finish, outcome, secrets};
use crate::refresh::planted::point_at;
use crate::world::{ACCOUNT, ADMIN, World, reader, request};

const OTHER_PORTAL: u64 = 55_220_022;

fn of(id: &str) -> Value {
    json!({"integration_id": id})
}

fn store(world: &World) -> Store {
    Store::new(world.stack.aws_config(), reader(&world.stack, "oauth-callback").state())
}

async fn newest(world: &World) -> Integration {
    world.record(ACCOUNT, 1).await.unwrap()
}

/// Leaves every mark on the record that a hard life leaves.
async fn wear_out(world: &World) {
    let (store, now) = (store(world), world.clock.now());
    let lease = |owner: &str| Lease { owner: owner.to_owned(), until: now + 20, ambiguous_until: Some(now + 300) };
    let record = newest(world).await;
    let pointer = record.pointer.clone().unwrap();
    let revoked = RefreshEnd::Revoked { reason: Some("refresh_refused"), at: now, failures: 3, refresh_at: None };
    let leased = store.take_lease(&record, &lease("one"), now).await.unwrap().unwrap();
    store.end_lease(&leased, "one", Some(&pointer), &revoked).await.unwrap();
    let leased = store.take_lease(&newest(world).await, &lease("two"), now).await.unwrap().unwrap();
    store
        .end_lease(
            &leased,
            "two",
            Some(&pointer),
            &RefreshEnd::Backoff { until: now + 300, failures: 4, ambiguous_until: None, refused_since: None },
        )
        .await
        .unwrap();
    store.cool_down(&record, now + 900).await.unwrap();
    store.supersede(&record, now, now + 7200).await.unwrap();
    store.take_lease(&newest(world).await, &lease("three"), now).await.unwrap().unwrap();
}

async fn assert_runs_with_one_secret(world: &World, id: &str) {
    assert_eq!(secrets(world), [newest(world).await.pointer.unwrap().secret_id]);
    assert_eq!(world.execute(&request(ACCOUNT, Some(id))).await.status, 200);
}

#[tokio::test]
async fn a_reconnect_brings_a_new_secret_and_deletes_exactly_the_old_one() {
    let world = World::start().await;
    connect(&world, "acc_other", &json!({})).await;
    let id = connect(&world, ACCOUNT, &json!({})).await;
    let (before, all_before) = (newest(&world).await, secrets(&world));

    let outcome = finish(&world, &begin(&world, ACCOUNT, &of(&id)).await).await;

    assert_eq!(outcome, "reconnected");
    let after = newest(&world).await;
    let (old, new) = (before.pointer.clone().unwrap().secret_id, after.pointer.clone().unwrap().secret_id);
    let mut expected: Vec<String> = all_before.into_iter().filter(|name| *name != old).chain([new.clone()]).collect();
    expected.sort();
    let mut all = secrets(&world);
    all.sort();
    assert_eq!(all, expected);
    assert_ne!(old, new);
    assert_eq!((&after.integration_id, after.created_at), (&before.integration_id, before.created_at));
    assert_eq!(world.stack.records(ACCOUNT).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reconnect_leaves_the_secret_of_another_account() {
    let (world, id) = connected_account().await;
    let other = connect(&world, "acc_other", &json!({})).await;
    point_at(&world, &newest(&world).await, &world.record("acc_other", 1).await.unwrap()).await;

    let outcome = finish(&world, &begin(&world, ACCOUNT, &of(&id)).await).await;

    assert_eq!(outcome, "reconnected");
    for (account, id) in [(ACCOUNT, &id), ("acc_other", &other)] {
        let answer = world.execute(&request(account, Some(id))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_reconnect_clears_every_mark_and_the_automations_keep_running() {
    let (world, id) = connected_account().await;
    wear_out(&world).await;
    let worn = newest(&world).await;
    assert_eq!(worn.status, Status::NeedsReauthorization);
    assert!(worn.status_reason.is_some() && worn.status_since.is_some());
    assert!(worn.failures.is_some() && worn.refresh_not_before.is_some());
    assert!(worn.cooldown_until.is_some() && worn.superseded_at.is_some() && worn.ambiguous_until.is_some());
    assert!(worn.lease_owner.is_some() && worn.lease_until.is_some());

    let outcome = finish(&world, &begin(&world, ACCOUNT, &of(&id)).await).await;
    let execution = world.execute(&request(ACCOUNT, Some(&id))).await;

    assert_eq!(outcome, "reconnected");
    assert_eq!(execution.status, 200, "{}", execution.text);
    let record = newest(&world).await;
    assert_eq!((record.status, record.status_reason, record.failures), (Status::Active, None, None));
    assert_eq!(record.status_since, None);
    assert_eq!((record.lease_owner, record.lease_until, record.ambiguous_until), (None, None, None));
    assert_eq!((record.cooldown_until, record.superseded_at, record.refresh_not_before), (None, None, None));
    assert!(record.refresh_shard.is_some() && record.refresh_at.is_some());
}

#[tokio::test]
async fn the_list_says_who_connected_it_and_since_when_it_needs_attention() {
    let (world, _) = connected_account().await;
    let list = || async {
        world.dashboard(ACCOUNT, "member", "GET", "/v1/integrations", &json!(null)).await.body["integrations"][0]
            .clone()
    };
    let connected = list().await;
    world.stack.hubspot.uninstall(PORTAL);
    world.pass(std::time::Duration::from_secs(1801));
    let marked_after = world.clock.now();
    world.refresh(json!({})).await;

    let marked = list().await;

    assert_eq!((&connected["connected_by"], &connected["hub_id"]), (&json!(ADMIN), &json!(PORTAL)));
    assert_eq!((&connected["status_reason"], &connected["status_since"]), (&json!(null), &json!(null)));
    let refresh_at = newest(&world).await.refresh_at;
    assert!(connected["refresh_at"].as_i64() > connected["created_at"].as_i64(), "{connected}");
    assert_eq!((&marked["status_reason"], &marked["refresh_at"]), (&json!("revoked"), &json!(refresh_at)));
    assert!((marked_after..marked_after + 60).contains(&marked["status_since"].as_i64().unwrap()), "{marked}");
}

#[tokio::test]
async fn after_a_revocation_a_reconnect_makes_the_automations_run_again() {
    let (world, id) = connected_account().await;
    world.stack.hubspot.uninstall(PORTAL);
    world.pass(std::time::Duration::from_secs(1801));
    // The execution asks for a proof, the schedule marks.
    world.execute(&request(ACCOUNT, Some(&id))).await;
    world.refresh(json!({})).await;
    let refused = world.execute(&request(ACCOUNT, Some(&id))).await;
    assert_eq!(refused.code(), "reauthorization_required", "{}", refused.text);

    let outcome = finish(&world, &begin(&world, ACCOUNT, &of(&id)).await).await;

    assert_eq!(outcome, "reconnected");
    assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.status, 200);
}

#[tokio::test]
async fn a_reconnect_that_fails_leaves_the_old_tokens() {
    for expected in ["different-portal", "missing-scopes", "failed"] {
        let (world, id) = connected_account().await;
        let (before, all) = (newest(&world).await, secrets(&world));
        let begun = begin(&world, ACCOUNT, &of(&id)).await;
        let query = match expected {
            "different-portal" => {
                world.stack.hubspot.add_portal(OTHER_PORTAL);
                begun.accept(&world, OTHER_PORTAL)
            }
            "missing-scopes" => {
                let body = json!({"access_token": "a", "refresh_token": "r", "expires_in": 1800,
                    "token_type": "bearer", "hub_id": PORTAL, "scopes": ["oauth"]});
                world.stack.hubspot.script(Match::exchange(), [Fault::Answer(Wire::json(200, &body))]);
                begun.accept(&world, PORTAL)
            }
            _ => format!("code=unknown&state={}", begun.state()),
        };

        let answer = world.callback(&query, &[&begun.cookie]).await;

        assert_eq!(outcome(&world, &answer), expected);
        let after = newest(&world).await;
        assert_eq!((after.pointer, after.hub_id), (before.pointer, Some(PORTAL)), "{expected}");
        assert_eq!((after.scopes, secrets(&world)), (before.scopes, all), "{expected}");
        assert_eq!(world.stack.hubspot.count(&Match::path("/oauth/2026-03/token/revoke")), 0, "{expected}");
        assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.status, 200, "{expected}");
    }
}

#[tokio::test]
async fn what_is_older_or_not_the_accounts_cannot_be_reconnected() {
    let (world, older) = connected_account().await;
    connect(&world, ACCOUNT, &json!({"new_instance": true})).await;

    for (account, id, status, code) in [
        (ACCOUNT, older.as_str(), 409, "integration_superseded"),
        (ACCOUNT, "0193-unknown", 404, "integration_not_found"),
        ("acc_unconnected", "0193-unknown", 409, "not_connected"),
    ] {
        let answer = world.dashboard(account, "admin", "POST", "/v1/authorizations", &of(id)).await;

        assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
        assert!(answer.cookies.is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_reconnect_that_was_superseded_meanwhile_fails_and_leaves_no_secret() {
    let (world, id) = connected_account().await;
    let begun = begin(&world, ACCOUNT, &of(&id)).await;
    connect(&world, ACCOUNT, &json!({"new_instance": true})).await;
    let (before, all) = (newest(&world).await, secrets(&world));

    let outcome = finish(&world, &begun).await;

    assert_eq!(outcome, "failed");
    assert_eq!((newest(&world).await.pointer, secrets(&world)), (before.pointer, all));
}

#[tokio::test]
async fn a_reconnect_superseded_during_its_write_fails_and_leaves_no_secret() {
    let (world, id) = connected_account().await;
    let begun = begin(&world, ACCOUNT, &of(&id)).await;
    let (before, all) = (newest(&world).await, secrets(&world));
    let newer = Integration { sequence: 2, integration_id: IntegrationId::random(), ..before.clone() };
    let gate = world.stack.secrets_manager.hold("CreateSecret", At::After);

    let (outcome, ()) = tokio::join!(finish(&world, &begun), async {
        gate.reached(1).await;
        assert_eq!(store(&world).insert(&newer).await.unwrap(), WriteResult::Applied);
        gate.open();
    });

    assert_eq!(outcome, "failed");
    assert_eq!((newest(&world).await.pointer, secrets(&world)), (before.pointer, all));
}

#[tokio::test]
async fn a_reconnect_of_a_disconnected_integration_fails_and_leaves_nothing() {
    let (world, id) = connected_account().await;
    let begun = begin(&world, ACCOUNT, &of(&id)).await;
    let path = format!("/v1/integrations/{id}");
    assert_eq!(world.dashboard(ACCOUNT, "admin", "DELETE", &path, &json!(null)).await.status, 204);

    let outcome = finish(&world, &begun).await;

    assert_eq!(outcome, "failed");
    assert!(world.stack.records(ACCOUNT).await.unwrap().is_empty() && secrets(&world).is_empty());
}

#[tokio::test]
async fn a_reconnect_whose_update_got_no_answer_is_reconnected() {
    let (world, id) = connected_account().await;
    let begun = begin(&world, ACCOUNT, &of(&id)).await;
    let gate = world.stack.dynamo.hold_one("UpdateItem", &["IntegrationRecovered"], At::After);

    let (outcome, ()) = tokio::join!(finish(&world, &begun), async {
        gate.reached(1).await;
        gate.lose();
    });

    assert_eq!(outcome, "reconnected");
    assert_runs_with_one_secret(&world, &id).await;
}

#[tokio::test]
async fn two_reconnects_at_once_end_with_one_secret_that_the_record_points_at() {
    let (world, id) = connected_account().await;
    let (one, two) = (begin(&world, ACCOUNT, &of(&id)).await, begin(&world, ACCOUNT, &of(&id)).await);
    let gate = world.stack.dynamo.hold_naming("UpdateItem", &["IntegrationRecovered"], At::Before);

    let (first, second, ()) = tokio::join!(finish(&world, &one), finish(&world, &two), async {
        gate.reached(2).await;
        gate.open();
    });

    assert_eq!((first.as_str(), second.as_str()), ("reconnected", "reconnected"));
    assert_runs_with_one_secret(&world, &id).await;
}

#[tokio::test]
async fn a_late_refresh_of_the_old_authorization_does_not_undo_a_reconnect() {
    let (world, id) = connected_account().await;
    world.pass(std::time::Duration::from_secs(1801));
    let begun = begin(&world, ACCOUNT, &of(&id)).await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let order = request(ACCOUNT, Some(&id));
    let (execution, outcome) = tokio::join!(world.execute(&order), async {
        gate.reached(1).await;
        let outcome = finish(&world, &begun).await;
        gate.open();
        outcome
    });

    assert_eq!(outcome, "reconnected");
    assert_eq!(secrets(&world), [newest(&world).await.pointer.unwrap().secret_id]);
    assert_eq!(execution.status, 200, "{}", execution.text);
}
