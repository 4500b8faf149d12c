//! The policy of refreshes, pure: when tokens are good enough, what follows an attempt, when the schedule looks again.
//!
//! Times are epoch seconds, durations seconds.

use crate::config;
use crate::crypto::jitter;
use crate::integration::{Integration, Status};
use crate::token_error::TokenError;
use crate::token_error::TokenErrorKind::{AnswerLost, Misconfigured};

/// The first pause after a refresh that failed.
const FIRST_BACKOFF: i64 = 5;
/// The longest pause after a refresh that failed.
const LONGEST_BACKOFF: i64 = 300;
/// The longest `Retry-After` of HubSpot's that is honoured.
const LONGEST_RETRY_AFTER: i64 = 900;

/// The kind of caller that needs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An execution, now.
    Execution,
    /// The schedule, in advance.
    Schedule,
}

impl Purpose {
    /// The longest of all margins.
    pub const LONGEST_MARGIN: i64 = 600;

    /// How long tokens of some lifetime must still be good.
    pub fn margin(self, lifetime: i64) -> i64 {
        match self {
            Self::Execution => (lifetime / 4).min(60),
            Self::Schedule => (lifetime / 2).min(Self::LONGEST_MARGIN),
        }
    }
}

/// The end of an attempt that brought no new tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshEnd {
    /// Nothing happened.
    Released,
    /// Nobody asks HubSpot again before `until`.
    Backoff {
        /// Until when.
        until: i64,
        /// Refreshes that failed since the last success.
        failures: u32,
        /// Set when HubSpot may have acted without our having its answer: what it refuses then is not believed at once.
        ambiguous_until: Option<i64>,
        /// Set when HubSpot refused in words that are not known: since when it does.
        refused_since: Option<i64>,
    },
    /// HubSpot refused an execution's refresh: the schedule is to prove the grant, and decides.
    ProofRequested {
        /// When it was requested.
        at: i64,
    },
    /// HubSpot no longer accepts the authorization.
    Revoked {
        /// Set when the record was not marked before.
        reason: Option<&'static str>,
        /// When HubSpot was asked.
        at: i64,
        /// Verdicts in a row.
        failures: u32,
        /// When the schedule tries again, if ever.
        refresh_at: Option<i64>,
    },
}

/// When the schedule refreshes the tokens of an integration in use: 5 to 10 minutes before they expire at
/// `expires_at`, nearer if their `lifetime` is short. Both are in seconds.
pub fn next_refresh_at(expires_at: i64, lifetime: i64) -> i64 {
    let half = Purpose::Schedule.margin(lifetime) / 2;
    expires_at.saturating_sub(half + jitter(half))
}

/// When the schedule looks next at an integration that is not in use: often enough that a revocation becomes known.
pub fn next_probe_at(now: i64, config: &config::RefreshConfig) -> i64 {
    now + config.idle_probe - jitter(config.idle_probe / 4)
}

/// Back-off after a failure that says nothing about the authorization: every caller pauses.
///
/// After a lost answer a later refusal is final, and recorded as `refresh_interrupted`: nobody else can come back with
/// the answer.
pub fn after_failure(record: &Integration, error: &TokenError, now: i64) -> RefreshEnd {
    let failures = record.failures.unwrap_or(0);
    let doubled = (FIRST_BACKOFF << failures.min(10)).min(LONGEST_BACKOFF);
    let pause =
        error.retry_after.map_or(doubled - jitter(doubled / 2), |seconds| seconds.clamp(1, LONGEST_RETRY_AFTER));
    // The count of a marked record is that of its verdicts.
    let failures = match record.status {
        Status::Active => failures.saturating_add(1),
        Status::NeedsReauthorization => failures,
    };
    let ambiguous_until = (error.kind == AnswerLost).then_some(now);
    let refused_since = (error.kind == Misconfigured).then(|| record.refused_since.unwrap_or(now));
    RefreshEnd::Backoff { until: now + pause, failures, ambiguous_until, refused_since }
}

/// The state after HubSpot's verdict that it no longer accepts the authorization.
pub fn after_revocation(record: &Integration, now: i64) -> RefreshEnd {
    let (reason, failures) = match record.status {
        Status::Active if record.ambiguous_until.is_some() => (Some("refresh_interrupted"), 1),
        Status::Active => (Some("revoked"), 1),
        Status::NeedsReauthorization => (None, record.failures.unwrap_or(0).saturating_add(1)),
    };
    RefreshEnd::Revoked { reason, at: now, failures, refresh_at: next_trial_at(failures, now) }
}

