//! HubSpot's answer: what it says about limits, tokens and scopes.

use std::collections::BTreeSet;

use guard::hubs::Hub;
use guard::target::Target;
use reqwest::header::HeaderMap;
use serde_json::Value;
use shared::{cf_ray, correct_hub, retry_after};

/// HubSpot's errors are short. A body of megabytes is not parsed: as a tree it takes many times its memory.
const LONGEST_ERROR: usize = 256 * 1024;
/// The wait after a 423 without `Retry-After`, in seconds.
const LOCKED_SECONDS: u64 = 2;
/// The length of a limit that names neither `Retry-After` nor an interval, in seconds.
const ORDINARY_LIMIT: u64 = 10;
/// The length of the limit per second, which comes without `Retry-After`, in seconds.
const SECONDLY_LIMIT: u64 = 1;
/// The longest cool-down of a portal, in seconds.
pub(crate) const LONGEST_COOLDOWN: u64 = 900;

/// HubSpot's answer, as far as it was read.
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers that are returned to the caller, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, empty if it was omitted.
    pub(crate) body: Vec<u8>,
    /// True if the body was too large to be read.
    pub(crate) omitted: bool,
    /// When it came, in epoch seconds.
    pub(crate) received_at: i64,
}

/// The requests that a rate limit stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitScope {
    /// Searches of the portal, five in a second.
    Searches,
    /// Every call to the portal.
    Portal,
}

/// A limit that every function has to respect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) scope: LimitScope,
    pub(crate) seconds: u64,
}

/// How HubSpot rejects a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The token has expired.
    Expired,
    /// The token is not accepted.
    Invalid,
}

impl Reply {
    /// The value of a header that is returned.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// `Retry-After` in seconds, of any form; a limit per second without a valid one lasts a second.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let sent = self.header("retry-after").and_then(|value| retry_after::seconds(value, self.received_at));
        sent.or_else(|| (self.is_limit() && self.is_secondly()).then_some(SECONDLY_LIMIT))
    }

    /// The seconds that HubSpot asks, or by its kind of answer implies, to wait before the next request.
    pub(crate) fn wait_seconds(&self) -> Option<u64> {
        match (self.status, self.retry_after()) {
            (429 | 477, None) => Some(self.rate_limit()),
            (423, None) => Some(LOCKED_SECONDS),
            (423 | 429 | 477 | 500..=599, Some(seconds)) => Some(seconds),
            _ => None,
        }
    }

    /// The limit that a 429 or 477 of HubSpot's sets for a call to `target`. One of the edge is not about the portal.
    pub(crate) fn limit(&self, target: &Target) -> Option<Limit> {
        if !self.is_limit() || self.is_from_edge() {
            return None;
        }
        let search = self.status == 429 && self.is_secondly() && target.is_search();
        let scope = if search { LimitScope::Searches } else { LimitScope::Portal };
        Some(Limit { scope, seconds: self.wait_seconds()?.min(LONGEST_COOLDOWN) })
    }

    /// How HubSpot rejects the token, which it checks before it acts.
    pub(crate) fn rejection(&self) -> Option<Rejection> {
        if self.status != 401 {
            return None;
        }
        match text(&error_body(&self.body), "category") {
            "EXPIRED_AUTHENTICATION" => Some(Rejection::Expired),
            "INVALID_AUTHENTICATION" => Some(Rejection::Invalid),
            _ => None,
        }
    }

    /// Returns true if the edge in front of HubSpot answers that it could not reach HubSpot: 521 refused, 523
    /// unreachable, 525 and 526 TLS.
    pub(crate) fn never_reached_hubspot(&self) -> bool {
        matches!(self.status, 521 | 523 | 525 | 526) && self.is_from_edge()
    }

    /// Returns true if it lacks HubSpot's marks: it has no correlation id and no JSON body.
    fn is_from_edge(&self) -> bool {
        let json = self.body.first() == Some(&b'{') && self.content_type().ends_with("json");
        !json && self.header("x-hubspot-correlation-id").is_none() && (self.status >= 500 || self.is_page())
    }

    /// Returns true if the edge's mark is on it: a page, with the id that its support asks for.
    fn is_page(&self) -> bool {
        self.header(cf_ray::HEADER).is_some() && self.content_type().starts_with("text/")
    }

    /// The media type in lower case, without parameters.
    pub(crate) fn content_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The hub that a 488 names for the portal, if it is listed.
    pub(crate) fn correct_hub(&self) -> Option<Hub> {
        // Every answer is asked: only a 488 is searched for its header.
        let header = if self.status == 488 { self.header(correct_hub::HEADER) } else { None };
        correct_hub::named(self.status, header, &self.body)
    }

    /// The id that the edge gave the request, for its support; only if the text may be logged.
    pub(crate) fn cf_ray(&self) -> Option<&str> {
        self.header(cf_ray::HEADER).and_then(cf_ray::parse)
    }

    /// Returns true if it asks to wait for the whole portal's sake: a rate limit, or a portal that is being moved.
    fn is_limit(&self) -> bool {
        matches!(self.status, 429 | 477)
    }

    fn is_secondly(&self) -> bool {
        let policy = self.policy();
        policy.contains("secondly") && !policy.contains("ten_secondly")
    }

    /// Name and message of the limit, in lower case.
    fn policy(&self) -> String {
        let body = error_body(&self.body);
        format!("{} {}", text(&body, "policyName"), text(&body, "message")).to_lowercase()
    }

    /// The length of a limit without a valid `Retry-After`: HubSpot's interval, or for the daily one a quarter of an hour.
    fn rate_limit(&self) -> u64 {
        if self.policy().contains("daily") {
            return LONGEST_COOLDOWN;
        }
        let interval = self.header("x-hubspot-ratelimit-interval-milliseconds");
        let millis: Option<u64> = interval.and_then(|value| value.trim().parse().ok());
        millis.map_or(ORDINARY_LIMIT, |millis| millis.div_ceil(1000)).clamp(1, LONGEST_COOLDOWN)
    }
}

