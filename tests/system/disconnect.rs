//! Disconnecting an integration.

use devstack::aws::AwsFault;
use devstack::hubspot::Match;
use devstack::wire::At;
use serde_json::json;

use crate::connect::{connect, connected_account, secrets};
use crate::refresh::planted::point_at;
use crate::world::{ACCOUNT, ADMIN, Answer, World, request};

async fn disconnect(world: &World, account: &str, role: &str, id: &str) -> Answer {
    world.dashboard(account, role, "DELETE", &format!("/v1/integrations/{id}"), &json!(null)).await
}

#[tokio::test]
async fn an_admin_disconnects_and_neither_record_nor_secret_is_left() {
    let (world, id) = connected_account().await;
    connect(&world, "acc_other", &json!({})).await;
    let other = world.record("acc_other", 1).await.unwrap().pointer.unwrap().secret_id;
    world.stack.hubspot.forget_requests();

    let answer = disconnect(&world, ACCOUNT, "admin", &id).await;
    let again = disconnect(&world, ACCOUNT, "admin", &id).await;

    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!((again.status, again.code()), (404, "integration_not_found"), "{}", again.text);
    assert!(world.stack.records(ACCOUNT).await.unwrap().is_empty());
    assert_eq!(secrets(&world), [other]);
    assert_eq!(world.stack.records("acc_other").await.unwrap().len(), 1);
    assert_eq!(world.stack.hubspot.count(&Match::any()), 0, "the grant is not revoked at HubSpot");
}

#[tokio::test]
async fn a_disconnected_account_runs_nothing_and_can_connect_again() {
    let (world, id) = connected_account().await;
    assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.status, 200);

    assert_eq!(disconnect(&world, ACCOUNT, "admin", &id).await.status, 204);
    let execution = world.execute(&request(ACCOUNT, Some(&id))).await;
    let requests = world.stack.hubspot.api_requests().len();
    let again = connect(&world, ACCOUNT, &json!({})).await;

    assert_eq!((execution.status, execution.code(), requests), (409, "not_connected", 1), "{}", execution.text);
    assert_ne!(again, id);
}

#[tokio::test]
async fn what_the_account_does_not_have_cannot_be_disconnected() {
    let (world, id) = connected_account().await;

    let unknown = disconnect(&world, ACCOUNT, "admin", "0193-unknown").await;
    let others = disconnect(&world, "acc_other", "admin", &id).await;

    assert_eq!((unknown.status, unknown.code()), (404, "integration_not_found"), "{}", unknown.text);
    assert_eq!((others.status, others.code()), (404, "integration_not_found"), "{}", others.text);
    assert_eq!((world.stack.records(ACCOUNT).await.unwrap().len(), secrets(&world).len()), (1, 1));
}

#[tokio::test]
async fn a_malformed_id_is_refused_without_being_shown() {
    let (world, _) = connected_account().await;

    for id in ["a b", "%2e%2e", "<script>", "a/b", "%00", "ä", &"a".repeat(65), "'--"] {
        let answer = disconnect(&world, ACCOUNT, "admin", id).await;

        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{id}: {}", answer.text);
        assert!(!answer.text.contains("script"), "{}", answer.text);
    }
    assert_eq!(world.stack.records(ACCOUNT).await.unwrap().len(), 1);
}

#[tokio::test]
async fn disconnecting_the_newest_makes_the_previous_one_due_at_once() {
    let (world, previous) = connected_account().await;
    let newest = connect(&world, ACCOUNT, &json!({"new_instance": true})).await;
    assert!(world.record(ACCOUNT, 1).await.unwrap().refresh_at.unwrap() > world.clock.now());

    assert_eq!(disconnect(&world, ACCOUNT, "admin", &newest).await.status, 204);

    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert!(record.refresh_at.unwrap() <= world.clock.now() && record.refresh_shard.is_some());
    let execution = world.execute(&request(ACCOUNT, Some(&previous))).await;
    assert_eq!(execution.status, 200, "{}", execution.text);
}

