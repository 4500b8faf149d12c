//! Retry decisions, pure.

use std::time::Duration;

use guard::hubs::Hub;

/// The most attempts of one execution.
pub(crate) const MOST_ATTEMPTS: u32 = 3;
/// The longest time that an execution waits between its attempts, all together. A longer wait is the caller's.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// How long a locked resource (423) stays locked, by HubSpot's documentation.
const LOCKED: Duration = Duration::from_secs(2);

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptResult {
    /// Nothing of the request can have reached HubSpot: there was no connection, or the edge had none.
    NotStarted,
    /// The portal lives in another hub; HubSpot has not acted.
    Moved {
        /// The hub that HubSpot named.
        hub: Hub,
    },
    /// The connection was lost before the answer was complete.
    Lost,
    /// HubSpot answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The answer's `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
}

/// The state of an execution after an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryState {
    /// True if sending the request twice has the effect of sending it once.
    pub(crate) idempotent: bool,
    /// Attempts made.
    pub(crate) attempts: u32,
    /// Time spent waiting between them.
    pub(crate) waited: Duration,
    /// Time left until the deadline.
    pub(crate) left: Duration,
}

/// The pause before the next attempt; none if there is to be no other.
///
/// Invariant: a request that HubSpot may have acted on is sent again only if it is idempotent.
pub(crate) fn next(state: RetryState, result: AttemptResult) -> Option<Duration> {
    let short = Duration::from_millis(100) * state.attempts;
    let pause = match result {
        AttemptResult::NotStarted => short,
        AttemptResult::Moved { .. } => Duration::ZERO,
        AttemptResult::Lost if state.idempotent => short,
        AttemptResult::Answered { status: 429, retry_after: Some(seconds) } => Duration::from_secs(seconds),
        AttemptResult::Answered { status: 423, retry_after } => retry_after.map_or(LOCKED, Duration::from_secs),
        AttemptResult::Answered { status: 502..=504 | 520 | 522 | 524, retry_after } if state.idempotent => {
            retry_after.map_or(short, Duration::from_secs)
        }
        AttemptResult::Lost | AttemptResult::Answered { .. } => return None,
    };
    let fits = state.waited.saturating_add(pause) <= LONGEST_WAIT && pause < state.left;
    (fits && state.attempts < MOST_ATTEMPTS).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(idempotent: bool) -> RetryState {
        RetryState { idempotent, attempts: 1, waited: Duration::ZERO, left: Duration::from_secs(20) }
    }

    fn answered(status: u16, retry_after: Option<u64>) -> AttemptResult {
        AttemptResult::Answered { status, retry_after }
    }

    #[test]
    fn ambiguous_attempts_are_retried_only_if_idempotent() {
        for (result, repeated_anyway, repeated_if_idempotent) in [
            (AttemptResult::NotStarted, true, true),
            (AttemptResult::Lost, false, true),
            (answered(502, None), false, true),
            (answered(503, None), false, true),
            (answered(503, Some(1)), false, true),
            (answered(504, None), false, true),
            (answered(500, None), false, false),
            (answered(520, None), false, true),
            (answered(522, None), false, true),
            (answered(524, None), false, true),
            (answered(521, None), false, false),
            (answered(488, None), false, false),
            (AttemptResult::Moved { hub: Hub::parse("eu1").unwrap() }, true, true),
            (answered(429, Some(u64::MAX)), false, false),
            (answered(503, Some(u64::MAX)), false, false),
            (answered(477, Some(1)), false, false),
            (answered(423, None), true, true),
            (answered(429, Some(1)), true, true),
            (answered(429, None), false, false),
            (answered(200, None), false, false),
            (answered(401, None), false, false),
            (answered(307, None), false, false),
        ] {
            assert_eq!(next(state(false), result).is_some(), repeated_anyway, "{result:?}");
            assert_eq!(next(state(true), result).is_some(), repeated_if_idempotent, "{result:?}");
        }
    }

    #[test]
    fn waiting_is_bounded_by_three_seconds_the_deadline_and_three_attempts() {
        let base = state(true);
        let limited = answered(429, Some(2));

        assert_eq!(next(base, limited), Some(Duration::from_secs(2)));
        let second = RetryState { attempts: 2, ..base };
        assert_eq!(
            [next(base, AttemptResult::Lost), next(second, AttemptResult::Lost)],
            [100, 200].map(|ms| Some(Duration::from_millis(ms)))
        );
        assert_eq!(next(base, answered(429, Some(4))), None);
        assert_eq!(next(RetryState { waited: Duration::from_secs(2), ..base }, limited), None);
        let waited = RetryState { waited: Duration::from_millis(1), ..base };
        assert_eq!(next(waited, answered(429, Some(u64::MAX))), None);
        assert_eq!(next(RetryState { left: Duration::from_secs(2), ..base }, limited), None);
        assert_eq!(next(RetryState { attempts: MOST_ATTEMPTS, ..base }, AttemptResult::NotStarted), None);
    }
}