/// The state after a day of refusals with unknown codes, while other integrations refresh.
pub fn after_long_refusal(now: i64) -> RefreshEnd {
    RefreshEnd::Revoked { reason: Some("refused"), at: now, failures: 1, refresh_at: next_trial_at(1, now) }
}

/// When the schedule tries a marked integration again, after so many verdicts in a row: after 5 minutes, 15 minutes and
/// an hour, then daily for a week.
fn next_trial_at(verdicts: u32, now: i64) -> Option<i64> {
    let pause = match verdicts {
        0 | 1 => 300 - jitter(60),
        2 => 900 - jitter(180),
        3 => 3600 - jitter(600),
        4..=10 => 86_400 - jitter(3600),
        _ => return None,
    };
    Some(now + pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: config::RefreshConfig =
        config::RefreshConfig { lease: 20, token_timeout: 8, idle_after: 86_400, idle_probe: 7_200 };

    fn record() -> Integration {
        serde_json::from_str(r#"{"account_id":"a","sequence":1,"integration_id":"i","created_at":0,"status":"active"}"#)
            .unwrap()
    }

    #[test]
    fn the_margin_is_a_share_of_short_lives() {
        for (purpose, lifetime, margin) in [
            (Purpose::Execution, 1800, 60),
            (Purpose::Execution, 20, 5),
            (Purpose::Schedule, 1800, 600),
            (Purpose::Schedule, 60, 30),
        ] {
            assert_eq!(purpose.margin(lifetime), margin, "{purpose:?} {lifetime}");
        }
    }

    #[test]
    fn the_next_look_is_five_to_ten_minutes_before_expiry_or_within_two_hours() {
        for _ in 0..200 {
            assert!((1200..=1500).contains(&next_refresh_at(1800, 1800)));
            assert!((5400..=7200).contains(&next_probe_at(0, &CONFIG)));
            assert!((30..=45).contains(&next_refresh_at(60, 60)));
        }
        // Spread, so that the schedule does not look at all integrations together.
        assert!((0..200).any(|_| next_probe_at(0, &CONFIG) != 7_200));
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_retry_after_is_obeyed_up_to_fifteen() {
        let until = |failures: u32, retry_after| {
            let error = TokenError { retry_after, ..TokenError::transient("a test") };
            let end = after_failure(&Integration { failures: Some(failures), ..record() }, &error, 0);
            let RefreshEnd::Backoff { until, failures: counted, ambiguous_until: None, .. } = end else {
                panic!("{end:?}")
            };
            assert_eq!(counted, failures + 1);
            until
        };

        for (failures, range) in [(0, 3..=5), (1, 5..=10), (5, 80..=160), (6, 150..=300), (60, 150..=300)] {
            assert!(range.contains(&until(failures, None)), "{failures}");
        }
        assert!((0..200).any(|_| until(6, None) != 300));
        assert_eq!(until(0, Some(77)), 77);
        assert_eq!(until(0, Some(100_000)), 900);
        assert_eq!(until(0, Some(-1)), 1);
    }

    #[test]
    fn a_marked_integration_is_tried_at_growing_intervals_then_never() {
        let mut record = record();
        let mut looks = Vec::new();
        for _ in 0..12 {
            let RefreshEnd::Revoked { failures, refresh_at, .. } = after_revocation(&record, 0) else {
                panic!("no verdict")
            };
            record.status = Status::NeedsReauthorization;
            record.failures = Some(failures);
            looks.push(refresh_at);
        }

        assert!((240..=300).contains(&looks[0].unwrap()));
        assert!((720..=900).contains(&looks[1].unwrap()));
        assert!((3000..=3600).contains(&looks[2].unwrap()));
        assert!(looks[3..10].iter().all(|at| (82_800..=86_400).contains(&at.unwrap())));
        assert_eq!(looks[10..], [None, None]);
    }

    #[test]
    fn a_refusal_after_a_lost_answer_is_believed_at_once_with_its_reason() {
        let record = Integration { failures: Some(1), ..record() };

        let RefreshEnd::Backoff { until, failures, ambiguous_until, .. } =
            after_failure(&record, &TokenError::of(AnswerLost, "a test"), 100)
        else {
            panic!("no pause")
        };

        assert!((105..=110).contains(&until), "{until}");
        assert_eq!((failures, ambiguous_until), (2, Some(100)));
    }

    #[test]
    fn a_verdict_after_a_lost_holder_says_so() {
        let lost = Integration { ambiguous_until: Some(1), ..record() };

        assert!(matches!(after_revocation(&lost, 2), RefreshEnd::Revoked { reason: Some("refresh_interrupted"), .. }));
        assert!(matches!(after_revocation(&record(), 2), RefreshEnd::Revoked { reason: Some("revoked"), .. }));
    }
}
