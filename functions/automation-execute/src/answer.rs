//! Our answer around HubSpot's.

mod envelope;

use std::borrow::Cow;

use guard::redact::TokenPatterns;
use guard::request::Call;
use guard::scopes::{self, Explanation, Remedy, RequestedScopes, Verdict};
use guard::target::Target;
use secrecy::SecretString;
use shared::clock::Clock;
use shared::error::RequestOutcome;
use shared::gateway::Response;
use shared::integration::Integration;
use shared::store::executions::StoredResponse;

use self::envelope::{Envelope, HubspotAnswer, ReplyBody, reply_body};
use crate::forward::{Attempts, ignores_body};
use crate::idempotency::ClaimEnd;
use crate::reply::{Reply, missing_scopes};

/// The most bytes of an answer that are stored for a replay: a customer's data stays in the table no longer than
/// needed.
const LARGEST_STORED: usize = 65_536;

/// Everything that an answer is made of.
pub(crate) struct Answer<'a> {
    pub(crate) execution_id: &'a str,
    pub(crate) integration: &'a Integration,
    pub(crate) requested: RequestedScopes<'a>,
    pub(crate) call: &'a Call,
    pub(crate) attempts: &'a Attempts,
    pub(crate) duration_ms: i64,
    /// Every token that was sent: HubSpot may echo any of them.
    pub(crate) tokens: &'a [SecretString],
    pub(crate) reply: &'a Reply,
    pub(crate) clock: &'a Clock,
    /// Until when a body is searched for tokens, in milliseconds since the epoch; then it is left out.
    pub(crate) redact_until: i64,
}

/// An answer, ready to be returned.
pub(crate) struct Rendered {
    pub(crate) outcome: RequestOutcome,
    pub(crate) response: Response,
    retryable: bool,
    /// The body to store, where that is not the response's.
    stored: Option<String>,
}

impl Rendered {
    /// How a delivery of this target with an idempotency key ends.
    pub(crate) fn claim_end(&self, target: &Target) -> ClaimEnd {
        if self.retryable || self.outcome == RequestOutcome::NotSent {
            return ClaimEnd::Released;
        }
        if target.is_read() {
            return ClaimEnd::Read;
        }
        let body = self.stored.as_ref().unwrap_or(&self.response.body).clone();
        ClaimEnd::Stored(StoredResponse { status: 200, outcome: self.outcome, body })
    }
}

impl Answer<'_> {
    /// The answer to an execution that HubSpot answered, whatever it said.
    pub(crate) fn render(&self) -> Rendered {
        let patterns: Vec<TokenPatterns> = self.tokens.iter().map(TokenPatterns::of).collect();
        let has_time = || !self.clock.remaining(self.redact_until).is_zero();
        let body = redacted(&patterns, &self.reply.body, has_time);
        let mut envelope = self.envelope(&patterns, body.as_deref());
        let text = envelope.text().unwrap_or_else(|| envelope.text_without_body());
        let Envelope { outcome, retryable, retry_after_seconds, .. } = envelope;
        let stored = (text.len() > LARGEST_STORED).then(|| envelope.text_without_body());
        let response = Response::text(200, "application/json", text);
        let response = match retry_after_seconds {
            Some(seconds) => response.with("retry-after", &seconds.to_string()),
            None => response,
        };
        Rendered { outcome, retryable, response, stored }
    }

    /// A 5xx to a request that is not idempotent does not say whether HubSpot has acted, unless the edge in front of
    /// HubSpot never reached it.
    fn outcome(&self) -> RequestOutcome {
        if self.reply.status < 500 || self.call.target().is_idempotent() {
            RequestOutcome::Answered
        } else if self.reply.never_reached_hubspot() && !self.attempts.may_have_reached_hubspot {
            RequestOutcome::NotSent
        } else {
            RequestOutcome::Unknown
        }
    }

    fn is_retryable(&self, outcome: RequestOutcome) -> bool {
        match self.reply.status {
            423 | 429 | 477 => true,
            500.. => outcome == RequestOutcome::NotSent || self.call.target().is_idempotent(),
            _ => false,
        }
    }

    fn envelope<'b>(&'b self, patterns: &[TokenPatterns], body: Option<&'b [u8]>) -> Envelope<'b> {
        let Reply { status, ref headers, .. } = *self.reply;
        let outcome = self.outcome();
        let retryable = self.is_retryable(outcome);
        let granted = self.integration.scopes.as_slice();
        let missing = missing_scopes(status, body.unwrap_or_default())
            .map(|listed| missing(self.call.target(), listed, granted, self.requested));
        let (missing_scopes, remedy) = missing.map_or((None, None), |(scopes, remedy)| (Some(scopes), remedy));
        let scrub = |value: &str| {
            let clean = redacted(patterns, value.as_bytes(), || true).unwrap_or_default();
            String::from_utf8_lossy(&clean).into_owned()
        };
        Envelope {
            execution_id: self.execution_id,
            integration_id: &self.integration.integration_id,
            outcome,
            retryable,
            retry_after_seconds: if retryable { self.reply.wait_seconds() } else { None },
            attempts: self.attempts.made,
            duration_ms: self.duration_ms,
            ignored_credentials: self.call.ignored(),
            body_ignored: ignores_body(self.call).then_some(true),
            granted_scopes: missing_scopes.as_ref().map(|_| granted),
            remedy,
            missing_scopes,
            hubspot: HubspotAnswer {
                status,
                headers: headers.iter().map(|(name, value)| (name.as_str(), scrub(value))).collect(),
                body: match body {
                    Some(body) if !self.reply.omitted => reply_body(self.reply, body),
                    Some(_) | None => Some(ReplyBody::TOO_LARGE),
                },
            },
        }
    }
}

