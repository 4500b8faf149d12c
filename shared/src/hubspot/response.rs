//! The meaning of the token endpoint's answers, pure.

use guard::hubs::Hub;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::token_error::TokenError;
use crate::token_error::TokenErrorKind::{AnswerLost, InvalidClient, Misconfigured, Revoked, Transient};

/// The longest token that is accepted; HubSpot's tokens are far shorter.
const LONGEST_TOKEN: usize = 4096;
/// Tokens said to live longer than this are not believed.
const LONGEST_LIFE: i64 = 30 * 86_400;

/// A token response.
#[derive(Clone)]
pub struct Grant {
    /// Authorizes calls to the API.
    pub access_token: SecretString,
    /// None if HubSpot sent none: the old one stays good.
    pub refresh_token: Option<SecretString>,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    /// None if HubSpot did not say.
    pub scopes: Option<Vec<String>>,
    /// None if HubSpot did not say.
    pub hub_id: Option<u64>,
    /// The regional hub that HubSpot named instead of the one that was asked.
    pub named_hub: Option<Hub>,
}

/// A successful answer of the token endpoint.
pub(super) struct EndpointSuccess {
    pub(super) body: Vec<u8>,
    /// The hub that another hub's token endpoint has named.
    pub(super) named_hub: Option<Hub>,
}

/// An answer of the token endpoint, as it came.
pub(super) struct EndpointReply {
    pub(super) status: u16,
    pub(super) retry_after: Option<i64>,
    /// The hub that a 488 names for the portal, if it is listed.
    pub(super) correct_hub: Option<Hub>,
    /// The id that the edge gave the request, if it may be logged.
    pub(super) cf_ray: Option<String>,
    pub(super) body: Vec<u8>,
}

pub(super) fn lost(cause: impl Into<String>) -> TokenError {
    TokenError::of(AnswerLost, cause)
}

/// Judges an answer that is no success. The unknown case is the safe one: nobody is marked for it.
pub(super) fn judge(reply: &EndpointReply) -> TokenError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        error: Value,
        status: Value,
        category: Value,
        #[serde(rename = "subCategory")]
        sub_category: Value,
    }
    let status = reply.status;
    let parsed = serde_json::from_slice::<Body>(&reply.body);
    let is_json = parsed.is_ok();
    let body = parsed.unwrap_or_default();
    let error = log_token(&body.error);
    // The general shape of HubSpot's errors has the status "error" and the reason in its subcategory.
    let reasons = [&body.status, &body.sub_category, &body.category].map(log_token);
    let is = |words: &[&str]| reasons.iter().any(|reason| words.contains(reason));
    let [reason, sub_category, category] = reasons;
    let mut cause =
        format!("HTTP {status}, error {error}, status {reason}, category {category}, subCategory {sub_category}");
    if let Some(cf_ray) = &reply.cf_ray {
        cause.push_str(", cf-ray ");
        cause.push_str(cf_ray);
    }
    let kind = match (status, error) {
        // A page of the edge is not HubSpot's answer, and not our mistake.
        (403, _) if !is_json => Transient,
        (408 | 409 | 423 | 425 | 429 | 477 | 488, _) => Transient,
        (400..=499, "invalid_grant" | "access_denied") => Revoked,
        (400..=499, _) if is(&["BAD_REFRESH_TOKEN", "BAD_HUB", "INVALID_TOKEN", "EXPIRED_AUTH_CODE"]) => Revoked,
        (400..=499, "invalid_client") => InvalidClient,
        (400..=499, _) if is(&["BAD_CLIENT_ID", "BAD_CLIENT_SECRET"]) => InvalidClient,
        // `unauthorized` too: it does not say whether the app or the authorization is meant.
        (400..=499, _) => Misconfigured,
        _ => Transient,
    };
    let retry_after = if kind == Transient { reply.retry_after } else { None };
    TokenError { kind, retry_after, cause }
}

/// A HubSpot text that may be logged: one short word, or nothing.
fn log_token(value: &Value) -> &str {
    match value.as_str() {
        Some(text) if text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') => text,
        _ => "-",
    }
}

/// HubSpot's answer, field by field, before any of it is validated.
#[derive(Deserialize)]
pub(super) struct TokenResponse {
    access_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    scopes: Value,
    #[serde(default)]
    hub_id: Value,
}

