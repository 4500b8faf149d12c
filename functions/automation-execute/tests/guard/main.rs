//! The guard, attacked: what customers write goes in, and only requests to HubSpot's API without their credentials
//! come out, legitimate ones unchanged.
//!
//! Where `ATTACK_INPUTS` names a folder of foreign attack inputs, they are tried as well.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

mod details;
mod endpoints;
#[allow(dead_code, reason = "some of it is for the tests over the wire only")]
mod foreign;
mod gadgets;
mod headers;
mod hostile;
mod legitimate;
mod parsing;
mod properties;
mod random;
mod refusals;
mod spellings;
mod tally;

use automation_execute::request::{AutomationRequest, Call};
use automation_execute::target::Target;
use reqwest::Url;
use serde_json::{Value, json};
use shared::error::Error;

use properties::{ORIGIN, origin};

/// How many times the random generators go round: once, unless `HOSTILE_ROUNDS` says another number.
fn rounds() -> u32 {
    std::env::var_os("HOSTILE_ROUNDS").map_or(1, |rounds| rounds.to_str().unwrap().parse().unwrap())
}

/// The target of an endpoint, with no further query.
fn target(method: &str, endpoint: &str) -> Result<Target, Error> {
    Target::parse(&origin(), method, endpoint, &[])
}

/// The call of a request object.
fn call(request: &Value) -> Result<Call, Error> {
    let body = json!({ "account_id": "acc_1", "request": request }).to_string();
    AutomationRequest::parse(&body, &origin()).map(|request| request.call)
}

/// The call of a request object that has to be accepted.
fn accepted(request: &Value) -> Call {
    call(request).unwrap_or_else(|error| panic!("{request} gave {error}"))
}
