//! The next delivery of a key after its owner died, or only seemed to.

use devstack::hubspot::{Fault, Match};
use devstack::lambda::Invocation;
use devstack::wire::{At, Gate};
use serde_json::{Value, json};

use super::{OwnerStep, STEPS, age, contacts, create, keyed, sent, state, unmarked};
use crate::execution::{connected, to, with};
use crate::world::World;

fn hold(world: &World, step: OwnerStep) -> Gate {
    let stack = &world.stack;
    match step {
        OwnerStep::Claimed => stack.dynamo.hold("PutItem", At::After),
        OwnerStep::NewestRead => stack.dynamo.hold("Query", At::After),
        OwnerStep::SendingAsked => stack.dynamo.hold_from("PutItem", 2, At::Before),
        OwnerStep::SendingNoted => stack.dynamo.hold_from("PutItem", 2, At::After),
        OwnerStep::Sent => stack.hubspot.hold(Match::api(), At::Before),
        OwnerStep::Acted => stack.hubspot.hold(Match::api(), At::After),
        OwnerStep::EndAsked => stack.dynamo.hold_from("PutItem", 3, At::Before),
        OwnerStep::EndNoted => stack.dynamo.hold_from("PutItem", 3, At::After),
    }
}

/// The real process that executes the request is frozen at a step, as Lambda freezes one; what it waits for arrives.
async fn freeze_at(world: &World, step: OwnerStep, request: &Value) -> (Invocation, u32) {
    let gate = hold(world, step);
    let event = world.stack.automation_event(request.to_string());
    let execution = world.stack.lambda.begin("automation-execute", event).await.unwrap();
    gate.reached(1).await;
    let processes = world.stack.lambda.processes("automation-execute");
    let pid = processes.iter().find(|process| process.invocation.is_some()).unwrap().pid;
    world.stack.lambda.freeze(pid).await.unwrap();
    gate.open();
    (execution, pid)
}

/// Kills the real process that executes the request at a step.
async fn kill_at(world: &World, step: OwnerStep, request: &Value) {
    let gate = hold(world, step);
    let event = world.stack.automation_event(request.to_string());
    let execution = world.stack.lambda.begin("automation-execute", event).await.unwrap();
    gate.reached(1).await;
    assert_eq!(world.stack.lambda.kill_busy("automation-execute").await, 1);
    gate.lose();
    execution.answer().await.unwrap_err();
}

#[tokio::test]
async fn a_write_of_a_killed_owner_happens_once_or_is_reported_as_unknown() {
    let world = connected().await;
    for step in STEPS {
        let key = format!("{step:?}");
        let before = contacts(&world);
        kill_at(&world, step, &create(&key)).await;

        let early = world.execute(&create(&key)).await;
        age(&world, &key, 61).await;
        let late = world.execute(&create(&key)).await;
        let again = world.execute(&create(&key)).await;

        assert_eq!(
            (late.status, unmarked(&late.text)),
            (again.status, unmarked(&again.text)),
            "{step:?}: {}",
            late.text
        );
        let written = contacts(&world) - before;
        match step {
            OwnerStep::EndNoted => {
                assert_eq!((&early.text, &late.body["hubspot"]["status"]), (&late.text, &json!(201)));
                assert_eq!(written, 1);
            }
            OwnerStep::Claimed | OwnerStep::NewestRead | OwnerStep::SendingAsked => {
                assert_eq!((early.code(), &late.body["hubspot"]["status"]), ("execution_in_progress", &json!(201)));
                assert_eq!(written, 1, "{step:?}");
            }
            OwnerStep::SendingNoted | OwnerStep::Sent | OwnerStep::Acted | OwnerStep::EndAsked => {
                assert_eq!((early.code(), late.code()), ("execution_in_progress", "hubspot_unreachable"), "{step:?}");
                let ends = [&late.body["outcome"], &late.body["retryable"]];
                assert_eq!(ends, [&json!("unknown"), &json!(false)], "{step:?}");
                assert_eq!(written, usize::from(matches!(step, OwnerStep::Acted | OwnerStep::EndAsked)), "{step:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_does_no_harm_twice_is_sent_again_after_its_owners_death() {
    let world = connected().await;
    let body = json!({"body": []});
    for step in STEPS {
        let key = format!("{step:?}");
        let put = keyed(with(to("PUT", "/crm/v3/lists/1/memberships/add"), &body), &key);
        kill_at(&world, step, &put).await;
        world.stack.hubspot.forget_requests();
        age(&world, &key, 61).await;

        let late = world.execute(&put).await;
        let again = world.execute(&put).await;

        assert_eq!((late.status, unmarked(&late.text)), (200, unmarked(&again.text)), "{step:?}");
        assert_eq!(sent(&world), usize::from(step != OwnerStep::EndNoted), "{step:?}");
    }
}

#[tokio::test]
async fn an_owner_that_thaws_after_it_was_taken_over_sends_nothing_more() {
    let world = connected().await;
    for step in [OwnerStep::Claimed, OwnerStep::NewestRead] {
        let key = format!("{step:?}");
        let before = contacts(&world);
        let (frozen, pid) = freeze_at(&world, step, &create(&key)).await;
        age(&world, &key, 61).await;
        let other = world.execute(&create(&key)).await;

        world.stack.lambda.thaw(pid).await.unwrap();
        let late = frozen.answer().await.unwrap();

        assert_eq!(other.body["hubspot"]["status"], 201, "{}", other.text);
        let problem: Value = serde_json::from_str(late["body"].as_str().unwrap()).unwrap();
        assert_eq!(problem["code"], "execution_in_progress", "{step:?}: {problem}");
        assert_eq!(problem["outcome"], "unknown");
        assert_eq!(contacts(&world) - before, 1, "{step:?}");
        assert_eq!(state(&world, &key).await.as_deref(), Some("answered"));
        assert_eq!(unmarked(&world.execute(&create(&key)).await.text), other.text);
    }
}

#[tokio::test]
async fn an_owner_that_thaws_during_a_write_does_not_change_its_reported_end() {
    let world = connected().await;
    let (frozen, pid) = freeze_at(&world, OwnerStep::SendingNoted, &create("k")).await;
    age(&world, "k", 61).await;
    let verdict = world.execute(&create("k")).await;

    world.stack.lambda.thaw(pid).await.unwrap();
    frozen.answer().await.unwrap();

    assert_eq!((verdict.code(), &verdict.body["outcome"]), ("hubspot_unreachable", &json!("unknown")));
    assert_eq!(contacts(&world), 1, "it had not been stopped from the one write");
    assert_eq!(unmarked(&world.execute(&create("k")).await.text), verdict.text);
}

#[tokio::test]
async fn what_an_earlier_owner_may_have_sent_is_never_said_to_be_unsent() {
    let world = connected().await;
    let delete = keyed(to("DELETE", "/crm/v3/objects/contacts/1"), "k");
    kill_at(&world, OwnerStep::Acted, &delete).await;
    age(&world, "k", 61).await;
    world.stack.hubspot.script(Match::api(), [Fault::rate_limited("DAILY")]);
    world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    let limited = world.execute(&delete).await;

    assert_eq!((limited.status, limited.code()), (429, "rate_limited"), "{}", limited.text);
    assert_eq!((&limited.body["outcome"], &limited.body["retryable"]), (&json!("unknown"), &json!(true)));
    assert!(!limited.text.contains("Nothing was sent"), "{}", limited.text);
}