/// The bytes without any of the tokens, or none if the time does not last.
fn redacted<'a>(patterns: &[TokenPatterns], bytes: &'a [u8], has_time: impl Fn() -> bool) -> Option<Cow<'a, [u8]>> {
    patterns.iter().try_fold(Cow::Borrowed(bytes), |bytes, patterns| match bytes {
        Cow::Borrowed(bytes) => patterns.scrub_while(bytes, &has_time),
        Cow::Owned(bytes) => patterns.scrub_while(&bytes, &has_time).map(|clean| Cow::Owned(clean.into_owned())),
    })
}

/// The scopes that are missing after HubSpot's refusal, and their remedy.
///
/// HubSpot also names scopes that it has retired, which nobody can add to an app: if it names no other, what the guard
/// knows of the request counts.
fn missing(
    target: &Target,
    listed: Vec<String>,
    granted: &[String],
    requested: RequestedScopes<'_>,
) -> (Vec<String>, Option<Remedy>) {
    let is_known = |scope: &String| granted.contains(scope) || requested.has(scope) || scopes::is_known(scope);
    if !listed.iter().any(is_known) {
        let explanation = Explanation::of(target.method(), target.path());
        if !explanation.developer_key && explanation.verdict(granted) == Verdict::Missing {
            let mut missing: Vec<String> = explanation.missing(granted).into_iter().map(str::to_owned).collect();
            // Of alternatives, those that the app asks for.
            if explanation.has_alternatives() && missing.iter().any(|scope| requested.has(scope)) {
                missing.retain(|scope| requested.has(scope));
            }
            return (missing, explanation.remedy(granted, requested));
        }
    }
    let remedy = remedy(&listed, granted, requested);
    (listed, remedy)
}

/// The remedy for HubSpot's refusal. A scope that is listed and granted is not the missing one.
fn remedy(listed: &[String], granted: &[String], requested: RequestedScopes<'_>) -> Option<Remedy> {
    let missing: Vec<&str> = listed.iter().filter(|scope| !granted.contains(scope)).map(String::as_str).collect();
    requested.remedy_for_one(&missing)
}

#[cfg(test)]
mod tests {
    use super::envelope::LARGEST_ANSWER;
    use super::*;
    use guard::request::AutomationRequest;
    use serde_json::Value;

    #[test]
    fn the_remedy_is_the_easiest_that_may_help() {
        let of = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        let (required, optional, granted) = (of(&["asked", "granted"]), of(&["plan"]), of(&["granted"]));
        let requested = RequestedScopes { required: &required, optional: &optional };

        for (listed, expected) in [
            (&["operator", "plan", "asked"][..], Some(Remedy::Reconnect)),
            (&["operator", "plan", "granted"], Some(Remedy::HubspotPlan)),
            (&["operator", "granted"], Some(Remedy::AskOperator)),
            (&["granted"], None),
            (&[], None),
        ] {
            assert_eq!(remedy(&of(listed), &granted, requested), expected, "{listed:?}");
        }
    }

    /// The answer to a call of this method, its `Retry-After`, and what is stored of it.
    fn rendered(method: &str, reply: &Reply) -> (Value, Option<String>, Option<StoredResponse>) {
        rendered_after(Attempts { made: 1, ..Attempts::default() }, method, reply, i64::MAX)
    }

