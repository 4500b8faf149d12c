//! One trigger delivered five times into four real processes, which die or freeze at every step.

use std::collections::{BTreeMap, BTreeSet};

use devstack::hubspot::Match;
use devstack::stack::ApiResponse;
use devstack::wire::{At, Gate};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use shared::crypto::sha256_hex;

use super::{dice, effects, note, say, seed, setting};
use crate::execution::connected;
use crate::idempotency::unmarked;
use crate::idempotency::{OwnerStep, STEPS, age};
use crate::world::World;

/// Deliveries of a trigger.
const DELIVERIES: usize = 5;

/// The fault at that point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    /// Killed; what it was waiting for is lost on its way.
    Killed,
    /// Killed; what it has sent arrives all the same.
    KilledLate,
    /// Frozen until others have taken over, then thawed.
    Frozen,
}

/// The answers to the deliveries of one key.
#[derive(Debug, Default)]
struct KeyHistory {
    blow: Option<(OwnerStep, Blow)>,
    answers: Vec<ApiResponse>,
    last: Option<ApiResponse>,
}

fn hold(world: &World, step: OwnerStep, key: &str) -> Gate {
    let (stack, hash) = (&world.stack, sha256_hex(key));
    let put = |state: &str, at| stack.dynamo.hold_one("PutItem", &[&hash, &format!(r#"{{"S":"{state}"}}"#)], at);
    match step {
        OwnerStep::Claimed => put("accepted", At::After),
        OwnerStep::NewestRead => stack.dynamo.hold_one("Query", &[], At::After),
        OwnerStep::SendingAsked => put("sending", At::Before),
        OwnerStep::SendingNoted => put("sending", At::After),
        OwnerStep::Sent => stack.hubspot.hold(Match::api().body(key), At::Before),
        OwnerStep::Acted => stack.hubspot.hold(Match::api().body(key), At::After),
        OwnerStep::EndAsked => put("answered", At::Before),
        OwnerStep::EndNoted => put("answered", At::After),
    }
}

/// The fault of a key's owner, if any.
fn blow(seed: u64, nth: usize) -> Option<(OwnerStep, Blow)> {
    let blow = match dice(seed, "blow", nth, 8) {
        0 => Blow::Killed,
        1 => Blow::KilledLate,
        2 => Blow::Frozen,
        _ => return None,
    };
    Some((STEPS[usize::try_from(dice(seed, "step", nth, 8)).unwrap()], blow))
}

/// Five deliveries at once; the owner gets its blow when the others have been answered, so that nothing else runs.
async fn trigger(world: &World, key: &str, blow: Option<(OwnerStep, Blow)>) -> KeyHistory {
    let body = note(key).to_string();
    let gate = blow.map(|(step, _)| hold(world, step, key));
    let mut open: FuturesUnordered<_> = (0..DELIVERIES).map(|_| world.stack.post_automation(body.clone())).collect();
    let mut history = KeyHistory { blow, ..KeyHistory::default() };
    let mut frozen = None;
    if let (Some((_, blow)), Some(gate)) = (blow, gate) {
        while history.answers.len() < DELIVERIES - 1 {
            history.answers.push(open.next().await.unwrap());
        }
        gate.reached(1).await;
        match blow {
            Blow::Frozen => frozen = Some(freeze_busy(world).await),
            Blow::Killed | Blow::KilledLate => assert_eq!(world.stack.lambda.kill_busy("automation-execute").await, 1),
        }
        if blow == Blow::Killed { gate.lose() } else { gate.open() }
    }
    if frozen.is_some() {
        settle(world, key, &mut history).await;
    }
    if let Some(pid) = frozen {
        world.stack.lambda.thaw(pid).await.unwrap();
    }
    while let Some(answer) = open.next().await {
        history.answers.push(answer);
    }
    settle(world, key, &mut history).await;
    history
}

async fn freeze_busy(world: &World) -> u32 {
    let processes = world.stack.lambda.processes("automation-execute");
    let [busy] = processes.iter().filter(|process| process.invocation.is_some()).collect::<Vec<_>>()[..] else {
        panic!("one process is busy: {processes:?}")
    };
    world.stack.lambda.freeze(busy.pid).await.unwrap();
    busy.pid
}

/// Delivers until the key has its final result. A minute of waiting is an owner that looks a minute older.
async fn settle(world: &World, key: &str, history: &mut KeyHistory) {
    for _ in 0..30 {
        let answer = world.stack.post_automation(note(key).to_string()).await;
        let running = answer.code().as_deref() == Some("execution_in_progress");
        history.answers.push(answer.clone());
        if !running {
            history.last = Some(answer);
            return;
        }
        age(world, key, 61).await;
    }
    panic!("{key} has no final result: {history:?}");
}

/// The result of a delivery, if it is one that a create may truthfully get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeliveryResult {
    WriteResult,
    Running,
    Unknown,
    /// The process has died: the front door's own 5xx, whose outcome is unknown.
    Died,
}

fn result(answer: &ApiResponse) -> DeliveryResult {
    let body = answer.json();
    let header = answer.header("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
    assert_eq!(body["retry_after_seconds"].as_u64(), header, "{body}");
    let ends = (body["outcome"].as_str().unwrap_or("-"), body["retryable"].as_bool());
    match (answer.status, body["code"].as_str(), ends) {
        (200, None, ("answered", Some(false))) if body["hubspot"]["status"] == 201 => DeliveryResult::WriteResult,
        (409, Some("execution_in_progress"), ("unknown", Some(true))) if header.is_some() => DeliveryResult::Running,
        (502, Some("hubspot_unreachable"), ("unknown", Some(false))) if header.is_none() => DeliveryResult::Unknown,
        (500, None, ("-", None)) => DeliveryResult::Died,
        _ => panic!("no truthful result: {} {body}", answer.status),
    }
}

fn judge(key: &str, history: &KeyHistory, writes: usize) {
    let results: Vec<DeliveryResult> = history.answers.iter().map(result).collect();
    let last = result(history.last.as_ref().unwrap());
    let context = format!("{key} {:?}: {results:?}, {writes} writes", history.blow);
    let count = |wanted| results.iter().filter(|result| **result == wanted).count();
    let texts = |wanted| -> BTreeSet<String> {
        history
            .answers
            .iter()
            .filter(|answer| result(answer) == wanted)
            .map(|answer| unmarked(&answer.text()))
            .collect()
    };

    assert!(writes <= 1, "written twice: {context}");
    assert!(
        count(DeliveryResult::WriteResult) == 0 || writes == 1,
        "an answer reports a write that does not exist: {context}"
    );
    assert!(
        texts(DeliveryResult::WriteResult).len() <= 1 && texts(DeliveryResult::Unknown).len() <= 1,
        "answers differ: {context}"
    );
    let killed = matches!(history.blow, Some((_, Blow::Killed | Blow::KilledLate)));
    assert_eq!(count(DeliveryResult::Died), usize::from(killed), "{context}");
    // An owner that had not recorded that it sends has not sent: the next one does. A recorded end is repeated.
    let safe = match history.blow {
        None
        | Some(
            (OwnerStep::Claimed | OwnerStep::NewestRead | OwnerStep::EndNoted, _)
            | (OwnerStep::EndAsked, Blow::KilledLate),
        ) => true,
        Some((step, blow)) => step == OwnerStep::SendingAsked && blow == Blow::Killed,
    };
    let frozen_at_its_end = matches!(history.blow, Some((OwnerStep::EndAsked, Blow::Frozen)));
    assert!(frozen_at_its_end || (last == DeliveryResult::WriteResult) == safe, "{context}");
    let frozen = matches!(history.blow, Some((_, Blow::Frozen)));
    assert!(
        last == DeliveryResult::WriteResult || frozen || count(DeliveryResult::WriteResult) == 0,
        "taken back: {context}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_deliveries_into_dying_processes_write_once_and_all_answers_are_true() {
    let (keys, seed) = (usize::try_from(setting("ENGINE_KEYS", 100)).unwrap(), seed());
    say(&format!("ENGINE_SEED={seed} ENGINE_KEYS={keys}"));
    let world = connected().await;
    world.stack.hubspot.set_rate_limit(None);
    let mut all = Vec::new();

    for nth in 0..keys {
        let key = format!("k{nth}-{seed}");
        all.push((trigger(&world, &key, blow(seed, nth)).await, key));
        if nth % 100 == 99 {
            say(&format!("{} keys", nth + 1));
        }
    }

    let written = effects(&world);
    let mut figures: BTreeMap<String, usize> = BTreeMap::new();
    for (history, key) in &all {
        let writes = written.get(key).copied().unwrap_or_default();
        judge(key, history, writes);
        let last = format!("last result {:?}, {writes} writes", result(history.last.as_ref().unwrap()));
        let counted = [Some("keys".to_owned()), history.blow.map(|blow| format!("{blow:?}")), Some(last)];
        for name in counted.into_iter().flatten() {
            *figures.entry(name).or_default() += 1;
        }
        *figures.entry("deliveries".to_owned()).or_default() += history.answers.len();
    }
    say(&format!("{figures:#?}"));
    let notes: Vec<Value> = world.stack.hubspot.objects(devstack::hubspot::PORTAL, "notes");
    assert_eq!(notes.len(), written.values().sum::<usize>(), "{}", json!(figures));
}