impl TokenResponse {
    pub(super) fn hub_id(&self) -> Option<u64> {
        self.hub_id.as_u64().or_else(|| self.hub_id.as_str()?.parse().ok())
    }

    /// The scopes, if they can be read: an optional field must not cost a refresh token that came with it.
    pub(super) fn scopes(&self) -> Option<Vec<String>> {
        let scope = |value: &Value| {
            let text = value.as_str()?;
            let fits = text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic());
            fits.then(|| text.to_owned())
        };
        match &self.scopes {
            Value::String(text) => text.split_whitespace().map(|one| scope(&Value::from(one))).collect(),
            Value::Array(list) => list.iter().map(scope).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        }
    }
}

pub(super) fn parse(body: &[u8]) -> Result<TokenResponse, TokenError> {
    // serde's own words would quote tokens.
    serde_json::from_slice(body).map_err(|_| lost("an answer that is no JSON of tokens"))
}

/// Believes an answer, or not: nothing is stored from one that is incomplete.
pub(super) fn grant(reply: &EndpointSuccess) -> Result<Grant, TokenError> {
    let answer = parse(&reply.body)?;
    let sound = |token: &SecretString| {
        let text = token.expose_secret();
        (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let (scopes, hub_id) = (answer.scopes(), answer.hub_id());
    let access_token = answer.access_token.filter(sound);
    let access_token = access_token.ok_or_else(|| lost("an answer without an access token"))?;
    let refresh_token = answer.refresh_token.filter(|token| !token.expose_secret().is_empty());
    if refresh_token.as_ref().is_some_and(|token| !sound(token)) {
        return Err(lost("malformed refresh_token"));
    }
    let expires_in = answer.expires_in.as_i64().filter(|seconds| (1..=LONGEST_LIFE).contains(seconds));
    let expires_in = expires_in.ok_or_else(|| lost("an answer with an unbelievable expires_in"))?;
    let bearer = answer.token_type.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer && !answer.token_type.is_null() {
        return Err(lost("an answer whose token_type is not bearer"));
    }
    Ok(Grant { access_token, refresh_token, expires_in, scopes, hub_id, named_hub: reply.named_hub })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(body: &[u8]) -> Result<Grant, TokenError> {
        super::grant(&EndpointSuccess { body: body.to_vec(), named_hub: None })
    }

    fn reply(status: u16, body: &str) -> EndpointReply {
        EndpointReply { status, retry_after: None, correct_hub: None, cf_ray: None, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn the_edges_id_ends_the_cause() {
        let with = EndpointReply { cf_ray: Some("8a1-FRA".to_owned()), ..reply(403, "<html>") };

        let (with, without) = (judge(&with).cause, judge(&reply(403, "<html>")).cause);

        assert_eq!(with, format!("{without}, cf-ray 8a1-FRA"));
    }

    #[test]
    fn only_a_clear_word_about_the_grant_revokes() {
        let kind = |status, body: &str| judge(&reply(status, body)).kind;

        for (status, body, expected) in [
            (400, r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#, Revoked),
            (400, r#"{"status":"BAD_REFRESH_TOKEN"}"#, Revoked),
            (403, r#"{"error":"access_denied","status":"BAD_HUB"}"#, Revoked),
            (401, r#"{"error":"invalid_client","status":"BAD_CLIENT_SECRET"}"#, InvalidClient),
            (400, r#"{"status":"BAD_CLIENT_ID"}"#, InvalidClient),
            (400, r#"{"error":"invalid_request"}"#, Misconfigured),
            (400, r#"{"status":"error","category":"VALIDATION_ERROR","subCategory":"INVALID_TOKEN"}"#, Revoked),
            (400, r#"{"status":"EXPIRED_AUTH_CODE"}"#, Revoked),
            (400, r#"{"status":"error","category":"VALIDATION_ERROR"}"#, Misconfigured),
            (401, r#"{"error":"unauthorized"}"#, Misconfigured),
            (404, "<html>", Misconfigured),
            (400, "", Misconfigured),
            (429, r#"{"error":"invalid_grant"}"#, Transient),
            (408, "", Transient),
            (409, r#"{"error":"invalid_grant"}"#, Transient),
            (423, "", Transient),
            (425, "", Transient),
            (477, "", Transient),
            (500, r#"{"error":"invalid_grant"}"#, Transient),
            (503, "", Transient),
            (302, "", Transient),
            (204, "", Transient),
        ] {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_echoed_secret_does_not_reach_the_log() {
        let refusal = judge(&reply(400, r#"{"error":"pat-na1-s3cret","status":{"a":"s3cret"}}"#));

        assert!(!format!("{refusal:?}").contains("s3cret"));
    }

    #[test]
    fn only_one_short_word_is_logged() {
        let (longest, longer) = ("a".repeat(40), "a".repeat(41));
        for (text, expected) in
            [("BAD_HUB", "BAD_HUB"), (&longest, &*longest), (&longer, "-"), ("a b", "-"), ("a1", "-")]
        {
            assert_eq!(log_token(&Value::from(text)), expected, "{text}");
        }
        assert_eq!(log_token(&Value::from(1)), "-");
    }

    #[test]
    fn nothing_is_believed_of_an_answer_that_is_not_complete() {
        let good = r#"{"access_token":"a","refresh_token":"r","expires_in":1800,"token_type":"Bearer","hub_id":7,"scopes":["x","y"]}"#;
        let grant_of = |body: &str| grant(body.as_bytes());

        let read = grant_of(good).ok().unwrap();
        assert_eq!((read.expires_in, read.hub_id, read.scopes.unwrap().len()), (1800, Some(7), 2));
        for bad in [
            "[]".to_owned(),
            "<html>".to_owned(),
            good.replace("\"a\"", "\"\""),
            good.replace("\"a\"", "\"a b\""),
            good.replace("\"a\"", "7"),
            good.replace("\"r\"", "\"r r\""),
            good.replace("1800", "0"),
            good.replace("1800", "-5"),
            good.replace("1800", "\"1800\""),
            good.replace("1800", "1000000000000"),
            good.replace("Bearer", "mac"),
            good.replace("\"a\"", &format!("\"{}\"", "a".repeat(LONGEST_TOKEN + 1))),
        ] {
            // HubSpot may have acted, so a refresh token that is good once only may be spent.
            assert!(matches!(grant_of(&bad), Err(error) if error.kind == AnswerLost), "{bad}");
        }
    }

    #[test]
    fn what_is_optional_costs_nothing_when_it_is_absent_or_odd() {
        let grant_of = |body: &str| grant(body.as_bytes()).ok().unwrap();

        let bare = grant_of(r#"{"access_token":"a","refresh_token":"r","expires_in":1}"#);
        let odd = grant_of(r#"{"access_token":"a","refresh_token":"","expires_in":1,"scopes":7,"hub_id":[]}"#);
        let text = grant_of(r#"{"access_token":"a","expires_in":1,"token_type":"bearer","scopes":"x y"}"#);

        assert!(bare.refresh_token.is_some() && bare.scopes.is_none());
        assert!(odd.refresh_token.is_none() && odd.scopes.is_none() && odd.hub_id.is_none());
        assert_eq!(text.scopes.unwrap(), ["x", "y"]);
    }

    #[test]
    fn values_at_a_limit_are_accepted_and_values_beyond_it_are_not() {
        let good = r#"{"access_token":"a","refresh_token":"r","expires_in":2592000,"scopes":["S"],"hub_id":"7"}"#;
        let scopes = |scope: &str| grant(good.replace('S', scope).as_bytes()).ok().unwrap().scopes;

        assert_eq!(grant(good.as_bytes()).ok().unwrap().expires_in, 2_592_000);
        assert!(grant(good.replace("2592000", "2592001").as_bytes()).is_err());
        assert_eq!(grant(good.as_bytes()).ok().unwrap().hub_id, Some(7));
        assert_eq!(grant(good.as_bytes()).ok().unwrap().refresh_token.unwrap().expose_secret(), "r");
        assert_eq!(scopes(&"s".repeat(200)).unwrap(), ["s".repeat(200)]);
        assert_eq!(scopes(&"s".repeat(201)), None);
        assert_eq!(scopes("s s"), None);
    }
}
