//! A workflow engine that relies only on its answers: no write is lost or doubled, every answer is true.
//!
//! `ENGINE_SEED` repeats a run's dice, `ENGINE_REQUESTS` and `ENGINE_KEYS` make it longer.

pub(crate) mod judge;
mod keys;
mod late;
mod random_faults;
mod requests;

use std::collections::HashMap;

use devstack::hubspot::RecordedRequest;
use serde_json::{Value, json};

use crate::idempotency::keyed;
use crate::world::{ACCOUNT, World};

/// A number of the environment, or what an ordinary run takes.
#[expect(clippy::disallowed_methods, reason = "the environment sets the size of tests")]
fn setting(name: &str, ordinary: u64) -> u64 {
    std::env::var(name).map_or(ordinary, |value| value.parse().unwrap())
}

/// The seed of all dice of a run: given, or new.
fn seed() -> u64 {
    setting("ENGINE_SEED", u64::from(uuid::Uuid::now_v7().as_fields().1) ^ uuid::Uuid::now_v7().as_u64_pair().1 >> 32)
}

#[expect(clippy::print_stderr, reason = "the figures of a run, shown with --nocapture and when it fails")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// A die: the same number for the same throw, below `sides`.
fn dice(seed: u64, throw: &str, nth: usize, sides: u64) -> u64 {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    for byte in throw.bytes().chain(nth.to_le_bytes()) {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        state ^= state >> 29;
    }
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state ^ (state >> 31)) % sides
}

/// A write that HubSpot makes as often as it is asked: nothing there keeps two notes of one text apart.
fn note(key: &str) -> Value {
    let body = json!({"properties": {"hs_timestamp": "1700000000000", "hs_note_body": key}});
    let request = json!({"method": "POST", "endpoint": "/crm/v3/objects/notes", "query": {"n": key}, "body": body});
    keyed(json!({"account_id": ACCOUNT, "request": request}), key)
}

/// How often each request took effect at HubSpot, by the mark `n` in its query.
fn effects(world: &World) -> HashMap<String, usize> {
    marks(&world.stack.hubspot.effects())
}

fn marks(requests: &[RecordedRequest]) -> HashMap<String, usize> {
    let mut marks = HashMap::new();
    for request in requests {
        if let Some((_, mark)) = request.query_pairs().into_iter().find(|(name, _)| name == "n") {
            *marks.entry(mark).or_default() += 1;
        }
    }
    marks
}
