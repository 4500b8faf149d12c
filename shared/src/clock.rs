//! The one place where time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time, which tests may move forward for everything that shares a clone of it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_millis: Arc<AtomicI64>,
    hurried: Arc<AtomicBool>,
    skew_millis: i64,
}

impl Clock {
    /// Milliseconds since the epoch.
    pub fn now_millis(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ahead = self.ahead_millis.load(Ordering::Relaxed) + self.skew_millis;
        i64::try_from(system.as_millis()).unwrap_or(i64::MAX) + ahead
    }

    /// Seconds since the epoch.
    pub fn now(&self) -> i64 {
        self.now_millis() / 1000
    }

    /// A clone that goes wrong by so many milliseconds.
    #[must_use]
    pub fn skewed(&self, millis: i64) -> Self {
        Self { skew_millis: self.skew_millis + millis, ..self.clone() }
    }

    /// Moves this clock and all its clones forward.
    pub fn advance(&self, by: Duration) {
        self.ahead_millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Lets waiting take no time from now on: who waits moves this clock and all its clones forward instead.
    pub fn skip_waits(&self) {
        self.hurried.store(true, Ordering::Relaxed);
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        let time = if self.hurried.load(Ordering::Relaxed) {
            self.advance(time);
            Duration::from_millis(1)
        } else {
            time
        };
        tokio::time::sleep(time).await;
    }

    /// Time left until `deadline` (milliseconds since the epoch), zero when it has passed.
    pub fn remaining(&self, deadline_millis: i64) -> Duration {
        Duration::from_millis(u64::try_from(deadline_millis - self.now_millis()).unwrap_or(0))
    }
}
