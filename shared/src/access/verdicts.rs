//! A limit to the verdicts that runs believe: HubSpot may refuse everybody for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// How many verdicts in a row, without one success, the runs of a process believe.
const BELIEVED_VERDICTS: usize = 10;
/// A success in this time, in seconds, shows that HubSpot refreshes other integrations.
const LATELY: i64 = 3_600;

/// The verdicts that may still be believed, and the successes between them.
#[derive(Clone)]
pub(super) struct VerdictLimit {
    /// Without a limit outside a run.
    left: Arc<AtomicUsize>,
    withheld: Arc<AtomicUsize>,
    last_success_at: Arc<AtomicI64>,
}

impl Default for VerdictLimit {
    fn default() -> Self {
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        Self { left, withheld: Arc::default(), last_success_at: Arc::default() }
    }
}

impl VerdictLimit {
    /// Begins a run. It believes what earlier ones have left: only a success renews that.
    pub(super) fn begin_run(&self) {
        self.left.fetch_min(BELIEVED_VERDICTS, Ordering::Relaxed);
        self.withheld.store(0, Ordering::Relaxed);
    }

    /// How many verdicts were not believed since the run began.
    pub(super) fn withheld(&self) -> usize {
        self.withheld.load(Ordering::Relaxed)
    }

    /// Returns true if one more verdict may be believed.
    pub(super) fn may_believe(&self) -> bool {
        let take = |left: usize| if left == usize::MAX { Some(left) } else { left.checked_sub(1) };
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if !taken {
            self.withheld.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Records that HubSpot has refreshed an integration.
    pub(super) fn record_success(&self, now: i64) {
        let renew = |left: usize| (left != usize::MAX).then_some(BELIEVED_VERDICTS);
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, renew);
        self.last_success_at.store(now, Ordering::Relaxed);
    }

    /// Returns true if HubSpot has refreshed some integration lately, as far as this process knows.
    pub(super) fn others_refresh(&self, now: i64) -> bool {
        let last = self.last_success_at.load(Ordering::Relaxed);
        last > 0 && now.saturating_sub(last) <= LATELY
    }
}