#[tokio::test]
async fn disconnecting_an_older_one_leaves_the_newest_as_it_is() {
    let (world, older) = connected_account().await;
    let newest = connect(&world, ACCOUNT, &json!({"new_instance": true})).await;
    let before = world.record(ACCOUNT, 2).await.unwrap();

    assert_eq!(disconnect(&world, ACCOUNT, "admin", &older).await.status, 204);

    let after = world.record(ACCOUNT, 2).await.unwrap();
    assert_eq!((after.refresh_at, &after.pointer), (before.refresh_at, &before.pointer));
    assert_eq!(secrets(&world), [after.pointer.unwrap().secret_id]);
    assert_eq!(world.execute(&request(ACCOUNT, Some(&newest))).await.status, 200);
    assert_eq!(world.execute(&request(ACCOUNT, Some(&older))).await.code(), "integration_not_found");
}

#[tokio::test]
async fn a_disconnect_whose_delete_got_no_answer_leaves_no_secret_either() {
    let (world, id) = connected_account().await;
    world.stack.dynamo.fail_next("DeleteItem", AwsFault::AnswerLost, 1);

    let answer = disconnect(&world, ACCOUNT, "admin", &id).await;

    assert_eq!((answer.status, secrets(&world)), (204, Vec::new()), "{}", answer.text);
}

#[tokio::test]
async fn a_disconnect_that_dynamodb_refuses_leaves_everything() {
    let (world, id) = connected_account().await;
    world.stack.dynamo.fail_next("DeleteItem", AwsFault::Refused, 3);

    let answer = disconnect(&world, ACCOUNT, "admin", &id).await;

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.status, 200);
}

#[tokio::test]
async fn a_secret_that_cannot_be_deleted_does_not_keep_the_integration_alive() {
    let (world, id) = connected_account().await;
    world.stack.secrets_manager.fail_next("DeleteSecret", AwsFault::AccessDenied, 1);

    let answer = disconnect(&world, ACCOUNT, "admin", &id).await;

    assert_eq!(answer.status, 204, "{}", answer.text);
    assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.code(), "not_connected");
}

#[tokio::test]
async fn a_disconnect_leaves_the_secret_of_another_account() {
    let world = World::start().await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    let other = world.stack.connect("acc_other", ADMIN).await;
    let (record, others) = (world.record(ACCOUNT, 1).await.unwrap(), world.record("acc_other", 1).await.unwrap());
    point_at(&world, &record, &others).await;
    let (token, logs) = (world.stack.jwt(ACCOUNT, ADMIN, "admin"), world.stack.lambda.logs());

    let answer = world.stack.call_as(&token, "DELETE", &format!("/v1/integrations/{id}"), "").await;

    assert_eq!((answer.status, world.stack.records(ACCOUNT).await.unwrap().len()), (204, 0));
    assert_eq!(world.execute(&request("acc_other", Some(&other))).await.status, 200);
    logs.wait_for(|line| line.text.contains("are inconsistent") && line.text.contains(&id)).await;
}

#[tokio::test]
async fn a_disconnect_killed_between_its_deletes_can_connect_again() {
    let world = World::start().await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    let (token, path) = (world.stack.jwt(ACCOUNT, ADMIN, "admin"), format!("/v1/integrations/{id}"));
    let gate = world.stack.secrets_manager.hold("DeleteSecret", At::Before);

    let (answer, ()) = tokio::join!(world.stack.call_as(&token, "DELETE", &path, ""), async {
        gate.reached(1).await;
        assert_eq!(world.stack.lambda.kill_busy("oauth-callback").await, 1);
        gate.lose();
    });
    let again = world.stack.connect(ACCOUNT, ADMIN).await;

    assert_eq!(answer.status, 500);
    assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.code(), "integration_not_found");
    assert_eq!(world.execute(&request(ACCOUNT, Some(&again))).await.status, 200);
}

#[tokio::test]
async fn over_http_an_admin_disconnects_with_an_empty_answer() {
    let world = World::start().await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    let token = world.stack.jwt(ACCOUNT, ADMIN, "admin");

    let answer = world.stack.call_as(&token, "DELETE", &format!("/v1/integrations/{id}"), "").await;

    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert!(world.stack.integrations(ACCOUNT, ADMIN).await.is_empty());
}
