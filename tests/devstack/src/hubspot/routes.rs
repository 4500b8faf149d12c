//! Routes: the part of the emulator that answers a request.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::journal::RecordedRequest;
use super::state::App;
use super::{api, consent, location, marketplace, problem, token};
use crate::wire::Answer;

/// The dated versions that the token endpoints answer under.
const VERSIONS: [&str; 2] = ["2026-03", "2026-09"];

/// Applies one request to the state and returns the answer.
pub(super) fn answer(app: &mut App, request: &RecordedRequest) -> Answer {
    let now = Timestamp::from_millisecond(app.now()).expect("a clock of today");
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).expect("a year of four digits");
    route(app, request).header("date", &date)
}

fn route(app: &mut App, request: &RecordedRequest) -> Answer {
    if let Some(answer) = location::answer(app, request) {
        return answer;
    }
    let segments: Vec<_> = request.path().split('/').skip(1).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["oauth", "authorize"]) => consent::page(app, request.query()),
        ("GET", ["marketplace", "install"]) => marketplace::install(app, request),
        ("GET", ["marketplace", "authorize"]) => marketplace::authorize(app, request),
        ("POST", ["oauth", "authorize", "decision"]) => consent::decision(app, &request.text()),
        ("POST", ["oauth", version, rest @ ..]) if VERSIONS.contains(version) => match rest {
            ["token"] => token::token(app, request),
            ["token", "introspect"] => token::introspect(app, request),
            ["token", "revoke"] => token::revoke(app, request),
            _ => problem::no_route(),
        },
        (_, ["oauth", ..]) => problem::no_route(),
        _ => api::answer(app, request),
    }
}
