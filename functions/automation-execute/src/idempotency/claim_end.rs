//! How a delivery ends, and what a later one gets of it: pure.

use guard::target::Target;
use shared::error::{Error, RequestOutcome};
use shared::gateway::Response;
use shared::store::executions::StoredResponse;

/// How a delivery ends.
pub(crate) enum ClaimEnd {
    /// The key is free again.
    Released,
    /// A later delivery executes again, and knows that HubSpot has not answered this one in time.
    TimedOut,
    /// A later delivery executes again, since the request only reads.
    Read,
    /// A later delivery gets this answer.
    Stored(StoredResponse),
}

/// How a delivery ends whose execution ended with a problem.
pub(crate) fn problem_end(error: &Error, outcome: RequestOutcome, target: &Target, execution_id: &str) -> ClaimEnd {
    if outcome == RequestOutcome::NotSent {
        return ClaimEnd::Released;
    }
    match (error, error.retryable()) {
        (Error::HubspotTimeout(_), true) => ClaimEnd::TimedOut,
        (_, true) => ClaimEnd::Released,
        (_, false) if target.is_read() => ClaimEnd::Read,
        (_, false) => ClaimEnd::Stored(problem(error, outcome, execution_id)),
    }
}

/// A stored answer, as it was returned the first time, and marked as a replay.
pub(crate) fn replay(stored: StoredResponse) -> Response {
    let kind = if stored.status == 200 { "application/json" } else { "application/problem+json" };
    let body = match stored.body.strip_suffix('}') {
        Some(members) => format!("{members},\"replayed\":true}}"),
        None => stored.body,
    };
    Response::text(stored.status, kind, body)
}

/// The problem of a delivery, as it is stored.
pub(super) fn problem(error: &Error, outcome: RequestOutcome, execution_id: &str) -> StoredResponse {
    let response = Response::execution_problem(error, outcome, execution_id);
    StoredResponse { status: response.status_code, outcome, body: response.body }
}

#[cfg(test)]
mod tests {
    use shared::error::LostRequest;

    use super::*;

    fn target(method: &str) -> Target {
        let origin = "https://api.hubapi.com".parse().unwrap();
        Target::parse(&origin, method, "/crm/v3/objects/contacts/1", &[]).unwrap()
    }

    #[test]
    fn a_problem_is_stored_only_if_final_and_possibly_sent() {
        let end = |error: &Error, outcome, method| match problem_end(error, outcome, &target(method), "id") {
            ClaimEnd::Released => "released",
            ClaimEnd::TimedOut => "timed out",
            ClaimEnd::Read => "read",
            ClaimEnd::Stored(_) => "stored",
        };

        for (error, outcome, write, read) in [
            (Error::HubspotUnreachable(LostRequest::CheckFirst), RequestOutcome::Unknown, "stored", "read"),
            (Error::HubspotUnreachable(LostRequest::SafeToRetry), RequestOutcome::Unknown, "released", "released"),
            (Error::HubspotTimeout(LostRequest::SafeToRetry), RequestOutcome::Unknown, "timed out", "timed out"),
            (Error::HubspotTimeout(LostRequest::SafeToRetry), RequestOutcome::NotSent, "released", "released"),
            (Error::HubspotTimeout(LostRequest::CheckFirst), RequestOutcome::Unknown, "stored", "read"),
            (Error::NotConnected, RequestOutcome::NotSent, "released", "released"),
            (Error::NotConnected, RequestOutcome::Unknown, "stored", "read"),
            (Error::unavailable(1, "a test"), RequestOutcome::Unknown, "released", "released"),
        ] {
            assert_eq!(end(&error, outcome, "PUT"), write, "{error} {outcome:?}");
            assert_eq!(end(&error, outcome, "GET"), read, "{error} {outcome:?}");
        }
    }

    #[test]
    fn a_replay_keeps_status_and_type_and_says_that_it_is_one() {
        let stored =
            |status| StoredResponse { status, outcome: RequestOutcome::Unknown, body: r#"{"a":1}"#.to_owned() };

        for (status, kind) in [(200, "application/json"), (502, "application/problem+json")] {
            let response = replay(stored(status));
            assert_eq!((response.status_code, response.headers["content-type"].as_str()), (status, kind));
            assert_eq!(response.body, r#"{"a":1,"replayed":true}"#);
        }
    }
}
