//! The guard, attacked: what customers write goes in, and only requests to HubSpot's API without their credentials
//! come out, legitimate ones unchanged.
//!
//! Where `ATTACK_INPUTS` names a folder of foreign attack inputs, they are tried as well.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

mod details;
mod headers;
mod hostile;
mod legitimate;
mod parsing;
mod random;
mod refusals;
mod spellings;

use guard::refusal::Refusal;
use guard::request::{AutomationRequest, Call};
use guard::target::Target;
use serde_json::{Value, json};
use url::Url;

use attacks::properties::{ORIGIN, origin};
use attacks::{endpoints, foreign, gadgets, properties};

/// How many times the random generators go round: once, unless `HOSTILE_ROUNDS` says another number.
fn rounds() -> u32 {
    std::env::var_os("HOSTILE_ROUNDS").map_or(1, |rounds| rounds.to_str().unwrap().parse().unwrap())
}

/// The target of an endpoint, with no further query.
fn target(method: &str, endpoint: &str) -> Result<Target, Refusal> {
    Target::parse(&origin(), method, endpoint, &[])
}

/// The call of a request object.
fn call(request: &Value) -> Result<Call, Refusal> {
    let body = json!({ "account_id": "acc_1", "request": request }).to_string();
    AutomationRequest::parse(&body, &origin()).map(|request| request.call)
}

/// The call of a request object that has to be accepted.
fn accepted(request: &Value) -> Call {
    call(request).unwrap_or_else(|error| panic!("{request} gave {error}"))
}

/// The code of the contract that a refusal becomes.
fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::InvalidRequest(_) => "invalid_request",
        Refusal::EndpointNotAllowed(_) => "endpoint_not_allowed",
        Refusal::RequestTooLarge(_) => "request_too_large",
    }
}
