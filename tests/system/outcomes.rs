//! The ways in which an automation request can end without HubSpot's answer, or beside it, and the engine's answer.
//!
//! The expectations are written from the contract, not from the code.

mod ours;

use crate::engine::judge::read_reply;
use crate::world::Answer;

/// The engine's answer: the status and the code, or HubSpot's status; the outcome; whether to send it again,
/// and when, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EngineOutcome(u16, &'static str, &'static str, Again);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Never,
    /// Whenever the caller likes.
    Any,
    /// After so many seconds.
    In(u64),
    /// After a time that the answer states and the test does not know.
    Told,
}
use Again::{Any, In, Never, Told};

fn assert_ends(answer: &Answer, end: EngineOutcome, context: &str) {
    let reply = read_reply(answer);
    let EngineOutcome(status, code, outcome, again) = end;
    let told = reply.code.as_deref().unwrap_or("-");
    assert_eq!((told, reply.outcome.as_str()), (code, outcome), "{context}: {}", answer.text);
    let seen = if code == "-" { reply.hubspot.unwrap() } else { u64::from(answer.status) };
    assert_eq!(seen, u64::from(status), "{context}: {}", answer.text);
    let expected = match again {
        Never => (false, None),
        Any => (true, None),
        In(seconds) => (true, Some(seconds)),
        Told => (true, Some(reply.retry_after.unwrap_or_else(|| panic!("{context}: {}", answer.text)).max(1))),
    };
    assert_eq!((reply.retryable, reply.retry_after), expected, "{context}: {}", answer.text);
}

const ANSWERED: &str = "answered";
const NOT_SENT: &str = "not_sent";
const UNKNOWN: &str = "unknown";

/// HubSpot's answer, handed on.
const fn handed_on(status: u16, outcome: &'static str, again: Again) -> EngineOutcome {
    EngineOutcome(status, "-", outcome, again)
}
