//! The health of an integration and what its next execution would do: pure functions of the record.

use serde::Serialize;
use shared::config::RefreshConfig;
use shared::integration::{Integration, Readiness, Status};
use shared::lease::Lease;
use shared::refresh_policy::Purpose;

use crate::format_time::{counted, since, span};
use crate::select::Position;

/// An integration due for longer than this is not part of a backlog that the schedule works off (25 minutes).
pub(crate) const OVERDUE: i64 = 1_500;
/// The lifetime of HubSpot's access tokens, for the margin where the tokens themselves are not read.
const LIFETIME: i64 = 1_800;

/// The health of an integration, named after who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HealthStatus {
    /// No action is needed.
    Healthy,
    /// The account has no integration: an admin has to connect.
    NotConnected,
    /// HubSpot no longer accepts the authorization: an admin has to reconnect.
    NeedsReauthorization,
    /// HubSpot's rate limit is used up: it recovers by itself.
    RateLimited,
    /// Refreshes fail and are retried.
    RefreshesFail,
    /// A process died during a refresh; the next one takes over.
    RefreshInterrupted,
    /// The schedule does not reach it: the operator has to act.
    Overdue,
    /// Record and secret are inconsistent: the operator has to act.
    Corrupt,
}

/// The result of an execution that starts now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NextExecution {
    /// It is sent with the current tokens.
    Sends,
    /// The tokens are refreshed, then it is sent.
    RefreshesAndSends,
    /// It waits for the refresh in progress, then it is sent.
    WaitsAndSends,
    /// `rate_limited`.
    RateLimited,
    /// `reauthorization_required`.
    ReauthorizationRequired,
    /// `temporarily_unavailable`.
    TemporarilyUnavailable,
    /// `integration_superseded`.
    IntegrationSuperseded,
    /// `internal`.
    Internal,
}

impl HealthStatus {
    /// The name in the output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::NotConnected => "not_connected",
            Self::NeedsReauthorization => "needs_reauthorization",
            Self::RateLimited => "rate_limited",
            Self::RefreshesFail => "refreshes_fail",
            Self::RefreshInterrupted => "refresh_interrupted",
            Self::Overdue => "overdue",
            Self::Corrupt => "corrupt",
        }
    }
}

impl NextExecution {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Sends => "is sent with the current tokens",
            Self::RefreshesAndSends => "refreshes the tokens, then is sent",
            Self::WaitsAndSends => "waits for the refresh in progress, then is sent",
            Self::RateLimited => "fails with rate_limited",
            Self::ReauthorizationRequired => "fails with reauthorization_required",
            Self::TemporarilyUnavailable => "fails with temporarily_unavailable",
            Self::IntegrationSuperseded => "fails with integration_superseded",
            Self::Internal => "fails with internal",
        }
    }
}

/// The lease of a record, by the rule that the functions take leases by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    Free,
    Held,
    /// Its holder has not released it.
    Lapsed,
}

impl LeaseState {
    fn of(record: &Integration, now: i64, config: &RefreshConfig) -> Self {
        match (Lease::of(record, now, config), &record.lease_owner) {
            (None, _) => Self::Held,
            (Some(_), Some(_)) => Self::Lapsed,
            (Some(_), None) => Self::Free,
        }
    }
}

/// The health of an account's newest integration by its record, and what to do.
pub(crate) fn of(newest: &Integration, now: i64, config: &RefreshConfig) -> (HealthStatus, String) {
    let status = status(newest, now, config);
    (status, detail(status, newest, now))
}

