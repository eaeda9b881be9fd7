//! `reporting_date(timestamp)`: the day of a moment in the reporting time zone.

use std::sync::Arc;

use chrono::{DateTime, Datelike};
use chrono_tz::Tz;
use datafusion::arrow::array::{AsArray, Date32Array};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

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
        let days: Date32Array =
            moments.iter().map(|us| us.and_then(|us| day(us, self.tz))).collect();
        Ok(ColumnarValue::Array(Arc::new(days)))
    }
}

/// Days since 1970 of the day that `us` falls on in `tz`.
fn day(us: i64, tz: Tz) -> Option<i32> {
    if tz == Tz::UTC {
        return i32::try_from(us.div_euclid(86_400_000_000)).ok();
    }
    let moment = DateTime::from_timestamp_micros(us)?;
    Some(moment.with_timezone(&tz).date_naive().num_days_from_ce() - EPOCH_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_local_midnight() {
        let us = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
        let utc = day(us("2026-03-01T23:30:00Z"), Tz::UTC).unwrap();
        assert_eq!(day(us("2026-03-01T23:30:00Z"), Tz::Europe__Paris), Some(utc + 1));
        assert_eq!(day(us("2026-03-01T07:59:59Z"), Tz::America__Los_Angeles), Some(utc - 1));
        assert_eq!(day(us("1969-12-31T23:59:59Z"), Tz::UTC), Some(-1));
    }
}
