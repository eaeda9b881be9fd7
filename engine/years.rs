//! The years that readers of tables know: 0001 to 9999. A date or time outside of them can be written
//! without complaint, and Python, Spark and others fail on the table.

use std::ops::RangeInclusive;

/// Days since 1970 of 0001-01-01 and 9999-12-31.
pub const DAYS: RangeInclusive<i32> = -719_162..=2_932_896;

/// Microseconds since 1970 of the begin of 0001 and the end of 9999.
pub const MICROS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Microseconds of a number of milliseconds since 1970; `None` outside of these years.
pub fn micros_of_ms(ms: i64) -> Option<i64> {
    ms.checked_mul(1000).filter(|us| MICROS.contains(us))
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
