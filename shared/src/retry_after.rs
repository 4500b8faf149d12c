//! `Retry-After` (RFC 9110, section 10.2.3), as HubSpot and the edge in front of it send it.

use std::time::{Duration, UNIX_EPOCH};

/// The longest wait that is believed, in seconds: HubSpot moves a portal (477) within a day.
const LONGEST: u64 = 86_400;

/// The seconds to wait, at least one and at most a day: from whole seconds, decimals or an HTTP date of any of the
/// three forms. `None` for any other value.
pub fn seconds(value: &str, now: i64) -> Option<u64> {
    let value = value.trim();
    let seconds = if value.bytes().next()?.is_ascii_digit() { delay(value)? } else { until(value, now)? };
    Some(seconds.clamp(1, LONGEST))
}

/// Seconds, rounded up. A number that is too large for its type is a long time, not an error.
fn delay(value: &str) -> Option<u64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let begun = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    Some(whole.saturating_add(begun))
}

/// Seconds until a date; zero if it has passed.
fn until(value: &str, now: i64) -> Option<u64> {
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(now).ok()?);
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).map_or(0, |left| left.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_floor_and_a_cap() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = 784_111_777;
        for (value, expected) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("0", Some(1)),
            ("0.2", Some(1)),
            ("1.0", Some(1)),
            ("1.5", Some(2)),
            ("86400", Some(86_400)),
            ("86401", Some(86_400)),
            ("18446744073709551615", Some(86_400)),
            ("18446744073709551616.5", Some(86_400)),
            ("99999999999999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sun Nov  6 08:49:47 1994", Some(10)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(1)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(1)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
            ("", None),
            ("-1", None),
            ("1e9", None),
            ("1.5.5", None),
            ("7s", None),
            ("soon", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(seconds(value, now), expected, "{value}");
        }
    }
}
