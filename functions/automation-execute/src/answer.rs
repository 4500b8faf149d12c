//! Our answer around HubSpot's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::error::RequestOutcome;
use shared::gateway::Response;
use shared::integration::{Integration, IntegrationId};
use shared::store::executions::StoredResponse;

use crate::forward::{self, Received};
use guard::redact::Echoes;
use guard::request::Call;
use guard::scopes::{Asked, Remedy};

/// What Lambda serialises may have at most so many bytes: its limit is 6 MB.
const LARGEST_ANSWER: usize = 6_000_000;
/// What is kept for a replay may have at most so many bytes: an item of DynamoDB has 400 KB.
const LARGEST_KEPT: usize = 300_000;

/// All that an answer is made of.
pub(crate) struct Answer<'a> {
    pub(crate) execution_id: &'a str,
    pub(crate) integration: &'a Integration,
    pub(crate) asked: Asked<'a>,
    pub(crate) call: &'a Call,
    pub(crate) attempts: u32,
    pub(crate) duration_ms: i64,
    pub(crate) retry_after: Option<u64>,
    pub(crate) token: &'a SecretString,
    pub(crate) received: &'a Received,
}

#[derive(Serialize)]
struct Body<'a> {
    execution_id: &'a str,
    integration_id: &'a IntegrationId,
    outcome: RequestOutcome,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    attempts: u32,
    duration_ms: i64,
    ignored_credentials: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_scopes: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_scopes: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<Remedy>,
    hubspot: Hubspot<'a>,
}

#[derive(Serialize)]
struct Hubspot<'a> {
    status: u16,
    headers: BTreeMap<&'a str, String>,
    #[serde(flatten)]
    body: Option<Shown<'a>>,
}

#[derive(Serialize)]
enum Shown<'a> {
    #[serde(rename = "body")]
    Json(&'a RawValue),
    #[serde(rename = "body_text")]
    Text(&'a str),
    #[serde(rename = "body_base64")]
    Base64(String),
    #[serde(rename = "body_omitted")]
    Omitted(&'static str),
}

/// The answer to an execution that HubSpot answered, whatever it said.
pub(crate) fn response(answer: &Answer<'_>) -> Response {
    let received = answer.received;
    let echoes = Echoes::of(answer.token);
    let body = echoes.scrub(&received.body);
    let missing_scopes = missing_scopes(received.status, &body);
    let shown = if received.omitted { Some(Shown::Omitted("too_large")) } else { shown(received, &body) };
    let text = render(answer, &echoes, missing_scopes.as_deref(), shown)
        .or_else(|| render(answer, &echoes, missing_scopes.as_deref(), Some(Shown::Omitted("too_large"))))
        .unwrap_or_default();
    let response = Response::text(200, "application/json", text);
    match answer.retry_after.filter(|_| is_retryable(answer)) {
        Some(seconds) => response.with("retry-after", &seconds.to_string()),
        None => response,
    }
}

/// The answer as it is kept for replays, if that is its end: whole, or without HubSpot's body if it is large.
pub(crate) fn kept(answer: &Answer<'_>, response: &Response) -> Option<StoredResponse> {
    if is_retryable(answer) {
        return None;
    }
    let body = if response.body.len() <= LARGEST_KEPT {
        response.body.clone()
    } else {
        let echoes = Echoes::of(answer.token);
        let missing_scopes = missing_scopes(answer.received.status, &echoes.scrub(&answer.received.body));
        render(answer, &echoes, missing_scopes.as_deref(), Some(Shown::Omitted("too_large")))?
    };
    let outcome = outcome(answer.received.status, answer.call.target().is_idempotent());
    Some(StoredResponse { status: response.status_code, outcome, body })
}

/// Whether HubSpot says that the token has expired, which it tells before it acts.
pub(crate) fn is_expired_authentication(received: &Received) -> bool {
    forward::words(&received.body).get("category").and_then(Value::as_str) == Some("EXPIRED_AUTHENTICATION")
}

/// Our answer, unless it is too large for Lambda.
fn render(
    answer: &Answer<'_>,
    echoes: &Echoes,
    missing_scopes: Option<&[String]>,
    shown: Option<Shown<'_>>,
) -> Option<String> {
    let received = answer.received;
    let retryable = is_retryable(answer);
    let headers = received
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(&echoes.scrub(value.as_bytes())).into_owned()));
    let body = Body {
        execution_id: answer.execution_id,
        integration_id: &answer.integration.integration_id,
        outcome: outcome(received.status, answer.call.target().is_idempotent()),
        retryable,
        retry_after_seconds: answer.retry_after.filter(|_| retryable),
        attempts: answer.attempts,
        duration_ms: answer.duration_ms,
        ignored_credentials: answer.call.ignored(),
        missing_scopes,
        granted_scopes: missing_scopes.map(|_| answer.integration.scopes.as_slice()),
        remedy: missing_scopes.and_then(|listed| remedy(listed, &answer.integration.scopes, answer.asked)),
        hubspot: Hubspot { status: received.status, headers: headers.collect(), body: shown },
    };
    let mut limited = Limited { text: Vec::new(), serialised: 2 };
    serde_json::to_writer(&mut limited, &body).ok()?;
    String::from_utf8(limited.text).ok()
}

