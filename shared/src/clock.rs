//! The one place where time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time, which tests may move forward for everything that shares a clone of it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_millis: Arc<AtomicI64>,
    hurried: Arc<AtomicBool>,
    /// Milliseconds since the epoch; 0 while it runs.
    stands_at_millis: Arc<AtomicI64>,
    skew_millis: i64,
}

impl Clock {
    /// Milliseconds since the epoch.
    pub fn now_millis(&self) -> i64 {
        let base = match self.stands_at_millis.load(Ordering::Relaxed) {
            0 => system_millis(),
            stands_at => stands_at,
        };
        base + self.ahead_millis.load(Ordering::Relaxed) + self.skew_millis
    }

    /// Stops this clock and all its clones: they move only by [`Clock::advance`] and by what is waited with
    /// [`Clock::sleep`], however busy the machine is.
    pub fn stop(&self) {
        self.stands_at_millis.store(system_millis(), Ordering::Relaxed);
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
        self.ahead_millis.fetch_add(millis(by), Ordering::Relaxed);
    }

    /// Lets waiting take no time from now on: each wait moves this clock and all its clones forward instead.
    pub fn skip_waits(&self) {
        self.hurried.store(true, Ordering::Relaxed);
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        if self.hurried.load(Ordering::Relaxed) {
            self.advance(time);
            return tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ahead_then = self.ahead_millis.load(Ordering::Relaxed).saturating_add(millis(time));
        tokio::time::sleep(time).await;
        if self.stands_at_millis.load(Ordering::Relaxed) != 0 {
            // Not added: others may have waited at the same time.
            self.ahead_millis.fetch_max(ahead_then, Ordering::Relaxed);
        }
    }

    /// Time left until `deadline` (milliseconds since the epoch), zero when it has passed.
    pub fn remaining(&self, deadline_millis: i64) -> Duration {
        Duration::from_millis(u64::try_from(deadline_millis - self.now_millis()).unwrap_or(0))
    }
}

fn system_millis() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(system)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stopped_clock_moves_only_by_what_is_waited_and_told() {
        let clock = Clock::default();
        clock.stop();
        let other = clock.clone();
        let began = clock.now_millis();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(clock.now_millis(), began);

        // Two that wait at the same time wait for the longer of their times.
        tokio::join!(clock.sleep(Duration::from_millis(20)), other.sleep(Duration::from_millis(30)));
        assert_eq!(other.now_millis() - began, 30);

        other.advance(Duration::from_secs(60));
        clock.sleep(Duration::from_millis(10)).await;
        assert_eq!(clock.now_millis() - began, 60_040);
    }
}
