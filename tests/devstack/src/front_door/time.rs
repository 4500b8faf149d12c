//! Dates as AWS writes them, in UTC.

use jiff::Timestamp;

/// `24/Nov/2026:10:15:30 +0000`, as events have it.
pub(super) fn event_time(epoch: i64) -> String {
    format("%d/%b/%Y:%H:%M:%S +0000", epoch)
}

/// `2026-11-24T10:15:30Z`.
pub(crate) fn iso(epoch: i64) -> String {
    format("%Y-%m-%dT%H:%M:%SZ", epoch)
}

fn format(pattern: &str, epoch: i64) -> String {
    Timestamp::from_second(epoch).expect("a clock of today").strftime(pattern).to_string()
}
