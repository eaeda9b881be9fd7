//! Times as text: RFC 3339, computed here so that no value that a column can hold cannot be printed.
//!
//! chrono ends at the year 262143, and a 64-bit count of microseconds does not; a time that cannot
//! be printed would break a line of JSON or end a CSV in the middle.

use std::str::FromStr;

use chrono::{DateTime, Offset, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::TimeUnit;

use crate::years::Day;

const DAY_S: i64 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;

/// What stands behind a timestamp.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    /// Nothing: a timestamp without a zone says no moment.
    None,
    /// `Z`.
    Utc,
    /// The offset in force at that moment.
    Local(Tz),
}

impl Zone {
    /// The zone of a column's type. One that is not known is printed in UTC, as it is stored.
    pub(super) fn of(name: Option<&str>) -> Self {
        const UTC: &[&str] = &["utc", "z", "+00:00", "-00:00", "+0000", "+00", "etc/utc", "zulu"];
        match name {
            None => Self::None,
            Some(name) if UTC.contains(&name.to_ascii_lowercase().as_str()) => Self::Utc,
            Some(name) => Tz::from_str(name).map_or(Self::Utc, Self::Local),
        }
    }

    /// Seconds east of UTC at a moment. RFC 3339 knows whole minutes only: older local times with
    /// seconds in their offset are rounded, together with the time, so that the moment is exact.
    fn offset_s(self, moment_s: i64) -> Option<i64> {
        let Self::Local(zone) = self else { return None };
        let moment = DateTime::from_timestamp(moment_s, 0)?.naive_utc();
        let offset = i64::from(zone.offset_from_utc_datetime(&moment).fix().local_minus_utc());
        Some((offset + 30).div_euclid(60) * 60)
    }
}

/// A timestamp: `2026-03-01T10:00:00.000000Z`, with nine digits where six are not all. Years
/// beyond 9999 have a sign, as in ISO 8601.
pub(super) fn timestamp(value: i64, unit: TimeUnit, zone: Zone) -> String {
    let (seconds, nanos) = split(value, unit);
    let offset = zone.offset_s(seconds);
    let local = i128::from(seconds) + i128::from(offset.unwrap_or(0));
    let day = Day(i64::try_from(local.div_euclid(i128::from(DAY_S))).unwrap_or_default());
    let of_day = clock(i64::try_from(local.rem_euclid(i128::from(DAY_S))).unwrap_or_default());
    let fraction =
        if nanos % 1000 == 0 { format!("{:06}", nanos / 1000) } else { format!("{nanos:09}") };
    let behind = match (zone, offset) {
        (Zone::None, _) => String::new(),
        (_, None) => "Z".to_owned(),
        (_, Some(offset)) => {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    };
    format!("{day}T{of_day}.{fraction}{behind}")
}

/// A day in milliseconds: a date, or a time without a zone where it is no whole day.
pub(super) fn date_ms(value: i64) -> String {
    const DAY_MS: i64 = DAY_S * 1000;
    if value.rem_euclid(DAY_MS) == 0 {
        Day(value.div_euclid(DAY_MS)).to_string()
    } else {
        timestamp(value, TimeUnit::Millisecond, Zone::None)
    }
}

/// A time of day: `10:00:00`, with three, six or nine digits if it has a fraction.
pub(super) fn time_of_day(value: i64, unit: TimeUnit) -> String {
    let (sign, seconds, nanos) = magnitude(value, unit);
    let of_day = clock(i64::try_from(seconds).unwrap_or(i64::MAX));
    match (nanos % 1_000_000, nanos % 1000) {
        _ if nanos == 0 => format!("{sign}{of_day}"),
        (0, _) => format!("{sign}{of_day}.{:03}", nanos / 1_000_000),
        (_, 0) => format!("{sign}{of_day}.{:06}", nanos / 1000),
        _ => format!("{sign}{of_day}.{nanos:09}"),
    }
}

/// A duration as ISO 8601 has it, in seconds: `PT3600S`.
pub(super) fn duration(value: i64, unit: TimeUnit) -> String {
    let (sign, seconds, nanos) = magnitude(value, unit);
    if nanos == 0 {
        return format!("{sign}PT{seconds}S");
    }
    let fraction = format!("{nanos:09}");
    format!("{sign}PT{seconds}.{}S", fraction.trim_end_matches('0'))
}

/// Seconds of a day as `HH:MM:SS`.
fn clock(seconds: i64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => SECOND_NS,
    }
}

/// Whole seconds and the nanoseconds behind them.
fn split(value: i64, unit: TimeUnit) -> (i64, i64) {
    let per = per_second(unit);
    (value.div_euclid(per), value.rem_euclid(per) * (SECOND_NS / per))
}

