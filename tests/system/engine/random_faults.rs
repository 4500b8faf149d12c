//! Random faults: the same seed, the same faults.

use std::time::Duration;

use devstack::aws::{AwsCall, AwsFault};
use devstack::hubspot::{Fault, RecordedRequest};
use devstack::wire::Answer;
use serde_json::json;

use super::dice;

/// After so many requests of one target HubSpot is well again: every run ends.
const WELL_AFTER: usize = 8;
/// A time of trouble lasts for so many calls: fewer than the deliveries that a request may take, or the last one that is
/// open might never end.
const TROUBLE: usize = 50;

/// HubSpot: of its API's requests two thirds pass, of those for tokens three quarters.
pub(super) fn hubspot(seed: u64, request: &RecordedRequest, nth: usize) -> Option<Fault> {
    let fault = if request.is_oauth() {
        of_tokens(seed, nth)
    } else if nth >= WELL_AFTER {
        Fault::Pass
    } else {
        of_the_api(seed, &request.target, nth)
    };
    Some(fault)
}

fn of_tokens(seed: u64, nth: usize) -> Fault {
    match dice(seed, "token", nth, 20) {
        0 => Fault::status(503),
        1 => Fault::Close,
        2 => Fault::CloseAfterEffect,
        3 => Fault::status(429).header("retry-after", "7"),
        4 => Fault::Cut(30),
        _ => Fault::Pass,
    }
}

fn of_the_api(seed: u64, target: &str, nth: usize) -> Fault {
    let after_effect = |status| Fault::AnswerAfterEffect(Answer::json(status, &json!({"status": "error"})));
    match dice(seed, target, nth, 100) {
        0 | 1 => Fault::Close,
        2 | 3 => Fault::Reset,
        4..=6 => Fault::CloseAfterEffect,
        7 => Fault::Cut(0),
        8 | 9 => Fault::Cut(60),
        10 => Fault::WrongLength(9),
        11 => Fault::Raw(b"HTTP/1.1 two hundred\r\n\r\n".to_vec()),
        12 => Fault::StallAnswer(Duration::from_secs(4)),
        13 | 14 => Fault::status(423).header("retry-after", "0"),
        15 => Fault::status(423).header("retry-after", "9"),
        16 => Fault::status(477).header("retry-after", "30"),
        17 => Fault::status(477),
        18 => Fault::rate_limited("SECONDLY").header("retry-after", "0"),
        19 => Fault::rate_limited("TEN_SECONDLY_ROLLING"),
        20 => Fault::status(500),
        21 => Fault::status(502),
        22 => Fault::status(503).header("retry-after", "0"),
        23 => Fault::status(504).header("retry-after", "40"),
        24 => after_effect(500),
        25 => after_effect(502),
        26 => after_effect(503),
        27 => after_effect(504),
        28 => after_effect(524),
        29 => Fault::Answer(Answer::json(401, &json!({"category": "INVALID_AUTHENTICATION"}))),
        30 => Fault::Answer(Answer::redirect(307, "/elsewhere")),
        _ => Fault::Pass,
    }
}

/// DynamoDB: single calls, and times of trouble, never two in a row, in which every call of an operation is refused.
pub(super) fn dynamo(seed: u64, call: &AwsCall, nth: usize) -> Option<AwsFault> {
    let time = nth / TROUBLE;
    if time.is_multiple_of(2) && dice(seed, &format!("trouble {}", call.operation), time, 6) == 0 {
        return Some(if nth.is_multiple_of(3) { AwsFault::Throttled } else { AwsFault::Refused });
    }
    match dice(seed, &call.operation, nth, 100) {
        0 => Some(AwsFault::Refused),
        1 => Some(AwsFault::Throttled),
        2 | 3 => Some(AwsFault::AnswerLost),
        _ => None,
    }
}

/// Secrets Manager: every fifth call.
pub(super) fn secrets(seed: u64, call: &AwsCall, nth: usize) -> Option<AwsFault> {
    match dice(seed, &call.operation, nth, 25) {
        0 => Some(AwsFault::Refused),
        1 => Some(AwsFault::RefusedAfterEffect),
        2 => Some(AwsFault::Throttled),
        3 => Some(AwsFault::ConnectionDropped),
        4 => Some(AwsFault::AnswerLost),
        _ => None,
    }
}
