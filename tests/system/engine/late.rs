//! Writes of the table that arrive after their sender has given up.

use std::time::Duration;

use devstack::hubspot::{Fault, Match};
use devstack::wire::{At, Gate};
use serde_json::json;
use shared::crypto::sha256_hex;

use super::{effects, note};
use crate::execution::connected;
use crate::idempotency::unmarked;
use crate::idempotency::{age, row};
use crate::world::{Answer, World};

/// A write that is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    Claim,
    Sending,
    End,
    Release,
    TakeOver,
    Verdict,
}

const ALL: [Late; 6] = [Late::Claim, Late::Sending, Late::End, Late::Release, Late::TakeOver, Late::Verdict];

impl Late {
    /// The operation, and words of its request that no earlier write of the key has.
    fn write(self) -> (&'static str, &'static str) {
        match self {
            Self::Claim => ("PutItem", "attribute_not_exists"),
            Self::TakeOver => ("PutItem", "#owner = :owner"),
            Self::Sending => ("PutItem", r#"{"S":"sending"}"#),
            Self::End | Self::Verdict => ("PutItem", r#"{"S":"answered"}"#),
            Self::Release => ("DeleteItem", "#owner = :owner"),
        }
    }
}

/// An execution of the key dies at a call; then its owner looks dead.
async fn die_at(world: &World, key: &str, operation: &str, naming: &[&str], at: At) {
    let gate = world.stack.dynamo.hold_one(operation, naming, at);
    let request = note(key);
    tokio::select! {
        answer = world.execute(&request) => panic!("it should have died: {}", answer.text),
        () = gate.reached(1) => {}
    }
    gate.lose();
    age(world, key, 61).await;
}

/// Delivers until there is a final result; the owner looks a minute older each time.
async fn settle(world: &World, key: &str) -> Answer {
    for _ in 0..9 {
        let answer = world.execute(&note(key)).await;
        if answer.body["retryable"] == false {
            return answer;
        }
        if row(world, key).await.is_some() {
            age(world, key, 61).await;
        }
    }
    panic!("{key} has no final result");
}

/// One execution whose write is held until it has given up; its word, and the write's gate.
async fn given_up(world: &World, key: &str, late: Late) -> (Answer, Gate) {
    let hash = sha256_hex(key);
    match late {
        Late::TakeOver => die_at(world, key, "Query", &[], At::Before).await,
        Late::Verdict => die_at(world, key, "PutItem", &[&hash, r#"{"S":"sending"}"#], At::After).await,
        Late::Release => world.stack.hubspot.script(Match::api(), [Fault::status(423).header("retry-after", "9")]),
        Late::Claim | Late::Sending | Late::End => {}
    }
    let (operation, words) = late.write();
    let gate = world.stack.dynamo.hold_one(operation, &[&hash, words], At::Before);
    let mut request = note(key);
    request["deadline_ms"] = json!(1000);
    let answer = tokio::time::timeout(Duration::from_secs(20), world.execute(&request)).await.unwrap();
    (answer, gate)
}

/// When a late write arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrives {
    BeforeTheNext,
    /// The next delivery owns the key and has not noted yet that it sends.
    AmidTheNext,
    AfterTheLast,
}

/// The next delivery, amid which the late write arrives.
async fn amid(world: &World, key: &str, gate: Gate) -> Answer {
    let (request, reading) = (note(key), world.stack.dynamo.hold_one("Query", &[], At::After));
    let arriving = async {
        reading.reached(1).await;
        world.stack.dynamo.land(gate).await;
        reading.open();
    };
    tokio::join!(world.execute(&request), arriving).0
}

#[tokio::test]
async fn a_write_that_arrives_late_is_not_doubled_and_all_answers_stay_true() {
    let world = connected().await;
    world.stack.hubspot.set_rate_limit(None);

    for late in ALL {
        for arrives in [Arrives::BeforeTheNext, Arrives::AmidTheNext, Arrives::AfterTheLast] {
            if arrives == Arrives::AmidTheNext && matches!(late, Late::End | Late::Release | Late::Verdict) {
                continue; // the next delivery does not own the key
            }
            let key = format!("{late:?}-{arrives:?}");
            let (first, gate) = given_up(&world, &key, late).await;
            // On a busy machine its short time may not do for giving the key free.
            let is_free = row(&world, &key).await.is_none();
            let next = match arrives {
                Arrives::BeforeTheNext => {
                    world.stack.dynamo.land(gate).await;
                    settle(&world, &key).await
                }
                Arrives::AmidTheNext => {
                    if !is_free {
                        age(&world, &key, 61).await;
                    }
                    amid(&world, &key, gate).await
                }
                Arrives::AfterTheLast => {
                    let next = settle(&world, &key).await;
                    world.stack.dynamo.land(gate).await;
                    next
                }
            };

            let last = settle(&world, &key).await;

            assert_eq!(unmarked(&next.text), unmarked(&last.text), "{key}: what was said once is said again");
            // Only a row that says so leaves it unknown: nothing else that is late loses a write.
            let says_so = match late {
                Late::End | Late::Verdict => true,
                Late::Release => arrives == Arrives::AfterTheLast,
                Late::Sending => !is_free,
                Late::Claim | Late::TakeOver => false,
            };
            assert!(says_so || last.body["hubspot"]["status"] == 201, "{key}: {}", last.text);
            judge(&world, late, &key, &[first, last]);
        }
    }
}

fn judge(world: &World, late: Late, key: &str, answers: &[Answer]) {
    let writes = effects(world).get(key).copied().unwrap_or_default();
    let context = format!("{key}: {writes} writes, {answers:?}");
    assert!(writes <= 1, "written twice: {context}");
    let [first, last] = answers else { panic!("{context}") };
    let written = |answer: &Answer| answer.status == 200 && answer.body["hubspot"]["status"] == 201;
    let unknown = |answer: &Answer| answer.code() == "hubspot_unreachable" && answer.body["outcome"] == "unknown";
    assert!(written(last) || unknown(last), "{context}");
    assert!(!(written(first) || written(last)) || writes == 1, "{context}");
    let outcome = match late {
        Late::End | Late::Release => "answered",
        Late::Claim | Late::Sending | Late::TakeOver => "not_sent",
        Late::Verdict => "unknown",
    };
    assert_eq!(first.body["outcome"], outcome, "{context}");
}
