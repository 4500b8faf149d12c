//! The one place where time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time, which tests may move forward for everything that shares a clone of it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_millis: Arc<AtomicI64>,
}

impl Clock {
    /// Milliseconds since the epoch.
    pub fn now_millis(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(system.as_millis()).unwrap_or(i64::MAX) + self.ahead_millis.load(Ordering::Relaxed)
    }

    /// Seconds since the epoch.
    pub fn now(&self) -> i64 {
        self.now_millis() / 1000
    }

    /// Moves this clock and all its clones forward.
    pub fn advance(&self, by: Duration) {
        self.ahead_millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Time left until `deadline` (milliseconds since the epoch), zero when it has passed.
    pub fn left(&self, deadline_millis: i64) -> Duration {
        Duration::from_millis(u64::try_from(deadline_millis - self.now_millis()).unwrap_or(0))
    }
}