/// The sign, the whole seconds and the nanoseconds behind them.
fn magnitude(value: i64, unit: TimeUnit) -> (&'static str, u64, u64) {
    let per = per_second(unit).unsigned_abs();
    let size = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    (sign, size / per, size % per * (SECOND_NS.unsigned_abs() / per))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use datafusion::arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

    use super::*;

    /// 2026-03-01T10:00:00Z.
    const MOMENT_S: i64 = 1_772_359_200;

    #[test]
    fn a_time_has_the_offset_of_its_zone_and_utc_has_z() {
        for (zone, shown) in [
            (None, "2026-03-01T10:00:00.250000"),
            (Some("UTC"), "2026-03-01T10:00:00.250000Z"),
            (Some("+00:00"), "2026-03-01T10:00:00.250000Z"),
            (Some("Europe/Berlin"), "2026-03-01T11:00:00.250000+01:00"),
            (Some("+05:30"), "2026-03-01T15:30:00.250000+05:30"),
            (Some("-09:30"), "2026-03-01T00:30:00.250000-09:30"),
            (Some("Europe/London"), "2026-03-01T10:00:00.250000+00:00"),
            (Some("Mars/Base"), "2026-03-01T10:00:00.250000Z"),
        ] {
            assert_eq!(timestamp(MOMENT_S * 1000 + 250, Millisecond, Zone::of(zone)), shown);
        }
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_apart_by_its_offset() {
        let berlin = Zone::of(Some("Europe/Berlin"));
        // 2026-10-25T00:30:00Z and an hour later.
        let [first, second] = [1_792_888_200, 1_792_891_800].map(|s| timestamp(s, Second, berlin));
        assert_eq!(first, "2026-10-25T02:30:00.000000+02:00");
        assert_eq!(second, "2026-10-25T02:30:00.000000+01:00");
    }

    #[test]
    fn an_offset_with_seconds_keeps_the_moment() {
        let berlin = Zone::of(Some("Europe/Berlin"));
        // In 1800 it was 53 minutes and 28 seconds.
        let shown = timestamp(-5_364_662_400, Second, berlin);
        assert_eq!(shown, "1800-01-01T00:53:00.000000+00:53");
    }

    #[test]
    fn all_digits_of_a_nanosecond_are_there() {
        let of = |ns| timestamp(MOMENT_S * SECOND_NS + ns, Nanosecond, Zone::Utc);
        assert_eq!(of(123_456_789), "2026-03-01T10:00:00.123456789Z");
        assert_eq!(of(123_456_000), "2026-03-01T10:00:00.123456Z");
        assert_eq!(timestamp(-1, Nanosecond, Zone::Utc), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn far_times_are_printed_as_what_they_are() {
        for (us, shown) in [
            (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "+10000-01-01T00:00:00.000000Z"),
            (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999999Z"),
            (i64::MAX, "+294247-01-10T04:00:54.775807Z"),
            (i64::MIN, "-290308-12-21T19:59:05.224192Z"),
        ] {
            assert_eq!(timestamp(us, Microsecond, Zone::Utc), shown);
        }
        let berlin = Zone::of(Some("Europe/Berlin"));
        assert!(timestamp(i64::MAX, Microsecond, berlin).ends_with("04:00:54.775807Z"));
        assert!(timestamp(i64::MAX, Second, berlin).starts_with("+292277026596-12-04T"));
        assert!(timestamp(i64::MIN, Second, Zone::None).starts_with("-292277022657-01-27T"));
    }

    #[test]
    fn days_are_those_of_chrono() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in (-800_000_i64..3_000_000).step_by(97) {
            let expected = epoch + chrono::Duration::days(day);
            assert_eq!(Day(day).to_string(), expected.to_string());
        }
        assert_eq!(Day(i64::from(i32::MAX)).to_string(), "+5881580-07-11");
        assert_eq!(date_ms(DAY_S * 1000), "1970-01-02");
        assert_eq!(date_ms(-1), "1969-12-31T23:59:59.999000");
    }

    #[test]
    fn times_of_day_and_durations_have_the_digits_that_they_need() {
        assert_eq!(time_of_day(36_000, Second), "10:00:00");
        assert_eq!(time_of_day(36_000_250, Millisecond), "10:00:00.250");
        assert_eq!(time_of_day(1, Nanosecond), "00:00:00.000000001");
        assert_eq!(time_of_day(-1, Second), "-00:00:01");
        assert_eq!(duration(3600, Second), "PT3600S");
        assert_eq!(duration(-1_500, Millisecond), "-PT1.5S");
        assert_eq!(duration(i64::MIN, Second), "-PT9223372036854775808S");
    }
}
