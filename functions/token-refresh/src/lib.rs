//! The scheduled refresh: finds the integrations that are due, refreshes each, and reports.
//!
//! Invariant: working on a due record always moves its `refresh_at`, or a few bad ones would starve the rest.
//!
//! Invariant: while HubSpot's token endpoint is down, a run asks it a few times and leaves the rest.

mod app;
mod backlog;
mod due;
mod due_query;
mod gate;
mod report;

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{StreamExt, stream};
use lambda_runtime::Diagnostic;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::integration::REFRESH_SHARDS;
use shared::store::integrations::Due;

use crate::due_query::DueBatch;
use crate::gate::Gate;
use crate::report::RefreshOutcome;

pub use app::{App, Config};
pub use report::Report;

/// With less of the function's time left, it starts nothing more. In milliseconds; more if a refresh needs more.
const STOP_BEFORE_DEADLINE: i64 = 10_000;
/// So many refusals of our app's credentials end a run: it is our secret, not the customers' authorizations.
const INVALID_CLIENTS: u32 = 5;
/// So many refreshes in a row that HubSpot's token endpoint leaves without a clear answer end a run: it is down. Of
/// those that wait longest so many are worked on first, before the rest is started at full concurrency.
const UNANSWERED: usize = 10;

/// The event of the schedule: which shards, or all. EventBridge's own event, which a schedule without an input sends,
/// means all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleEvent {
    shards: Option<Vec<u8>>,
}

/// Why a run did not take place, by a name that alarms may rely on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The event is malformed or names shards that do not exist.
    #[error("the event must be {{}} or {{\"shards\": [0, …, 15]}}")]
    InvalidEvent,
    /// The index could not be read.
    #[error("the due integrations could not be read")]
    IndexUnavailable,
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Self {
        Self { error_type: format!("{failed:?}"), error_message: failed.to_string() }
    }
}

/// One run. `deadline` is that of the function, in milliseconds since the epoch.
pub async fn handle(app: &App, event: Value, deadline: i64) -> Result<Report, Failed> {
    let shards = shards_of(event)?;
    let started_at = app.clock.now_millis();
    shared::log::publish_zeros();
    let refresh_takes = (app.config.refresh.token_timeout + 6) * 1000;
    let stop_at = deadline.saturating_sub(STOP_BEFORE_DEADLINE.max(refresh_takes));
    let run = Run { app, deadline, stop_at, invalid_clients: AtomicU32::new(0) };
    // An outage that an earlier run met may be over.
    app.hubspot.reset_failures();
    app.access.begin_run();
    let batch = run.find(shards).await?;
    // Those that wait longest come first.
    let longest = batch.due.first().map_or(0, |due| (started_at / 1000).saturating_sub(due.refresh_at).max(0));
    let report = run.work_on(batch).await;
    run.log(&report, longest, app.clock.now_millis() - started_at);
    Ok(report)
}

/// The shards that an event names, or all.
fn shards_of(event: Value) -> Result<Vec<u8>, Failed> {
    let is_of_schedule = event.get("detail-type").is_some_and(|kind| kind == "Scheduled Event");
    let event = if is_of_schedule { Value::Object(Map::new()) } else { event };
    match serde_json::from_value::<ScheduleEvent>(event) {
        Ok(ScheduleEvent { shards: None }) => Ok((0..REFRESH_SHARDS).collect()),
        Ok(ScheduleEvent { shards: Some(mut shards) }) if shards.iter().all(|shard| *shard < REFRESH_SHARDS) => {
            shards.sort_unstable();
            shards.dedup();
            Ok(shards)
        }
        _ => Err(Failed::InvalidEvent),
    }
}

/// One run under way.
struct Run<'a> {
    app: &'a App,
    deadline: i64,
    stop_at: i64,
    invalid_clients: AtomicU32,
}

impl Run<'_> {
    /// Processes what was found: a few first, then the rest.
    async fn work_on(&self, DueBatch { due, later }: DueBatch) -> Report {
        let later = u32::try_from(later).unwrap_or(u32::MAX);
        let report = Report { due: later, left: later, ..Report::default() };
        let gate = Gate::new(due.len().min(UNANSWERED));
        stream::iter(due.into_iter().enumerate())
            .map(|(nth, due)| self.process_in_turn(nth, due, &gate))
            .buffer_unordered(self.app.config.concurrency)
            .fold(report, |report, outcome| async move { report.count(outcome) })
            .await
    }

    async fn process_in_turn(&self, nth: usize, due: Due, gate: &Gate) -> RefreshOutcome {
        if nth >= UNANSWERED {
            gate.wait().await;
            return self.process(due).await;
        }
        let outcome = self.process(due).await;
        gate.note(outcome);
        outcome
    }

    fn log(&self, report: &Report, refresh_lag_s: i64, duration_ms: i64) {
        if self.credentials_are_refused() {
            tracing::error!(outcome = "invalid_client", "HubSpot refuses our app's credentials: check the app secret");
        }
        if self.hubspot_is_down() {
            let left = report.left;
            tracing::error!(outcome = "outage", left, "HubSpot's token endpoint is down: the run ends early");
        }
        let verdicts_withheld = self.app.access.verdicts_withheld();
        if verdicts_withheld > 0 {
            tracing::error!(outcome = "mass_refusal", "HubSpot refuses one integration after the other");
        }
        tracing::info!(
            outcome = "done",
            due = report.due,
            refreshed = report.refreshed,
            already_fresh = report.already_fresh,
            superseded = report.superseded,
            revoked = report.revoked,
            misconfigured = report.misconfigured,
            transient = report.transient,
            corrupt = report.corrupt,
            left = report.left,
            verdicts_withheld,
            refresh_lag_s,
            duration_ms,
            "scheduled refresh"
        );
    }

    fn credentials_are_refused(&self) -> bool {
        self.invalid_clients.load(Ordering::Relaxed) >= INVALID_CLIENTS
    }

    fn hubspot_is_down(&self) -> bool {
        self.app.hubspot.failures() >= UNANSWERED
    }
}