/// A 5xx to a request that is not harmless to repeat says nothing about what HubSpot did.
pub(crate) fn outcome(status: u16, idempotent: bool) -> RequestOutcome {
    if status >= 500 && !idempotent { RequestOutcome::Unknown } else { RequestOutcome::Answered }
}

fn is_retryable(answer: &Answer<'_>) -> bool {
    match answer.received.status {
        423 | 429 | 477 => true,
        status => status >= 500 && answer.call.target().is_idempotent(),
    }
}

fn shown<'a>(received: &Received, body: &'a [u8]) -> Option<Shown<'a>> {
    if body.is_empty() {
        return None;
    }
    let Ok(text) = std::str::from_utf8(body) else { return Some(Shown::Base64(STANDARD.encode(body))) };
    let kind = received.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) if is_json => Some(Shown::Json(json)),
        _ => Some(Shown::Text(text)),
    }
}

/// The scopes that HubSpot says are missing (one or more of), in all the places where it has said so.
fn missing_scopes(status: u16, body: &[u8]) -> Option<Vec<String>> {
    if status != 403 {
        return None;
    }
    let body = forward::words(body);
    if body.get("category").and_then(Value::as_str) != Some("MISSING_SCOPES") {
        return None;
    }
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut scopes = BTreeSet::new();
    for place in errors.iter().chain([&body]).flat_map(|place| [Some(place), place.get("context")]).flatten() {
        for name in ["requiredGranularScopes", "requiredScopes", "missingScopes"] {
            let listed = place.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            scopes.extend(listed.iter().filter_map(Value::as_str));
        }
    }
    Some(scopes.into_iter().map(str::to_owned).collect())
}

/// What helps against HubSpot's refusal. What is listed and granted cannot be what was missing.
fn remedy(listed: &[String], granted: &[String], asked: Asked<'_>) -> Option<Remedy> {
    let missing: Vec<&str> = listed.iter().filter(|scope| !granted.contains(scope)).map(String::as_str).collect();
    asked.remedy_for_one(&missing)
}

