//! The years that readers of tables know: 0001 to 9999. A date or time outside of them can be written
//! without complaint, and Python, Spark and others fail on the table.

use std::fmt;
use std::ops::RangeInclusive;

/// Days since 1970 of 0001-01-01 and 9999-12-31.
pub const DAYS: RangeInclusive<i32> = -719_162..=2_932_896;

/// Microseconds since 1970 of the begin of 0001 and the end of 9999.
pub const MICROS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Microseconds of a number of milliseconds since 1970; `None` outside of these years.
pub fn micros_of_ms(ms: i64) -> Option<i64> {
    ms.checked_mul(1000).filter(|us| MICROS.contains(us))
}

/// A day that is counted from 1970-01-01, of any year: `2026-03-01`. A year outside of 0000 to 9999
/// has a sign, as in ISO 8601.
#[derive(Clone, Copy, Debug)]
pub struct Day(pub i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Howard Hinnant's civil_from_days: years that begin in March, in eras of 400 of them.
        let shifted = self.0 + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        match year {
            0..=9999 => write!(f, "{year:04}-{month:02}-{day:02}"),
            _ => write!(f, "{year:+05}-{month:02}-{day:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_outside_of_the_years_is_none() {
        let us =
            |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        assert_eq!(*MICROS.start(), us("0001-01-01T00:00:00Z"));
        assert_eq!(*MICROS.end(), us("9999-12-31T23:59:59.999999Z"));
        assert_eq!(micros_of_ms(253_402_300_799_999), Some(253_402_300_799_999_000));
        assert_eq!(micros_of_ms(253_402_300_800_000), None);
        assert_eq!(micros_of_ms(-62_135_596_800_001), None);
        assert_eq!(micros_of_ms(i64::MAX), None);
    }
}