/// The first fact that the operator needs.
fn status(newest: &Integration, now: i64, config: &RefreshConfig) -> HealthStatus {
    let is_ahead = |until: Option<i64>| until.is_some_and(|until| until > now);
    if newest.status == Status::NeedsReauthorization {
        HealthStatus::NeedsReauthorization
    } else if newest.pointer.is_none() {
        HealthStatus::Corrupt
    } else if is_ahead(newest.cooldown_until) {
        HealthStatus::RateLimited
    } else if is_ahead(newest.refresh_not_before) {
        HealthStatus::RefreshesFail
    } else if LeaseState::of(newest, now, config) == LeaseState::Lapsed {
        HealthStatus::RefreshInterrupted
    } else if newest.refresh_at.is_some_and(|at| at < now.saturating_sub(OVERDUE)) {
        HealthStatus::Overdue
    } else {
        HealthStatus::Healthy
    }
}

fn detail(status: HealthStatus, newest: &Integration, now: i64) -> String {
    let tokens = match newest.token_expires_at {
        at if at > now => format!("the tokens are valid for {}", span(at.saturating_sub(now))),
        0 => "it has no tokens yet".to_owned(),
        at => format!("the tokens expired {} ago and are refreshed on use", span(now.saturating_sub(at))),
    };
    let time = |at: Option<i64>, never: &str| at.map_or(never.to_owned(), |at| since(at, now));
    let away = |at: Option<i64>| span(at.unwrap_or(now).saturating_sub(now));
    match status {
        HealthStatus::Healthy => format!("{tokens}, next refresh: {}", time(newest.refresh_at, "on use")),
        HealthStatus::NotConnected => "no integration. An admin of the account has to connect HubSpot".to_owned(),
        HealthStatus::NeedsReauthorization => format!(
            "HubSpot no longer accepts the authorization (reason: {}). {}An admin of the account has to reconnect it; \
             the schedule's next attempt: {}",
            newest.status_reason.as_deref().unwrap_or("unknown"),
            grace(newest.readiness(now), now),
            time(newest.refresh_at, "never")
        ),
        HealthStatus::Corrupt => "active without a secret. An admin of the account has to reconnect it".to_owned(),
        HealthStatus::RateLimited => format!(
            "the portal's HubSpot rate limit is used up for {}; no action is needed",
            away(newest.cooldown_until)
        ),
        HealthStatus::RefreshesFail => format!(
            "{} in a row failed, the next one is due in {}; {tokens}. `hubspotctl doctor` shows whether HubSpot or the \
             app's credentials are the cause",
            counted(usize::try_from(newest.failures.unwrap_or(1)).unwrap_or(usize::MAX), "refresh attempt"),
            away(newest.refresh_not_before)
        ),
        HealthStatus::RefreshInterrupted => format!(
            "a process died during a refresh {} ago; the next run or execution takes over; {tokens}",
            away(newest.lease_until)
        ),
        HealthStatus::Overdue => format!(
            "the scheduled refresh is {} late; {tokens}. `hubspotctl doctor` shows whether the schedule runs",
            away(newest.refresh_at)
        ),
    }
}

/// How long executions still work although the integration is marked.
fn grace(readiness: Readiness, now: i64) -> String {
    let Readiness::ReadyUntil(at) = readiness else { return String::new() };
    format!("Its automations run for {} more, until the access token expires. ", span(at.saturating_sub(now)))
}

