//! Whether and when a request is sent again: pure judgements.

use std::time::Duration;

use serde_json::Value;

use crate::forward::{self, Received};

/// An execution makes at most so many attempts.
pub const MOST_ATTEMPTS: u32 = 3;
/// Waiting inside the function adds up to this at most; a longer wait is the caller's.
const MOST_WAITING: Duration = Duration::from_secs(3);
/// HubSpot's own word for a locked resource.
const LOCKED: u64 = 2;
/// The longest cool-down of a portal, in seconds.
pub const LONGEST_COOLDOWN: i64 = 900;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No connection: nothing of the request can have left.
    NotStarted,
    /// The connection was lost before the answer was complete.
    Lost,
    /// An answer.
    Answered {
        /// Its HTTP status.
        status: u16,
        /// Its `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
}

/// Where an execution stands after an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Whether sending the request twice does what sending it once does.
    pub idempotent: bool,
    /// Attempts made.
    pub attempts: u32,
    /// Time spent waiting between them.
    pub waited: Duration,
    /// Time left until the deadline.
    pub left: Duration,
}

/// The pause before the next attempt, or none if there is to be none.
///
/// Invariant: a request that HubSpot may have acted on is sent again only if it is idempotent.
pub fn next(standing: Standing, seen: Seen) -> Option<Duration> {
    let short = Duration::from_millis(100) * standing.attempts;
    let pause = match seen {
        Seen::NotStarted => short,
        Seen::Lost if standing.idempotent => short,
        Seen::Answered { status: 429, retry_after: Some(seconds) } => Duration::from_secs(seconds),
        Seen::Answered { status: 423, retry_after } => Duration::from_secs(retry_after.unwrap_or(LOCKED)),
        Seen::Answered { status: 502..=504, retry_after } if standing.idempotent => {
            retry_after.map_or(short, Duration::from_secs)
        }
        Seen::Lost | Seen::Answered { .. } => return None,
    };
    let fits = standing.waited + pause <= MOST_WAITING && pause < standing.left;
    (fits && standing.attempts < MOST_ATTEMPTS).then_some(pause)
}

/// The seconds that HubSpot asks, or by its kind of answer implies, to wait before the next request.
pub fn pause_asked_for(received: &Received) -> Option<u64> {
    match (received.status, received.retry_after()) {
        (429, None) => Some(rate_limit(received)),
        (423, None) => Some(LOCKED),
        (423 | 429 | 477 | 500..=599, Some(seconds)) => Some(seconds.max(1)),
        _ => None,
    }
}

/// The length of a rate limit without `Retry-After`: a second, HubSpot's interval of ten, or for the daily one a
/// quarter of an hour.
fn rate_limit(received: &Received) -> u64 {
    let body = forward::words(&received.body);
    let words = format!("{} {}", text(&body, "policyName"), text(&body, "message")).to_lowercase();
    if words.contains("daily") {
        return LONGEST_COOLDOWN.unsigned_abs();
    }
    if words.contains("secondly") && !words.contains("ten_secondly") {
        return 1;
    }
    let interval = received.header("x-hubspot-ratelimit-interval-milliseconds");
    let millis: Option<u64> = interval.and_then(|value| value.trim().parse().ok());
    millis.map_or(10, |millis| millis.div_ceil(1000)).clamp(1, LONGEST_COOLDOWN.unsigned_abs())
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(idempotent: bool) -> Standing {
        Standing { idempotent, attempts: 1, waited: Duration::ZERO, left: Duration::from_secs(20) }
    }

    fn answered(status: u16, retry_after: Option<u64>) -> Seen {
        Seen::Answered { status, retry_after }
    }

    #[test]
    fn what_hubspot_may_have_acted_on_is_repeated_only_if_that_is_harmless() {
        for (seen, repeated_anyway, repeated_if_idempotent) in [
            (Seen::NotStarted, true, true),
            (Seen::Lost, false, true),
            (answered(502, None), false, true),
            (answered(503, None), false, true),
            (answered(503, Some(1)), false, true),
            (answered(504, None), false, true),
            (answered(500, None), false, false),
            (answered(524, None), false, false),
            (answered(477, Some(1)), false, false),
            (answered(423, None), true, true),
            (answered(429, Some(1)), true, true),
            (answered(429, None), false, false),
            (answered(200, None), false, false),
            (answered(401, None), false, false),
            (answered(307, None), false, false),
        ] {
            assert_eq!(next(standing(false), seen).is_some(), repeated_anyway, "{seen:?}");
            assert_eq!(next(standing(true), seen).is_some(), repeated_if_idempotent, "{seen:?}");
        }
    }

    #[test]
    fn waiting_is_bounded_by_three_seconds_the_deadline_and_three_attempts() {
        let base = standing(true);
        let limited = answered(429, Some(2));

        assert_eq!(next(base, limited), Some(Duration::from_secs(2)));
        let second = Standing { attempts: 2, ..base };
        assert_eq!(
            [next(base, Seen::Lost), next(second, Seen::Lost)],
            [100, 200].map(|ms| Some(Duration::from_millis(ms)))
        );
        assert_eq!(next(base, answered(429, Some(4))), None);
        assert_eq!(next(Standing { waited: Duration::from_secs(2), ..base }, limited), None);
        assert_eq!(next(Standing { left: Duration::from_secs(2), ..base }, limited), None);
        assert_eq!(next(Standing { attempts: MOST_ATTEMPTS, ..base }, Seen::NotStarted), None);
    }

    #[test]
    fn a_pause_is_told_where_hubspot_asks_for_one_or_implies_it() {
        let received = |status: u16, retry_after: Option<&str>| Received {
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
            assert_eq!(pause_asked_for(&received(status, retry_after)), seconds, "{status} {retry_after:?}");
        }
    }

    #[test]
    fn the_kinds_of_rate_limit_are_told_apart() {
        let received = |headers: &[(&str, &str)], body: &str| Received {
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
            assert_eq!(pause_asked_for(&received(headers, body)), Some(seconds), "{headers:?} {body}");
        }
    }
}
