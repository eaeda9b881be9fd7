//! `reporting_date(timestamp)`: the day of a moment in the reporting time zone.
//!
//! Its days are those from 0001-01-01 to 9999-12-31, in every zone: the moments that stand for "always"
//! and "never" lie at the ends, and no reader of the tables knows a year 0 or 10000.

use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate};
use chrono_tz::Tz;
use datafusion::arrow::array::{AsArray, Date32Array};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::years::DAYS;

/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: i32 = 719_163;

/// The function for one time zone.
pub(super) fn reporting_date(tz: Tz) -> ScalarUDF {
    let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    ScalarUDF::from(ReportingDate {
        tz,
        signature: Signature::exact(vec![moment], Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ReportingDate {
    tz: Tz,
    signature: Signature,
}

impl ScalarUDFImpl for ReportingDate {
    fn name(&self) -> &'static str {
        "reporting_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let moments = arrays[0].as_primitive::<TimestampMicrosecondType>();
        let days: Date32Array = moments.iter().map(|us| us.map(|us| day(us, self.tz))).collect();
        Ok(ColumnarValue::Array(Arc::new(days)))
    }
}

/// The first day, 0001-01-01, and the last, 9999-12-31, in days since 1970.
const FIRST: i32 = *DAYS.start();
const LAST: i32 = *DAYS.end();
const US_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970 of the day that `us` falls on in `tz`, no earlier than the first and no later
/// than the last day.
fn day(us: i64, tz: Tz) -> i32 {
    let day = us.div_euclid(US_PER_DAY).clamp(i64::from(FIRST) - 1, i64::from(LAST) + 1);
    let day = i32::try_from(day).unwrap_or(LAST);
    let is_known = (FIRST..=LAST).contains(&day) && tz != Tz::UTC;
    let local = match DateTime::from_timestamp_micros(us).filter(|_| is_known) {
        Some(moment) => local_day(moment.with_timezone(&tz).date_naive()),
        None => day,
    };
    local.clamp(FIRST, LAST)
}

fn local_day(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_local_midnight() {
        let us = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        let utc = day(us("2026-03-01T23:30:00Z"), Tz::UTC);
        assert_eq!(day(us("2026-03-01T23:30:00Z"), Tz::Europe__Paris), utc + 1);
        assert_eq!(day(us("2026-03-01T07:59:59Z"), Tz::America__Los_Angeles), utc - 1);
        assert_eq!(day(us("1969-12-31T23:59:59Z"), Tz::UTC), -1);
    }

    #[test]
    fn days_stay_within_the_years_0001_to_9999_in_every_zone() {
        let us = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        let zones = [Tz::UTC, Tz::Europe__Paris, Tz::Pacific__Kiritimati, Tz::Pacific__Niue];
        for (moment, expected) in [
            ("0001-01-01T00:00:00Z", [FIRST; 4]),
            ("0001-01-01T23:30:00Z", [FIRST; 4]),
            ("9999-12-31T23:30:00Z", [LAST; 4]),
            ("9999-12-31T23:59:59.999999Z", [LAST; 4]),
            ("9999-12-31T03:00:00Z", [LAST, LAST, LAST, LAST - 1]),
            ("9999-12-30T23:30:00Z", [LAST - 1, LAST, LAST, LAST - 1]),
        ] {
            assert_eq!(zones.map(|tz| day(us(moment), tz)), expected, "{moment}");
        }
        for tz in zones {
            assert_eq!((day(i64::MIN, tz), day(i64::MAX, tz)), (FIRST, LAST), "{tz}");
        }
        assert_eq!(local_day(NaiveDate::from_ymd_opt(9999, 12, 31).unwrap()), LAST);
    }
}