/// The result of the next execution, provided that AWS and HubSpot respond.
pub(crate) fn next(record: &Integration, position: Position, now: i64, config: &RefreshConfig) -> NextExecution {
    let left = record.token_expires_at.saturating_sub(now);
    if position == Position::Older {
        return NextExecution::IntegrationSuperseded;
    }
    if record.cooldown_until.is_some_and(|until| until > now) {
        return NextExecution::RateLimited;
    }
    match record.readiness(now) {
        Readiness::NeedsReauthorization => return NextExecution::ReauthorizationRequired,
        Readiness::WithoutTokens => return NextExecution::Internal,
        Readiness::ReadyUntil(_) => return NextExecution::Sends,
        Readiness::Ready => {}
    }
    if left > Purpose::Execution.margin(LIFETIME) {
        return NextExecution::Sends;
    }
    let is_paused = record.refresh_not_before.is_some_and(|until| until > now);
    let is_held = LeaseState::of(record, now, config) == LeaseState::Held;
    match (left > 0, is_paused || is_held) {
        // Better the remaining seconds of the current tokens than none.
        (true, true) => NextExecution::Sends,
        (_, false) => NextExecution::RefreshesAndSends,
        (false, true) if is_paused => NextExecution::TemporarilyUnavailable,
        (false, true) => NextExecution::WaitsAndSends,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_000_000;
    const CONFIG: RefreshConfig = RefreshConfig { lease: 20, token_timeout: 8, idle_after: 86_400, idle_probe: 7_200 };

    fn record(changes: &Value) -> Integration {
        let mut record = json!({
            "account_id": "a", "sequence": 1, "integration_id": "i", "created_at": 0, "status": "active",
            "secret_id": "s", "secret_version": "v", "token_expires_at": NOW + 1000, "refresh_at": NOW + 500,
        });
        for (name, value) in changes.as_object().unwrap() {
            record[name] = value.clone();
        }
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn the_health_is_what_the_operator_has_to_know_first() {
        for (changes, expected) in [
            (json!({}), HealthStatus::Healthy),
            (json!({"token_expires_at": NOW - 9000}), HealthStatus::Healthy),
            (json!({"cooldown_until": NOW, "refresh_not_before": NOW}), HealthStatus::Healthy),
            (json!({"lease_owner": "o", "lease_until": NOW - 5}), HealthStatus::Healthy),
            (json!({"lease_owner": "o", "lease_until": NOW - 6}), HealthStatus::RefreshInterrupted),
            (json!({"refresh_at": NOW - 1500}), HealthStatus::Healthy),
            (json!({"refresh_at": NOW - 1501}), HealthStatus::Overdue),
            (json!({"refresh_not_before": NOW + 1}), HealthStatus::RefreshesFail),
            (json!({"cooldown_until": NOW + 1, "refresh_not_before": NOW + 1}), HealthStatus::RateLimited),
            (json!({"status": "needs_reauthorization", "cooldown_until": NOW + 1}), HealthStatus::NeedsReauthorization),
            (json!({"secret_id": null, "secret_version": null}), HealthStatus::Corrupt),
        ] {
            assert_eq!(of(&record(&changes), NOW, &CONFIG).0, expected, "{changes}");
        }
    }

    #[test]
    fn the_next_execution_is_predicted_from_the_record() {
        for (changes, expected) in [
            (json!({}), NextExecution::Sends),
            (json!({"token_expires_at": NOW + 61}), NextExecution::Sends),
            (json!({"token_expires_at": NOW + 60}), NextExecution::RefreshesAndSends),
            (json!({"token_expires_at": NOW + 60, "refresh_not_before": NOW + 1}), NextExecution::Sends),
            (json!({"token_expires_at": NOW, "refresh_not_before": NOW + 1}), NextExecution::TemporarilyUnavailable),
            (json!({"token_expires_at": NOW, "lease_owner": "o", "lease_until": NOW}), NextExecution::WaitsAndSends),
            (
                json!({"token_expires_at": NOW, "lease_owner": "o", "lease_until": NOW - 6}),
                NextExecution::RefreshesAndSends,
            ),
            (json!({"cooldown_until": NOW + 1}), NextExecution::RateLimited),
            (json!({"status": "needs_reauthorization", "token_expires_at": NOW + 1}), NextExecution::Sends),
            (
                json!({"status": "needs_reauthorization", "token_expires_at": NOW}),
                NextExecution::ReauthorizationRequired,
            ),
            (json!({"secret_id": null, "secret_version": null}), NextExecution::Internal),
        ] {
            assert_eq!(next(&record(&changes), Position::Newest, NOW, &CONFIG), expected, "{changes}");
        }
        assert_eq!(next(&record(&json!({})), Position::Older, NOW, &CONFIG), NextExecution::IntegrationSuperseded);
    }
}
