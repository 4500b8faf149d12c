//! Times as people say them.

/// So many seconds, in its largest unit.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.abs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A time before or after now.
pub(crate) fn since(at: i64, now: i64) -> String {
    if at > now { format!("in {}", span(at - now)) } else { format!("{} ago", span(now - at)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_its_largest_unit_that_says_something() {
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
}
