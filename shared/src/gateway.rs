//! API Gateway's request and answer (HTTP API, payload format 2.0), byte for byte.
//!
//! Our own types, since ready ones normalise paths and panic on odd events before a handler runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::{Error, RequestId, RequestOutcome};

/// An event of API Gateway. Everything is optional: an odd event gets a problem, not a crash.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    #[serde(deserialize_with = "or_default")]
    raw_path: String,
    #[serde(deserialize_with = "or_default")]
    raw_query_string: String,
    #[serde(deserialize_with = "or_default")]
    headers: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(deserialize_with = "or_default")]
    is_base64_encoded: bool,
    #[serde(deserialize_with = "or_default")]
    request_context: Context,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    http: HttpDescription,
    #[serde(deserialize_with = "or_default")]
    authorizer: Authorizer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct HttpDescription {
    method: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Authorizer {
    jwt: Option<Jwt>,
    iam: Option<Iam>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Jwt {
    claims: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Iam {
    user_arn: Option<String>,
}

impl Event {
    /// Reads the event's JSON, the runtime's own text. Events of other sources have no method where this one has it.
    pub fn parse(event: &str) -> Result<Self, Error> {
        let parsed = serde_json::from_str(event).ok().filter(|event: &Self| !event.method().is_empty());
        parsed.ok_or_else(|| Error::InvalidRequest("The event is not an HTTP API (v2) event.".to_owned()))
    }

    /// The HTTP method.
    pub fn method(&self) -> &str {
        &self.request_context.http.method
    }

    /// The path. API Gateway hands it over percent-decoded.
    pub fn path(&self) -> &str {
        &self.raw_path
    }

    /// The query string as the client sent it.
    pub fn query(&self) -> &str {
        &self.raw_query_string
    }

    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The value of the one cookie of this name; none if it is missing or doubled.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut named = self.all_cookies().filter(|(key, _)| *key == name);
        match (named.next(), named.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Returns true if there is a cookie whose name begins so.
    pub fn has_cookie_like(&self, beginning: &str) -> bool {
        self.all_cookies().any(|(name, _)| name.starts_with(beginning))
    }

    /// The names and values of all cookies.
    fn all_cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let header = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
        let lines = self.cookies.iter().chain(header.map(|(_, value)| value));
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
    }

    /// The body as text, decoded if API Gateway encoded it; at most `limit` bytes.
    pub fn body(&self, limit: usize) -> Result<Cow<'_, str>, Error> {
        let too_large = || Error::RequestTooLarge(format!("The body may have at most {limit} bytes."));
        let body = self.body.as_deref().unwrap_or_default();
        if body.len() / 4 * 3 > limit.saturating_add(3) {
            return Err(too_large());
        }
        let text = if self.is_base64_encoded {
            let bytes = STANDARD.decode(body).map_err(|_| not_text())?;
            Cow::Owned(String::from_utf8(bytes).map_err(|_| not_text())?)
        } else {
            Cow::Borrowed(body)
        };
        if text.len() > limit { Err(too_large()) } else { Ok(text) }
    }

    /// A claim of the token that API Gateway verified, if it is one text, or a whole number, which is taken as its
    /// digits.
    pub fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        let claim = self.request_context.authorizer.jwt.as_ref()?.claims.get(name)?;
        let digits = || claim.as_u64().map(|number| Cow::Owned(number.to_string()));
        claim.as_str().map(Cow::Borrowed).or_else(digits)
    }

    /// The ARN of the caller that API Gateway authenticated by IAM.
    pub fn user_arn(&self) -> Option<&str> {
        self.request_context.authorizer.iam.as_ref()?.user_arn.as_deref()
    }
}

/// Treats `null` as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn not_text() -> Error {
    Error::InvalidRequest("body: JSON in UTF-8 is expected".to_owned())
}

