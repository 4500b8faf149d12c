//! Holds back all but the first few integrations of a run until HubSpot is known to answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::report::RefreshOutcome;

/// The gate opens after this time at the latest: one integration that cannot be written must not stop a run.
const OPENS_AFTER: Duration = Duration::from_secs(3);

/// Opens when HubSpot has answered one of the first integrations clearly, or all of them have ended, or after a while.
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    under_way: AtomicUsize,
}

impl Gate {
    /// A gate that the first so many integrations open.
    pub(crate) fn new(first: usize) -> Self {
        Self { open: watch::Sender::new(first == 0), under_way: AtomicUsize::new(first) }
    }

    /// Notes the end of one of the first integrations.
    pub(crate) fn note(&self, outcome: RefreshOutcome) {
        let last = self.under_way.fetch_sub(1, Ordering::Relaxed) == 1;
        let clear = matches!(outcome, RefreshOutcome::Refreshed | RefreshOutcome::Revoked);
        if last || clear {
            self.open.send_replace(true);
        }
    }

    /// Waits until the gate is open.
    pub(crate) async fn wait(&self) {
        let mut open = self.open.subscribe();
        if timeout(OPENS_AFTER, open.wait_for(|open| *open)).await.is_err() {
            self.open.send_replace(true);
        }
    }
}