    /// The same after these attempts, with a time until when the body is searched for tokens.
    fn rendered_after(
        attempts: Attempts,
        method: &str,
        reply: &Reply,
        redact_until: i64,
    ) -> (Value, Option<String>, Option<StoredResponse>) {
        let origin = "https://api.hubapi.com".parse().unwrap();
        let body =
            format!(r#"{{"account_id":"a","request":{{"method":"{method}","endpoint":"/crm/v3/objects/contacts"}}}}"#);
        let request = AutomationRequest::parse(&body, &origin).unwrap();
        let integration = r#"{"account_id":"a","sequence":1,"integration_id":"i","created_at":0,"status":"active"}"#;
        let answer = Answer {
            execution_id: "e",
            integration: &serde_json::from_str(integration).unwrap(),
            requested: RequestedScopes { required: &[], optional: &[] },
            call: &request.call,
            attempts: &attempts,
            duration_ms: 5,
            tokens: &["old", "token"].map(SecretString::from),
            reply,
            clock: &Clock::default(),
            redact_until,
        };
        let rendered = answer.render();
        let end = rendered.claim_end(request.call.target());
        let response = rendered.response;
        let stored = if let ClaimEnd::Stored(stored) = end { Some(stored) } else { None };
        (serde_json::from_str(&response.body).unwrap(), response.headers.get("retry-after").cloned(), stored)
    }

    fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        let headers = vec![("retry-after".to_owned(), "7".to_owned())];
        Reply { status, headers, body: body.into(), omitted: false, received_at: 0 }
    }

    #[test]
    fn only_retryable_answers_have_retry_after_and_only_others_are_stored() {
        for (method, status, retryable, outcome) in [
            ("POST", 200, false, "answered"),
            ("POST", 423, true, "answered"),
            ("POST", 429, true, "answered"),
            ("POST", 477, true, "answered"),
            ("POST", 499, false, "answered"),
            ("POST", 500, false, "unknown"),
            ("GET", 499, false, "answered"),
            ("GET", 500, true, "answered"),
        ] {
            let (body, retry_after, stored) = rendered(method, &reply(status, "text"));

            assert_eq!(body["retryable"], retryable, "{method} {status}");
            assert_eq!(body["outcome"], outcome, "{method} {status}");
            assert_eq!(body["hubspot"]["body_text"], "text", "{method} {status}");
            assert_eq!(retry_after, retryable.then(|| "7".to_owned()), "{method} {status}");
            assert_eq!(stored.is_some(), !retryable && method != "GET", "{method} {status}");
        }
    }

    #[test]
    fn a_body_too_large_to_be_stored_or_returned_is_omitted() {
        let (_, _, small) = rendered("POST", &reply(200, "text"));
        let (large, _, stored) = rendered("POST", &reply(200, "a".repeat(LARGEST_STORED)));
        let (unread, _, _) = rendered("POST", &Reply { omitted: true, ..reply(200, "") });
        let (largest, _, _) = rendered("POST", &reply(200, "\u{1}".repeat(LARGEST_ANSWER / 6)));

        assert!(small.unwrap().body.contains(r#""body_text":"text""#));
        assert_eq!(large["hubspot"]["body_text"].as_str().unwrap().len(), LARGEST_STORED);
        assert!(stored.unwrap().body.contains(r#""body_omitted":"too_large""#));
        assert_eq!(largest["hubspot"]["body_omitted"], "too_large");
        assert_eq!(unread["hubspot"]["body_omitted"], "too_large");
    }

    #[test]
    fn an_answer_is_stored_whole_up_to_a_limit_and_not_a_byte_beyond() {
        let (probe, _, _) = rendered("POST", &reply(200, "a"));
        let room = LARGEST_STORED - (probe.to_string().len() - 1);
        let stored = |length| rendered("POST", &reply(200, "a".repeat(length))).2.unwrap().body;

        assert_eq!(stored(room).len(), LARGEST_STORED);
        assert!(stored(room + 1).contains(r#""body_omitted":"too_large""#));
    }

    #[test]
    fn an_error_of_the_edge_is_not_sent_only_if_no_attempt_reached_hubspot() {
        let reply = Reply { headers: vec![("cf-ray".to_owned(), "8a1-FRA".to_owned())], ..reply(521, "<html>") };
        for (may_have_reached_hubspot, outcome) in [(false, "not_sent"), (true, "unknown")] {
            let attempts = Attempts { may_have_reached_hubspot, ..Attempts::default() };
            let (body, ..) = rendered_after(attempts, "POST", &reply, i64::MAX);
            assert_eq!(body["outcome"], outcome);
        }
    }

    #[test]
    fn every_token_of_the_execution_is_redacted() {
        let (body, _, _) = rendered("POST", &reply(200, "old token new"));

        assert_eq!(body["hubspot"]["body_text"], "[REDACTED] [REDACTED] new");
    }

    #[test]
    fn a_body_that_cannot_be_redacted_in_time_is_left_out() {
        let reply = reply(200, "%25".repeat(30_000));

        let (in_time, ..) = rendered("POST", &reply);
        let (too_late, ..) = rendered_after(Attempts::default(), "POST", &reply, 0);

        assert!(in_time["hubspot"]["body_text"].is_string());
        assert_eq!(too_late["hubspot"]["body_omitted"], "too_large");
        assert!(too_late["hubspot"]["body_text"].is_null());
    }
}
