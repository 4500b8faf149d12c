//! HubSpot's answer: what it says about limits, tokens and scopes.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use serde_json::Value;

/// HubSpot's errors are short. A body of megabytes is not parsed: as a tree it takes many times its memory.
const LONGEST_ERROR: usize = 256 * 1024;
/// The wait after a 423 without `Retry-After`, in seconds.
const LOCKED_SECONDS: u64 = 2;
/// The longest cool-down of a portal, in seconds.
pub(crate) const LONGEST_COOLDOWN: i64 = 900;

/// HubSpot's answer, as far as it was read.
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers that are returned to the caller, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, empty if it was omitted.
    pub(crate) body: Vec<u8>,
    /// Whether the body was too large to be read.
    pub(crate) omitted: bool,
}

impl Reply {
    /// The value of a header that is returned.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// `Retry-After` in seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.trim().parse().ok()
    }

    /// The seconds that HubSpot asks, or by its kind of answer implies, to wait before the next request.
    pub(crate) fn wait_seconds(&self) -> Option<u64> {
        match (self.status, self.retry_after()) {
            (429, None) => Some(self.rate_limit()),
            (423, None) => Some(LOCKED_SECONDS),
            (423 | 429 | 477 | 500..=599, Some(seconds)) => Some(seconds.max(1)),
            _ => None,
        }
    }

    /// Whether HubSpot says that the token has expired, which it checks before it acts.
    pub(crate) fn is_expired_authentication(&self) -> bool {
        text(&error_body(&self.body), "category") == "EXPIRED_AUTHENTICATION"
    }

    /// The length of a rate limit without `Retry-After`: a second, HubSpot's interval of ten, or for the daily one a
    /// quarter of an hour.
    fn rate_limit(&self) -> u64 {
        let body = error_body(&self.body);
        let policy = format!("{} {}", text(&body, "policyName"), text(&body, "message")).to_lowercase();
        if policy.contains("daily") {
            return LONGEST_COOLDOWN.unsigned_abs();
        }
        if policy.contains("secondly") && !policy.contains("ten_secondly") {
            return 1;
        }
        let interval = self.header("x-hubspot-ratelimit-interval-milliseconds");
        let millis: Option<u64> = interval.and_then(|value| value.trim().parse().ok());
        millis.map_or(10, |millis| millis.div_ceil(1000)).clamp(1, LONGEST_COOLDOWN.unsigned_abs())
    }
}

/// The headers of an answer that are returned to the caller.
pub(crate) fn returned_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let listed = ["content-type", "retry-after", "etag", "last-modified", "location", "content-disposition"];
    headers
        .iter()
        .filter(|(name, _)| listed.contains(&name.as_str()) || name.as_str().starts_with("x-hubspot-"))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// The scopes that HubSpot reports as missing (one or more of), from every place where it has listed them.
pub(crate) fn missing_scopes(status: u16, body: &[u8]) -> Option<Vec<String>> {
    if status != 403 {
        return None;
    }
    let body = error_body(body);
    if text(&body, "category") != "MISSING_SCOPES" {
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

/// A body parsed as one of HubSpot's errors; null if it is not JSON or too long.
fn error_body(body: &[u8]) -> Value {
    if body.len() > LONGEST_ERROR {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_default()
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec(), omitted: false }
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
    fn only_hubspots_own_word_says_that_the_token_has_expired() {
        assert!(reply(401, r#"{"category":"EXPIRED_AUTHENTICATION"}"#).is_expired_authentication());
        assert!(!reply(401, r#"{"category":"INVALID_AUTHENTICATION"}"#).is_expired_authentication());
        assert!(!reply(401, "").is_expired_authentication());
    }

    #[test]
    fn retry_after_is_reported_when_hubspot_sends_or_implies_it() {
        let reply = |status: u16, retry_after: Option<&str>| Reply {
            status,
            headers: retry_after.map(|value| ("retry-after".to_owned(), value.to_owned())).into_iter().collect(),
            body: Vec::new(),
            omitted: false,
        };

        for (status, retry_after, seconds) in [
            (423, None, Some(2)),
            (423, Some("7"), Some(7)),
            (477, Some("86400"), Some(86_400)),
            (477, None, None),
            (503, Some("0"), Some(1)),
            (503, Some("soon"), None),
            (200, Some("7"), None),
        ] {
            assert_eq!(reply(status, retry_after).wait_seconds(), seconds, "{status} {retry_after:?}");
        }
    }

    #[test]
    fn rate_limits_without_retry_after_last_as_long_as_their_policy() {
        let reply = |headers: &[(&str, &str)], body: &str| Reply {
            status: 429,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.as_bytes().to_vec(),
            omitted: false,
        };
        let ten =
            r#"{"policyName":"TEN_SECONDLY_ROLLING","message":"You have reached your ten_secondly_rolling limit."}"#;

        for (headers, body, seconds) in [
            (&[("retry-after", "7")][..], ten, 7),
            (&[], ten, 10),
            (&[("x-hubspot-ratelimit-interval-milliseconds", "5000")], ten, 5),
            (&[], r#"{"policyName":"DAILY"}"#, 900),
            (&[], r#"{"message":"You have reached your secondly limit."}"#, 1),
            (&[], "<html>", 10),
        ] {
            assert_eq!(reply(headers, body).wait_seconds(), Some(seconds), "{headers:?} {body}");
        }
    }
}
