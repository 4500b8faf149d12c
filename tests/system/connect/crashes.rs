//! The real process is killed between two steps of a connect or a reconnect; the next attempt goes on.

use devstack::hubspot::Match;
use devstack::wire::{At, Gate};
use serde_json::{Value, json};

use super::{Traces, secrets, traces};
use crate::world::{ACCOUNT, ADMIN, World, request};

/// Goes through an authorization over HTTP and kills the process (SIGKILL) where the gate holds it.
async fn killed(world: &World, body: &Value, hold: impl FnOnce(&World) -> Gate) {
    let stack = &world.stack;
    let begun = stack.authorize(ACCOUNT, ADMIN, body).await.unwrap();
    let callback = stack.consent(&begun).await.unwrap();
    let gate = hold(world);
    let (finished, ()) = tokio::join!(stack.finish(&callback, Some(&begun.cookie)), async {
        gate.reached(1).await;
        assert_eq!(stack.lambda.kill_busy("oauth-callback").await, 1);
        gate.lose();
    });
    assert!(finished.is_err(), "the process is dead, and yet: {finished:?}");
}

#[tokio::test]
async fn killed_before_its_record_is_put_a_new_attempt_connects() {
    type Step = (&'static str, fn(&World) -> Gate, Traces);
    let steps: [Step; 3] = [
        (
            "the state is consumed",
            |world| world.stack.dynamo.hold_one("UpdateItem", &["consumed_by"], At::After),
            Traces { exchanges: 1, records: 1, secrets: 1 },
        ),
        (
            "it has the tokens in hand",
            |world| world.stack.hubspot.hold(Match::exchange(), At::After),
            Traces { exchanges: 2, records: 1, secrets: 1 },
        ),
        (
            "the secret is stored",
            |world| world.stack.dynamo.hold("PutItem", At::Before),
            Traces { exchanges: 2, records: 1, secrets: 2 },
        ),
    ];

    for (step, hold, expected) in steps {
        let world = World::start().await;
        killed(&world, &json!({}), hold).await;
        assert_eq!(traces(&world).await.records, 0, "{step}");

        let connected = world.stack.connect_with(ACCOUNT, ADMIN, &json!({})).await.unwrap();
        assert_eq!(connected.outcome, "connected", "{step}");
        let execution = world.execute(&request(ACCOUNT, connected.integration_id.as_deref())).await;

        assert_eq!(execution.status, 200, "{step}: {}", execution.text);
        assert_eq!(traces(&world).await, expected, "{step}");
    }
}

#[tokio::test]
async fn killed_after_the_record_was_put_the_account_is_connected() {
    let world = World::start().await;
    killed(&world, &json!({}), |world| world.stack.dynamo.hold("PutItem", At::After)).await;

    let again = world.stack.authorize(ACCOUNT, ADMIN, &json!({})).await;
    let execution = world.execute(&request(ACCOUNT, None)).await;

    assert!(again.unwrap_err().contains("already_connected"));
    assert_eq!(execution.status, 200, "{}", execution.text);
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}

#[tokio::test]
async fn a_reconnect_killed_before_its_update_keeps_the_old_tokens_and_can_repeat() {
    let world = World::start().await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    let wanted = json!({"integration_id": id});
    killed(&world, &wanted, |world| world.stack.dynamo.hold_one("UpdateItem", &["IntegrationRecovered"], At::Before))
        .await;

    let execution = world.execute(&request(ACCOUNT, Some(&id))).await;
    let again = world.stack.connect_with(ACCOUNT, ADMIN, &wanted).await.unwrap();

    assert_eq!(execution.status, 200, "{}", execution.text);
    assert_eq!((again.outcome.as_str(), again.integration_id.as_deref()), ("reconnected", Some(id.as_str())));
    assert_eq!(world.stack.records(ACCOUNT).await.unwrap().len(), 1);
}

#[tokio::test]
async fn killed_before_a_reconnect_deletes_the_old_secret_the_new_tokens_run() {
    let world = World::start().await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    let old = secrets(&world);
    let wanted = json!({"integration_id": id});
    killed(&world, &wanted, |world| world.stack.secrets_manager.hold("DeleteSecret", At::Before)).await;

    let execution = world.execute(&request(ACCOUNT, Some(&id))).await;

    assert_eq!(execution.status, 200, "{}", execution.text);
    let pointer = world.record(ACCOUNT, 1).await.unwrap().pointer.unwrap();
    assert!(!old.contains(&pointer.secret_id), "the record points at the new secret");
}
