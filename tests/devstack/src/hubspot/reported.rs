//! Reported behaviour of HubSpot and the edge in front of it: one table, for tests, the dashboard and `curl`.

use std::time::Duration;

use serde_json::json;
use shared::clock::Clock;

use super::fault::Fault;
use super::problem::{batch, body, edge, invalid_authentication, migrating, oauth, partial_error, problem};
use crate::wire::Answer;

/// A fault with a name.
#[derive(Clone, Copy, Debug)]
pub struct ReportedFault {
    /// Its name, for `curl`.
    pub name: &'static str,
    /// The behaviour: "answers 502".
    pub label: &'static str,
    /// The fault.
    pub fault: fn() -> Fault,
}

impl ReportedFault {
    /// The fault of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Fault> {
        REPORTED.iter().find(|reported| reported.name == name).map(|reported| (reported.fault)())
    }
}

const fn reported(name: &'static str, label: &'static str, fault: fn() -> Fault) -> ReportedFault {
    ReportedFault { name, label, fault }
}

/// All reported faults.
pub const REPORTED: [ReportedFault; 26] = [
    reported("502", "answers 502", || Fault::status(502)),
    reported("lost", "acts, its answer is lost", || Fault::CloseAfterEffect),
    reported("slow", "answers after 6 s", || Fault::Stall(Duration::from_secs(6))),
    reported("binary", "answers with binary data", || {
        let answer = Answer::new(200).header("content-type", "application/octet-stream");
        Fault::Answer(answer.body(vec![0, 159, 146, 150, 255]))
    }),
    reported("429", "answers 429 (ten-secondly)", || Fault::rate_limited("TEN_SECONDLY_ROLLING")),
    reported("429-secondly", "answers 429 (secondly, as for searches)", || Fault::rate_limited("SECONDLY")),
    reported("429-daily", "answers 429 (daily)", || Fault::rate_limited("DAILY")),
    reported("429-retry-after", "answers 429 with Retry-After: 10", || Fault::status(429).header("retry-after", "10")),
    reported("423", "answers 423 (locked)", || Fault::status(423)),
    reported("477", "answers 477 (the portal is being migrated)", || Fault::Answer(migrating())),
    reported("207", "answers 207 (a part of a batch failed)", || {
        let error = partial_error("VALIDATION_ERROR", "Property values were not valid", &json!({}));
        Fault::Answer(batch(207, Clock::default().now_millis(), &[], &[error]))
    }),
    reported("401-invalid", "answers 401 (invalid token)", || {
        Fault::Answer(invalid_authentication("The access token is invalid, or it was revoked."))
    }),
    reported("401-expired", "answers 401 (expired, though the token is young)", || {
        let mut body =
            body("EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired 2 second(s) ago.");
        body["context"] = json!({ "expire time": ["2026-01-01T00:00:00.000Z"] });
        Fault::Answer(Answer::json(401, &body))
    }),
    reported("401-path", "answers 401 (credentials not found)", || {
        let body = json!({ "status": "error", "message": "Authentication credentials not found." });
        Fault::Answer(Answer::json(401, &body))
    }),
    reported("403-banned", "answers 403 (banned)", || {
        Fault::Answer(problem(403, "BANNED", "This app may not call this API."))
    }),
    reported("403-edge", "answers 403 (Cloudflare: error code: 1010)", || {
        let answer =
            Answer::new(403).header("content-type", "text/plain; charset=UTF-8").header("server", "cloudflare");
        Fault::Answer(answer.header("cf-ray", "8a1b2c3d4e5f6071-FRA").body("error code: 1010"))
    }),
    reported("520", "answers 520 (Cloudflare: unknown error)", || {
        Fault::Answer(edge(520, "Web server is returning an unknown error"))
    }),
    reported("521", "answers 521 (Cloudflare: down)", || Fault::Answer(edge(521, "Web server is down"))),
    reported("522", "answers 522 (Cloudflare: timed out)", || Fault::Answer(edge(522, "Connection timed out"))),
    reported("523", "answers 523 (Cloudflare: unreachable)", || Fault::Answer(edge(523, "Origin is unreachable"))),
    reported("524", "answers 524 (Cloudflare: a time-out occurred)", || Fault::Answer(edge(524, "A timeout occurred"))),
    reported("525", "answers 525 (Cloudflare: handshake failed)", || Fault::Answer(edge(525, "SSL handshake failed"))),
    reported("526", "answers 526 (Cloudflare: certificate)", || Fault::Answer(edge(526, "Invalid SSL certificate"))),
    reported("unauthorized", "refuses in other words (unauthorized)", || {
        Fault::Answer(Answer::json(401, &json!({ "error": "unauthorized" })))
    }),
    reported("invalid-token", "refuses in other words (INVALID_TOKEN)", || {
        let mut body = body("VALIDATION_ERROR", "The refresh token is invalid.");
        body["subCategory"] = json!("INVALID_TOKEN");
        Fault::Answer(Answer::json(400, &body))
    }),
    reported("expired-code", "refuses in other words (EXPIRED_AUTH_CODE)", || {
        Fault::Answer(oauth("invalid_request", "EXPIRED_AUTH_CODE", "the auth code has expired"))
    }),
];