/// The answer that API Gateway turns into HTTP.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// HTTP status.
    pub status_code: u16,
    /// HTTP headers.
    pub headers: BTreeMap<&'static str, String>,
    /// `Set-Cookie` lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<String>,
    /// The body, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl Response {
    /// An answer without a body, never stored by anyone on its way.
    pub fn empty(status_code: u16) -> Self {
        let headers = BTreeMap::from([("cache-control", "no-store".to_owned())]);
        Self { status_code, headers, cookies: Vec::new(), body: String::new() }
    }

    /// An answer of JSON.
    pub fn json(status_code: u16, body: &impl Serialize) -> Self {
        Self::text(status_code, "application/json", serde_json::to_string(body).unwrap_or_default())
    }

    /// An answer of text of some type.
    pub fn text(status_code: u16, content_type: &str, body: String) -> Self {
        Self { body, ..Self::empty(status_code) }.with("content-type", content_type)
    }

    /// The problem document of an error.
    pub fn problem(error: &Error, id: RequestId<'_>) -> Self {
        Self::from_problem(error, &error.problem(id, error.outcome()))
    }

    /// The problem document of an error that ended an automation request; `outcome` is what became of that.
    pub fn execution_problem(error: &Error, outcome: RequestOutcome, execution_id: &str) -> Self {
        let mut problem = error.problem(RequestId::Execution(execution_id), outcome);
        problem.outcome = Some(outcome);
        Self::from_problem(error, &problem)
    }

    fn from_problem(error: &Error, problem: &impl Serialize) -> Self {
        let response = Self::json(error.status(), problem).with("content-type", "application/problem+json");
        match error.retry_after() {
            Some(seconds) => response.with("retry-after", &seconds.to_string()),
            None => response,
        }
    }

    /// Sets a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: Value) -> Event {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_body_comes_as_it_was_sent_whether_encoded_or_not() {
        let text = r#"{"n": 1.0e2, "s": "\u00e9"}"#;
        let plain = event(serde_json::json!({"body": text, "isBase64Encoded": false}));
        let encoded = event(serde_json::json!({"body": STANDARD.encode(text), "isBase64Encoded": true}));

        assert_eq!(plain.body(100).unwrap(), text);
        assert_eq!(encoded.body(100).unwrap(), text);
        assert_eq!(encoded.body(10).unwrap_err().code(), "request_too_large");
        assert_eq!(plain.body(text.len()).unwrap(), text);
        assert_eq!(plain.body(text.len() - 1).unwrap_err().code(), "request_too_large");
    }

    #[test]
    fn a_cookie_is_found_in_either_place_and_duplicates_are_ignored() {
        let list = event(serde_json::json!({"cookies": ["a=1", "b=2"]}));
        let header = event(serde_json::json!({"headers": {"Cookie": "a=1; b=2=3"}}));
        let doubled = event(serde_json::json!({"cookies": ["a=1", "a=2"]}));

        assert_eq!(list.cookie("b"), Some("2"));
        assert_eq!(header.cookie("b"), Some("2=3"));
        assert_eq!(doubled.cookie("a"), None);
    }

    #[test]
    fn null_fields_are_treated_as_absent() {
        let event = event(serde_json::json!({
            "rawPath": null, "rawQueryString": null, "headers": null, "cookies": null, "body": null,
            "isBase64Encoded": null, "requestContext": {"http": {"method": "GET"}, "authorizer": null}
        }));

        assert_eq!((event.method(), event.path(), event.cookie("a"), event.claim("sub")), ("GET", "", None, None));
    }

    #[test]
    fn claims_are_texts_or_whole_numbers() {
        let event = event(serde_json::json!({
            "requestContext": {"authorizer": {"jwt": {"claims": {"role": ["admin"], "n": 1, "f": 1.5, "sub": "u"}}}}
        }));

        assert_eq!(event.claim("role"), None);
        assert_eq!(event.claim("n").as_deref(), Some("1"));
        assert_eq!(event.claim("f"), None);
        assert_eq!(event.claim("sub").as_deref(), Some("u"));
    }

    #[test]
    fn an_event_is_read_as_it_came() {
        let event = event(serde_json::json!({
            "rawPath": "/v1/x", "rawQueryString": "a=%20",
            "requestContext": {"http": {"method": "POST"}, "authorizer": {"iam": {"userArn": "arn"}}}
        }));

        assert_eq!((event.method(), event.path(), event.query()), ("POST", "/v1/x", "a=%20"));
        assert_eq!((event.user_arn(), &*event.body(0).unwrap()), (Some("arn"), ""));
    }

    #[test]
    fn bodies_that_are_no_text_are_refused_as_such() {
        // The length is looked at before the text is decoded, roughly at first.
        let of = |length: usize| {
            event(serde_json::json!({"body": STANDARD.encode(vec![0xff; length]), "isBase64Encoded": true}))
        };
        assert_eq!(of(9).body(6).unwrap_err().code(), "invalid_request");
        assert_eq!(of(10).body(6).unwrap_err().code(), "request_too_large");
        for body in ["=".to_owned(), STANDARD.encode([0xff])] {
            let event = event(serde_json::json!({"body": body, "isBase64Encoded": true}));
            assert!(
                matches!(event.body(100), Err(Error::InvalidRequest(detail)) if detail.starts_with("body")),
                "{body}"
            );
        }
    }

    #[test]
    fn answers_have_their_type_and_are_stored_by_nobody() {
        let json = Response::json(201, &1);
        let problem = Response::problem(&Error::unavailable(7, "a test"), RequestId::Request("id"));
        let execution = Response::execution_problem(&Error::NotFound, RequestOutcome::NotSent, "id");

        assert_eq!(
            (json.status_code, json.body.as_str(), json.headers["content-type"].as_str()),
            (201, "1", "application/json")
        );
        assert_eq!(json.headers["cache-control"], "no-store");
        assert_eq!((problem.status_code, problem.headers["retry-after"].as_str()), (503, "7"));
        assert_eq!(problem.headers["content-type"], "application/problem+json");
        assert!(
            problem.body.contains("\"request_id\":\"id\"") && !problem.body.contains("\"outcome\""),
            "{}",
            problem.body
        );
        assert!(
            execution.status_code == 404 && execution.body.contains("\"execution_id\":\"id\""),
            "{}",
            execution.body
        );
    }
}