/// A text that is given up as soon as it gets too large for Lambda: rendered whole, a body of control characters would
/// take six times its memory first.
struct Limited {
    text: Vec<u8>,
    serialised: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.serialised += serialised_len(bytes);
        if self.serialised > LARGEST_ANSWER {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length of a text within the JSON string that Lambda makes of it.
fn serialised_len(text: &[u8]) -> usize {
    let escaped = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + text.iter().map(escaped).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use guard::request::AutomationRequest;

    #[test]
    fn the_length_is_that_of_what_lambda_serialises() {
        for text in ["", "plain", "\"quoted\" \\ and \n\t\r\u{1}\u{8}\u{c}", "ünïcode"] {
            assert!(serialised_len(text.as_bytes()) + 2 >= serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
        assert_eq!(serialised_len(b"a\"\n\x01"), 11);
    }

    #[test]
    fn a_body_is_json_only_where_it_says_so_and_is() {
        let received = |kind: &str| Received {
            status: 200,
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            body: Vec::new(),
            omitted: false,
        };

        assert!(matches!(shown(&received("application/json;charset=utf-8"), b"{\"n\":1.0e2}"), Some(Shown::Json(_))));
        assert!(matches!(shown(&received("application/json"), b"{"), Some(Shown::Text("{"))));
        assert!(matches!(shown(&received("text/html"), b"{}"), Some(Shown::Text("{}"))));
        assert!(matches!(shown(&received("application/json"), b"\xff"), Some(Shown::Base64(_))));
        assert!(shown(&received("application/json"), b"").is_none());
    }

    #[test]
    fn missing_scopes_are_found_in_every_place_that_hubspot_has_used() {
        for body in [
            r#"{"category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":["b","a"]}}]}"#,
            r#"{"category":"MISSING_SCOPES","context":{"requiredScopes":["a"],"missingScopes":["b"]}}"#,
            r#"{"category":"MISSING_SCOPES","requiredScopes":["a","b","a"]}"#,
        ] {
            assert_eq!(missing_scopes(403, body.as_bytes()).unwrap(), ["a", "b"], "{body}");
        }
    }

    #[test]
    fn an_answer_about_anything_else_names_no_missing_scopes() {
        let body = br#"{"category":"MISSING_SCOPES","requiredScopes":["a"]}"#;

        assert_eq!(missing_scopes(401, body), None);
        assert_eq!(missing_scopes(403, br#"{"category":"BANNED","requiredScopes":["a"]}"#), None);
        assert_eq!(missing_scopes(403, b"<html>MISSING_SCOPES</html>"), None);
        assert_eq!(missing_scopes(403, br#"{"category":"MISSING_SCOPES","errors":{"context":1}}"#), Some(Vec::new()));
    }

    #[test]
    fn the_remedy_is_the_easiest_that_may_help() {
        let of = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        let (required, optional, granted) = (of(&["asked", "granted"]), of(&["plan"]), of(&["granted"]));
        let asked = Asked { required: &required, optional: &optional };

        for (listed, expected) in [
            (&["operator", "plan", "asked"][..], Some(Remedy::Reconnect)),
            (&["operator", "plan", "granted"], Some(Remedy::HubspotPlan)),
            (&["operator", "granted"], Some(Remedy::AskOperator)),
            (&["granted"], None),
            (&[], None),
        ] {
            assert_eq!(remedy(&of(listed), &granted, asked), expected, "{listed:?}");
        }
    }

    /// What the answer to a call of this method says, how long to wait before another, and what is kept of it.
    fn told(method: &str, received: &Received) -> (Value, Option<String>, Option<StoredResponse>) {
        let origin = "https://api.hubapi.com".parse().unwrap();
        let body =
            format!(r#"{{"account_id":"a","request":{{"method":"{method}","endpoint":"/crm/v3/objects/contacts"}}}}"#);
        let request = AutomationRequest::parse(&body, &origin).unwrap();
        let integration = r#"{"account_id":"a","sequence":1,"integration_id":"i","created_at":0,"status":"active"}"#;
        let answer = Answer {
            execution_id: "e",
            integration: &serde_json::from_str(integration).unwrap(),
            asked: Asked { required: &[], optional: &[] },
            call: &request.call,
            attempts: 1,
            duration_ms: 5,
            retry_after: Some(7),
            token: &SecretString::from("token"),
            received,
        };
        let response = response(&answer);
        let kept = kept(&answer, &response);
        (serde_json::from_str(&response.body).unwrap(), response.headers.get("retry-after").cloned(), kept)
    }

    fn received(status: u16, body: impl Into<Vec<u8>>) -> Received {
        Received { status, headers: Vec::new(), body: body.into(), omitted: false }
    }

    #[test]
    fn only_an_answer_that_may_be_asked_for_again_says_when_and_is_not_kept() {
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
            let (body, retry_after, kept) = told(method, &received(status, "text"));

            assert_eq!(body["retryable"], retryable, "{method} {status}");
            assert_eq!(body["outcome"], outcome, "{method} {status}");
            assert_eq!(body["hubspot"]["body_text"], "text", "{method} {status}");
            assert_eq!(retry_after, retryable.then(|| "7".to_owned()), "{method} {status}");
            assert_eq!(kept.is_some(), !retryable, "{method} {status}");
        }
    }

    #[test]
    fn a_body_too_large_to_be_kept_or_told_is_left_out_of_the_answer() {
        let (_, _, small) = told("POST", &received(200, "text"));
        let (large, _, kept) = told("POST", &received(200, "a".repeat(LARGEST_KEPT)));
        let (largest, _, _) = told("POST", &received(200, "\u{1}".repeat(LARGEST_ANSWER / 6)));

        assert!(small.unwrap().body.contains(r#""body_text":"text""#));
        assert_eq!(large["hubspot"]["body_text"].as_str().unwrap().len(), LARGEST_KEPT);
        assert!(kept.unwrap().body.contains(r#""body_omitted":"too_large""#));
        assert_eq!(largest["hubspot"]["body_omitted"], "too_large");
    }

    #[test]
    fn a_text_is_taken_up_to_lambdas_limit_and_not_a_byte_beyond() {
        let mut limited = Limited { text: Vec::new(), serialised: LARGEST_ANSWER - 3 };

        assert_eq!(
            io::Write::write(&mut limited, b"ab\n").map_err(|error| error.kind()),
            Err(io::ErrorKind::FileTooLarge)
        );
        let mut limited = Limited { text: Vec::new(), serialised: LARGEST_ANSWER - 3 };
        assert_eq!(io::Write::write(&mut limited, b"abc").unwrap(), 3);
        assert_eq!(limited.text, b"abc");
        assert!(io::Write::write(&mut limited, b"d").is_err());
    }

    #[test]
    fn only_hubspots_own_word_says_that_the_token_has_expired() {
        assert!(is_expired_authentication(&received(401, r#"{"category":"EXPIRED_AUTHENTICATION"}"#)));
        assert!(!is_expired_authentication(&received(401, r#"{"category":"INVALID_AUTHENTICATION"}"#)));
        assert!(!is_expired_authentication(&received(401, "")));
    }
}
