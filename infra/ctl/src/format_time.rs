//! Times and counts for people.

use jiff::Timestamp;

/// A duration in seconds, in its largest unit.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A time before or after now.
pub(crate) fn since(at: i64, now: i64) -> String {
    if at > now {
        format!("in {}", span(at.saturating_sub(now)))
    } else {
        format!("{} ago", span(now.saturating_sub(at)))
    }
}

/// A time as a date (UTC), as epoch seconds and relative to now.
pub(crate) fn date(at: i64, now: i64) -> String {
    match Timestamp::from_second(at) {
        Ok(date) => format!("{date} ({at}, {})", since(at, now)),
        Err(_) => format!("{at} ({})", since(at, now)),
    }
}

/// A count with its noun: `1 account`, `2 accounts`.
pub(crate) fn counted(count: usize, singular: &str) -> String {
    if count == 1 { format!("1 {singular}") } else { format!("{count} {singular}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_its_largest_useful_unit() {
        for (at, expected) in [
            (1_000_000, "0 s ago"),
            (1_000_119, "in 119 s"),
            (1_000_120, "in 2 min"),
            (1_007_199, "in 119 min"),
            (992_800, "2 h ago"),
            (827_200, "2 d ago"),
        ] {
            assert_eq!(since(at, 1_000_000), expected);
        }
    }

    #[test]
    fn a_date_is_printed_beside_epoch_seconds() {
        assert_eq!(date(1_600_000_000, 1_600_000_060), "2020-09-13T12:26:40Z (1600000000, 60 s ago)");
        assert_eq!(date(i64::MAX, 0), "9223372036854775807 (in 106751991167300 d)");
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(
            [counted(0, "account"), counted(1, "account"), counted(2, "account")],
            ["0 accounts", "1 account", "2 accounts"]
        );
    }
}
