//! The scheduled refresh: finds the integrations that are due, refreshes each, and reports.
//!
//! Invariant: working on a due record always moves its `refresh_at`, or a few bad ones would starve the rest.

mod due;

use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::SdkConfig;
use futures_util::{StreamExt, stream};
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::access::Access;
use shared::clients::Http;
use shared::clock::Clock;
use shared::config::{self, Invalid, Reader};
use shared::error::Error;
use shared::hubspot::HubSpot;
use shared::integration::REFRESH_SHARDS;
use shared::store::Store;
use shared::store::integrations::Due;

/// What is left of the function's time when it starts nothing more, in milliseconds; more if a refresh needs more.
const STOP_BEFORE_DEADLINE: i64 = 10_000;
/// How many due integrations one run looks at; the rest waits for the next minute.
const AT_MOST: usize = 8_000;
/// So many refusals of our app's credentials end a run: it is our secret, not the customers' authorizations.
const INVALID_CLIENTS: u32 = 5;

/// What the function is told by its environment.
pub struct Config {
    state: config::State,
    hubspot: config::HubSpot,
    refresh: config::Refresh,
    concurrency: usize,
    superseded_keep: i64,
}

impl Config {
    /// Reads it, and reports everything that is wrong with it at once.
    pub fn read<L: Fn(&str) -> Option<String>>(mut reader: Reader<L>) -> Result<Self, Invalid> {
        let config = Self {
            state: reader.state(),
            hubspot: reader.hubspot(),
            refresh: reader.refresh(),
            concurrency: reader.number("REFRESH_CONCURRENCY", 32, 1..=256) as usize,
            superseded_keep: i64::from(reader.number("SUPERSEDED_KEEP_DAYS", 30, 1..=365)) * 86_400,
        };
        reader.finish(config)
    }
}

/// Everything that outlives an invocation.
pub struct App {
    store: Store,
    access: Access,
    clock: Clock,
    config: Config,
}

impl App {
    /// Builds all clients, once.
    pub fn new(config: Config, aws: &SdkConfig, clock: Clock) -> Result<Self, Error> {
        let store = Store::new(aws, config.state.clone());
        let hubspot = HubSpot::new(Http::new(clock.clone())?, &config.hubspot, store.clone());
        let access = Access::new(store.clone(), hubspot, clock.clone(), config.refresh);
        Ok(Self { store, access, clock, config })
    }
}

/// What a run did: `due` is the sum of all others.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Integrations found due.
    pub due: u32,
    /// Refreshed by this run.
    pub refreshed: u32,
    /// Refreshed by somebody else, or gone.
    pub already_fresh: u32,
    /// Older instances, which are put off.
    pub superseded: u32,
    /// No longer accepted by HubSpot.
    pub revoked: u32,
    /// Not refreshed by a mistake of ours.
    pub misconfigured: u32,
    /// Not refreshed for now.
    pub transient: u32,
    /// Contradicting themselves.
    pub corrupt: u32,
    /// Not begun; the next run goes on.
    pub left: u32,
}

/// The end of the work on one due integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Refreshed,
    AlreadyFresh,
    Superseded,
    Revoked,
    Misconfigured,
    Transient,
    Corrupt,
    Left,
}

impl Report {
    fn count(mut self, done: Done) -> Self {
        self.due += 1;
        *match done {
            Done::Refreshed => &mut self.refreshed,
            Done::AlreadyFresh => &mut self.already_fresh,
            Done::Superseded => &mut self.superseded,
            Done::Revoked => &mut self.revoked,
            Done::Misconfigured => &mut self.misconfigured,
            Done::Transient => &mut self.transient,
            Done::Corrupt => &mut self.corrupt,
            Done::Left => &mut self.left,
        } += 1;
        self
    }
}

/// The event of the schedule: which shards, or all. EventBridge's own event, which it sends unless told otherwise,
/// means all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    shards: Option<Vec<u8>>,
}

/// Why a run did not take place, by a name that alarms may rely on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The event names shards that do not exist, or is none.
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
    let event = if event.get("detail-type").is_some() { Value::Object(Map::new()) } else { event };
    let shards = match serde_json::from_value::<Event>(event) {
        Ok(Event { shards: None }) => (0..REFRESH_SHARDS).collect(),
        Ok(Event { shards: Some(mut shards) }) if shards.iter().all(|shard| *shard < REFRESH_SHARDS) => {
            shards.sort_unstable();
            shards.dedup();
            shards
        }
        _ => return Err(Failed::InvalidEvent),
    };
    let began = app.clock.now_millis();
    let refresh_takes = (app.config.refresh.token_timeout + 6) * 1000;
    let stop_at = deadline - STOP_BEFORE_DEADLINE.max(refresh_takes);
    let run = Run { app, deadline, stop_at, invalid_clients: AtomicU32::new(0) };
    let due = run.find(shards).await?;
    // Those that wait longest come first.
    let refresh_lag_s = due.first().map_or(0, |longest| (began / 1000 - longest.refresh_at).max(0));
    let report = stream::iter(due)
        .map(|due| run.work(due))
        .buffer_unordered(app.config.concurrency)
        .fold(Report::default(), |report, done| async move { report.count(done) })
        .await;
    if run.invalid_clients.load(Ordering::Relaxed) >= INVALID_CLIENTS {
        tracing::error!(outcome = "invalid_client", "HubSpot refuses our app's credentials: check the app secret");
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
        refresh_lag_s,
        duration_ms = app.clock.now_millis() - began,
        "scheduled refresh"
    );
    Ok(report)
}

/// One run under way.
struct Run<'a> {
    app: &'a App,
    deadline: i64,
    stop_at: i64,
    invalid_clients: AtomicU32,
}

impl Run<'_> {
    /// The due integrations of some shards, those that wait longest first.
    async fn find(&self, shards: Vec<u8>) -> Result<Vec<Due>, Failed> {
        let each = AT_MOST / shards.len().max(1);
        let found: Vec<_> =
            stream::iter(shards).map(|shard| self.find_in(shard, each)).buffer_unordered(4).collect().await;
        if !found.is_empty() && found.iter().all(Result::is_err) {
            return Err(Failed::IndexUnavailable);
        }
        let mut due: Vec<Due> = found.into_iter().flatten().flatten().collect();
        due.sort_by_key(|due| due.refresh_at);
        Ok(due)
    }

    async fn find_in(&self, shard: u8, at_most: usize) -> Result<Vec<Due>, Failed> {
        let (mut due, mut after) = (Vec::new(), None);
        loop {
            let page = self.app.store.due(shard, self.app.clock.now(), after.take()).await.map_err(|error| {
                tracing::error!(shard, cause = %error, "the index of due integrations could not be read");
                Failed::IndexUnavailable
            })?;
            due.extend(page.due);
            after = page.next;
            if after.is_none() || due.len() >= at_most {
                due.truncate(at_most);
                return Ok(due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_is_the_sum_of_all_others() {
        let all = [
            Done::Refreshed,
            Done::AlreadyFresh,
            Done::Superseded,
            Done::Revoked,
            Done::Misconfigured,
            Done::Transient,
            Done::Corrupt,
            Done::Left,
        ];

        let report = all.into_iter().fold(Report::default(), Report::count);

        let json = serde_json::to_value(&report).unwrap();
        let others = json.as_object().unwrap().iter().filter(|(name, _)| *name != "due");
        assert!(others.clone().all(|(_, count)| *count == 1));
        assert_eq!(others.count() as u32, report.due);
    }
}
