//! Days, times and spans as text, whatever their number is: no calendar of a library is wide enough.

use std::io::Write;

use crate::years::Day;

const DAY_SECONDS: i64 = 86_400;
const DAY_NANOS: i64 = DAY_SECONDS * 1_000_000_000;

/// `2026-03-01` of the days since 1970-01-01.
pub(super) fn push_date(days: i64, out: &mut Vec<u8>) {
    // A Vec takes every byte.
    let _ = write!(out, "{}", Day(days));
}

/// `2026-03-01T12:00:05.123456Z` of a number of units since 1970, of which `per_second` are a second;
/// with nanoseconds where there are any.
pub(super) fn push_moment(value: i64, per_second: i64, out: &mut Vec<u8>) {
    push_fine_moment(value, per_second, 0, out);
}

/// The same, and `nanos` behind it.
pub(super) fn push_fine_moment(value: i64, per_second: i64, nanos: i64, out: &mut Vec<u8>) {
    let (seconds, units) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let nanos = units * (1_000_000_000 / per_second) + nanos;
    push_date(seconds.div_euclid(DAY_SECONDS), out);
    out.push(b'T');
    push_clock(seconds.rem_euclid(DAY_SECONDS), out);
    // A Vec takes every byte.
    let _ = if nanos % 1000 != 0 {
        write!(out, ".{nanos:09}Z")
    } else {
        write!(out, ".{:06}Z", nanos / 1000)
    };
}

/// `12:00:05.123` of the nanoseconds since midnight, up to `24:00:00`; whether it is one.
pub(super) fn push_time(nanos: i64, out: &mut Vec<u8>) -> bool {
    if !(0..=DAY_NANOS).contains(&nanos) {
        return false;
    }
    push_clock(nanos / 1_000_000_000, out);
    // A Vec takes every byte.
    let _ = match nanos % 1_000_000_000 {
        0 => Ok(()),
        n if n % 1_000_000 == 0 => write!(out, ".{:03}", n / 1_000_000),
        n if n % 1000 == 0 => write!(out, ".{:06}", n / 1000),
        n => write!(out, ".{n:09}"),
    };
    true
}

fn push_clock(seconds: i64, out: &mut Vec<u8>) {
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // A Vec takes every byte.
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
}

/// `PT1.5S`: a span of nanoseconds as ISO 8601 has it.
pub(super) fn push_span(nanos: i128, out: &mut Vec<u8>) {
    if nanos == 0 {
        out.extend_from_slice(b"P0D");
        return;
    }
    if nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(b"PT");
    push_seconds(nanos.unsigned_abs(), out);
}

/// `P1Y2M3DT4H5M6.5S`: a span of months, days and milliseconds as ISO 8601 has it.
pub(super) fn push_interval(months: u32, days: u32, ms: u32, out: &mut Vec<u8>) {
    out.push(b'P');
    push_part(months / 12, "Y", out);
    push_part(months % 12, "M", out);
    push_part(days, "D", out);
    if months == 0 && days == 0 && ms == 0 {
        out.extend_from_slice(b"0D");
    }
    if ms > 0 {
        out.push(b'T');
        push_part(ms / 3_600_000, "H", out);
        push_part(ms / 60_000 % 60, "M", out);
        if !ms.is_multiple_of(60_000) {
            push_seconds(u128::from(ms % 60_000) * 1_000_000, out);
        }
    }
}

fn push_part(n: u32, unit: &str, out: &mut Vec<u8>) {
    if n > 0 {
        // A Vec takes every byte.
        let _ = write!(out, "{n}{unit}");
    }
}

fn push_seconds(nanos: u128, out: &mut Vec<u8>) {
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let fraction = format!("{rest:09}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    // A Vec takes every byte.
    let _ = write!(out, "{seconds}{point}{fraction}S");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn days_are_those_of_the_calendar_and_go_on_beyond_it() {
        for days in (-719_162..2_932_896).step_by(97).chain([59, 60, 11_016, 11_017]) {
            let expected = chrono::NaiveDate::from_epoch_days(days).unwrap().to_string();
            assert_eq!(text(|out| push_date(i64::from(days), out)), expected);
        }
        for (days, expected) in [
            (2_932_897, "+10000-01-01"),
            (-719_163, "0000-12-31"),
            (-719_529, "-0001-12-31"),
            (i64::from(i32::MAX), "+5881580-07-11"),
            (i64::from(i32::MIN), "-5877641-06-23"),
        ] {
            assert_eq!(text(|out| push_date(days, out)), expected);
        }
    }

    #[test]
    fn moments_keep_every_digit() {
        let moment = |value, unit| text(|out| push_moment(value, unit, out));
        let (s, us, ns) = (1, 1_000_000, 1_000_000_000);
        assert_eq!(moment(-1, us), "1969-12-31T23:59:59.999999Z");
        assert_eq!(moment(1500, ns), "1970-01-01T00:00:00.000001500Z");
        let fine = text(|out| push_fine_moment(-1, us, 999, out));
        assert_eq!(fine, "1969-12-31T23:59:59.999999999Z");
        assert_eq!(moment(1000, ns), "1970-01-01T00:00:00.000001Z");
        assert_eq!(moment(i64::MAX, us), "+294247-01-10T04:00:54.775807Z");
        assert_eq!(moment(i64::MIN, us), "-290308-12-21T19:59:05.224192Z");
        assert!(moment(i64::MAX, s).starts_with("+292277026596-12-04T15:30:07"));
    }

    #[test]
    fn times_end_at_midnight() {
        let time = |nanos| {
            let mut out = Vec::new();
            push_time(nanos, &mut out).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(time(0).unwrap(), "00:00:00");
        assert_eq!(time(86_399_999_000_000).unwrap(), "23:59:59.999");
        assert_eq!(time(1000).unwrap(), "00:00:00.000001");
        assert_eq!(time(1).unwrap(), "00:00:00.000000001");
        assert_eq!(time(DAY_NANOS).unwrap(), "24:00:00");
        assert_eq!(time(DAY_NANOS + 1), None);
        assert_eq!(time(-1), None);
    }

    #[test]
    fn spans_keep_months_days_and_seconds_apart() {
        let interval = |months, days, ms| text(|out| push_interval(months, days, ms, out));
        assert_eq!(interval(14, 3, 3_600_000), "P1Y2M3DT1H");
        assert_eq!(interval(0, 0, 61_500), "PT1M1.5S");
        assert_eq!(interval(0, 40, 1), "P40DT0.001S");
        assert_eq!(interval(12, 0, 0), "P1Y");
        assert_eq!(interval(0, 0, 0), "P0D");
        assert_eq!(interval(u32::MAX, 0, 0), "P357913941Y3M");
        assert_eq!(text(|out| push_span(1500, out)), "PT0.0000015S");
        assert_eq!(text(|out| push_span(-5_000_000_000, out)), "-PT5S");
        assert_eq!(text(|out| push_span(0, out)), "P0D");
    }
}
