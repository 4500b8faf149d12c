//! Dates as AWS writes them, in UTC.

use jiff::Timestamp;

/// `20261124T101530Z`, as signatures have it.
pub(super) fn amz_date(epoch: i64) -> String {
    format("%Y%m%dT%H%M%SZ", epoch)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (epoch, amz, event) in [
            (0, "19700101T000000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "20000228T235959Z", "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "20000229T000000Z", "29/Feb/2000:00:00:00 +0000"),
            (1_795_515_330, "20261124T101530Z", "24/Nov/2026:10:15:30 +0000"),
        ] {
            assert_eq!((amz_date(epoch).as_str(), event_time(epoch).as_str()), (amz, event));
        }
    }
}
