//! Dates as AWS writes them, in UTC.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `20261124T101530Z`, as signatures have it.
pub(super) fn amz_date(epoch: i64) -> String {
    let ((year, month, day), (hour, minute, second)) = civil(epoch);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `24/Nov/2026:10:15:30 +0000`, as events have it.
pub(super) fn event_time(epoch: i64) -> String {
    let ((year, month, day), (hour, minute, second)) = civil(epoch);
    let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"");
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

/// `2026-11-24T10:15:30Z`.
pub(crate) fn iso(epoch: i64) -> String {
    let ((year, month, day), (hour, minute, second)) = civil(epoch);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day by the proleptic Gregorian calendar (Hinnant's `civil_from_days`), and the time of day.
fn civil(epoch: i64) -> ((i64, i64, i64), (i64, i64, i64)) {
    let (days, seconds) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    ((year, month, day), (seconds / 3_600, seconds / 60 % 60, seconds % 60))
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