/// The headers of an answer that are returned to the caller.
pub(crate) fn returned_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let listed = ["content-type", "retry-after", "etag", "last-modified", "location", "content-disposition", "cf-ray"];
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
        Reply { status, headers: Vec::new(), body: body.as_bytes().to_vec(), omitted: false, received_at: 0 }
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
    fn only_hubspots_own_category_rejects_a_token() {
        for (status, body, expected) in [
            (401, r#"{"category":"EXPIRED_AUTHENTICATION"}"#, Some(Rejection::Expired)),
            (401, r#"{"category":"INVALID_AUTHENTICATION"}"#, Some(Rejection::Invalid)),
            (401, r#"{"category":"OTHER"}"#, None),
            (401, "", None),
            (403, r#"{"category":"EXPIRED_AUTHENTICATION"}"#, None),
        ] {
            assert_eq!(reply(status, body).rejection(), expected, "{status} {body}");
        }
    }

    #[test]
    fn only_the_edge_answers_for_a_hubspot_that_it_did_not_reach() {
        let with = |status, name: &str, value: &str, body: &str| {
            let headers = vec![(name.to_owned(), value.to_owned())];
            Reply { headers, ..reply(status, body) }
        };

        for status in [521, 523, 525, 526] {
            assert!(with(status, "content-type", "text/html", "<html>").never_reached_hubspot(), "{status}");
            assert!(with(status, "cf-ray", "8a1-FRA", "").never_reached_hubspot(), "{status}");
            assert!(!with(status, "x-hubspot-correlation-id", "1", "<html>").never_reached_hubspot(), "{status}");
            assert!(!with(status, "content-type", "application/json", "{}").never_reached_hubspot(), "{status}");
        }
        for status in [500, 502, 520, 522, 524, 403, 200] {
            assert!(!with(status, "cf-ray", "8a1-FRA", "<html>").never_reached_hubspot(), "{status}");
        }
    }

    #[test]
    fn a_limit_stops_searches_only_if_it_is_theirs() {
        let origin = "https://api.hubapi.com".parse().unwrap();
        let target = |method, path| Target::parse(&origin, method, path, &[]).unwrap();
        let search = target("POST", "/crm/v3/objects/contacts/search");
        let create = target("POST", "/crm/v3/objects/contacts");
        let limit = |scope, seconds| Some(Limit { scope, seconds });
        let secondly = r#"{"policyName":"SECONDLY"}"#;

        assert_eq!(reply(429, secondly).limit(&search), limit(LimitScope::Searches, 1));
        assert_eq!(reply(429, secondly).limit(&create), limit(LimitScope::Portal, 1));
        // A search, and a record of a type called search.
        let slash = target("POST", "/crm/v3/objects/contacts/search/");
        assert_eq!(reply(429, secondly).limit(&slash), limit(LimitScope::Searches, 1));
        let typed = target("POST", "/crm/v3/objects/search");
        assert_eq!(reply(429, secondly).limit(&typed), limit(LimitScope::Portal, 1));
        let rolling = r#"{"policyName":"TEN_SECONDLY_ROLLING"}"#;
        assert_eq!(reply(429, rolling).limit(&search), limit(LimitScope::Portal, 10));
        assert_eq!(reply(477, "").limit(&search), limit(LimitScope::Portal, 10));
        let day = Reply { headers: vec![("retry-after".to_owned(), "86400".to_owned())], ..reply(477, "") };
        assert_eq!((day.wait_seconds(), day.limit(&create)), (Some(86_400), limit(LimitScope::Portal, 900)));
        let edge = [("cf-ray", "8a1-FRA"), ("content-type", "text/html")];
        let headers = edge.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(Reply { headers, ..reply(429, "<html>") }.limit(&create), None);
        assert_eq!(reply(423, "").limit(&create), None);
    }

    #[test]
    fn retry_after_is_reported_when_hubspot_sends_or_implies_it() {
        let reply = |status: u16, retry_after: Option<&str>| Reply {
            status,
            headers: retry_after.map(|value| ("retry-after".to_owned(), value.to_owned())).into_iter().collect(),
            body: Vec::new(),
            omitted: false,
            received_at: 0,
        };

        for (status, retry_after, seconds) in [
            (423, None, Some(2)),
            (423, Some("7"), Some(7)),
            (477, Some("86400"), Some(86_400)),
            (477, None, Some(10)),
            (477, Some("soon"), Some(10)),
            (429, Some("soon"), Some(10)),
            (423, Some("soon"), Some(2)),
            (503, Some("0"), Some(1)),
            (503, Some("soon"), None),
            (429, Some("18446744073709551615"), Some(86_400)),
            (423, Some("Thu, 01 Jan 1970 00:00:09 GMT"), Some(9)),
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
            received_at: 0,
        };
        let ten =
            r#"{"policyName":"TEN_SECONDLY_ROLLING","message":"You have reached your ten_secondly_rolling limit."}"#;

        for (headers, body, seconds) in [
            (&[("retry-after", "7")][..], ten, 7),
            (&[], ten, 10),
            (&[("x-hubspot-ratelimit-interval-milliseconds", "5000")], ten, 5),
            (&[], r#"{"policyName":"DAILY"}"#, 900),
            (&[], r#"{"message":"You have reached your secondly limit."}"#, 1),
            (&[("retry-after", "soon")], r#"{"policyName":"SECONDLY"}"#, 1),
            (&[("retry-after", "soon"), ("x-hubspot-ratelimit-interval-milliseconds", "5000")], ten, 5),
            (&[("retry-after", "")], r#"{"policyName":"DAILY"}"#, 900),
            (&[], "<html>", 10),
        ] {
            assert_eq!(reply(headers, body).wait_seconds(), Some(seconds), "{headers:?} {body}");
        }
    }
}
