//! `date_bin` in microseconds, from the year 0001 to 9999, and in the zone of its moments.
//!
//! `DataFusion` 55.2 takes moments and origins in nanoseconds, and bins of a day that begin at
//! midnight in UTC whatever the zone.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Months};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::local::{Micros, first_moment, is_utc, micros_in, wall_clock};
use super::nodes::refuse;
use super::times::out_of_range;

/// The function, which replaces `DataFusion`'s.
pub(super) fn date_bin() -> ScalarUDF {
    ScalarUDF::from(DateBin {
        of_day: datetime::date_bin(),
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateBin {
    /// `DataFusion`'s, for times of day.
    of_day: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for DateBin {
    fn name(&self) -> &'static str {
        "date_bin"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// A stride, a moment and an origin; moments are as they are.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [_, moment, origin @ ..] = arg_types else {
            return plan_err!("date_bin wants a stride and a moment");
        };
        if origin.len() > 1 {
            return plan_err!("date_bin wants a stride, a moment and an origin");
        }
        let micros = |data_type: &DataType| match data_type {
            DataType::Time32(_) | DataType::Time64(_) => data_type.clone(),
            DataType::Timestamp(_, zone) => micros_in(zone.as_deref()),
            _ => micros_in(None),
        };
        let stride = DataType::Interval(IntervalUnit::MonthDayNano);
        Ok([stride, micros(moment)].into_iter().chain(origin.iter().map(micros)).collect())
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types.get(1) {
            Some(moment @ DataType::Timestamp(..)) => Ok(moment.clone()),
            _ => self.of_day.return_type(arg_types),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Timestamp(_, zone) = args.args[1].data_type() else {
            return self.of_day.invoke_with_args(args);
        };
        let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(stride)) = &args.args[0] else {
            return refuse!("date_bin wants one stride for all rows");
        };
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let moments = args.args[1].to_array(args.number_rows)?;
        let moments = moments.as_primitive::<TimestampMicrosecondType>();
        let local = zone.as_deref().filter(|zone| !is_utc(zone));
        let local = local.map(str::parse::<Tz>).transpose()?;
        let origin = origin(args.args.get(2), local)?;
        let bins: Micros = match stride.zip(origin) {
            None => Micros::new_null(moments.len()),
            Some((stride, origin)) => {
                require_length(&stride)?;
                moments
                    .try_unary(|us| begin(us, &stride, origin, local).ok_or_else(out_of_range))?
            }
        };
        let bins = bins.with_timezone_opt(zone);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&bins, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(bins)))
    }
}

/// The origin on the clock of the moments' zone; the begin of 1970 if there is none.
fn origin(origin: Option<&ColumnarValue>, local: Option<Tz>) -> Result<Option<i64>> {
    let (us, zone) = match origin {
        None => return Ok(Some(0)),
        Some(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(us, zone))) => (*us, zone),
        Some(_) => return refuse!("date_bin wants one origin for all rows"),
    };
    let own = zone.as_deref().map(str::parse::<Tz>).transpose()?;
    let shown = |us: i64, zone: Tz| wall_clock(us, zone).ok_or_else(out_of_range);
    match (us, &own) {
        (Some(us), Some(own)) => shown(us, local.unwrap_or(*own)).map(Some),
        (us, _) => Ok(us),
    }
}

fn require_length(stride: &IntervalMonthDayNano) -> Result<()> {
    let (months, days, ns) = (stride.months, stride.days, stride.nanoseconds);
    if months != 0 && (days != 0 || ns != 0) {
        return refuse!("a stride of date_bin has months, or days and times, and not both");
    }
    let length = i128::from(days) * 86_400_000_000_000 + i128::from(ns);
    if months < 0 || (months == 0 && length <= 0) {
        return refuse!("a stride of date_bin is longer than nothing");
    }
    Ok(())
}

/// The begin of the bin of a moment, by the clock of a zone.
fn begin(us: i64, stride: &IntervalMonthDayNano, origin: i64, local: Option<Tz>) -> Option<i64> {
    let Some(zone) = local else { return bin(us, stride, origin) };
    let shown = wall_clock(us, zone)?;
    let begin = bin(shown, stride, origin)?;
    if stride.months == 0 && stride.days == 0 {
        // Of an hour that comes twice each has its own bins.
        let same_offset = begin.checked_sub(shown - us)?;
        if wall_clock(same_offset, zone)? == begin {
            return Some(same_offset);
        }
    }
    first_moment(begin, zone)
}

/// The begin of the bin that a time falls into.
fn bin(us: i64, stride: &IntervalMonthDayNano, origin: i64) -> Option<i64> {
    if stride.months != 0 {
        return month(us, stride.months, origin);
    }
    let ns = i128::from(stride.days) * 86_400_000_000_000 + i128::from(stride.nanoseconds);
    let whole = (ns % 1_000 == 0).then(|| i64::try_from(ns / 1_000).ok()).flatten();
    if let (Some(stride), Some(since)) = (whole, us.checked_sub(origin)) {
        return origin.checked_add(since.div_euclid(stride) * stride);
    }
    let since = (i128::from(us) - i128::from(origin)) * 1_000;
    let begin = i128::from(origin) * 1_000 + since.checked_div_euclid(ns)? * ns;
    i64::try_from(begin.div_euclid(1_000)).ok()
}

fn month(us: i64, months: i32, origin: i64) -> Option<i64> {
    let (moment, first) =
        (DateTime::from_timestamp_micros(us)?, DateTime::from_timestamp_micros(origin)?);
    let index =
        |moment: &DateTime<_>| moment.year() * 12 + i32::try_from(moment.month0()).unwrap_or(0);
    let n = (index(&moment) - index(&first)).div_euclid(months) * months;
    let at = |n: i32| {
        let months = Months::new(n.unsigned_abs());
        if n < 0 { first.checked_sub_months(months) } else { first.checked_add_months(months) }
    };
    let begin = at(n)?;
    let begin = if begin > moment { at(n - months)? } else { begin };
    Some(begin.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn a_bin_begins_at_its_origin() {
        let months = IntervalMonthDayNano::new(3, 0, 0);
        let far = us("9999-12-31T00:00:00Z");
        assert_eq!(bin(far, &months, 0), Some(us("9999-10-01T00:00:00Z")));
        let days = IntervalMonthDayNano::new(0, 5, 0);
        assert_eq!(bin(-1, &days, 0), Some(-5 * 86_400_000_000));
        assert_eq!(bin(far, &days, us("0001-01-01T00:00:00Z")), Some(us("9999-12-28T00:00:00Z")));
        let ns = IntervalMonthDayNano::new(0, 0, 1_500);
        assert_eq!(bin(5, &ns, 0), Some(4));
    }

    #[test]
    fn each_hour_that_comes_twice_has_its_own_bin_and_a_day_has_one() {
        let zone: Tz = "America/Havana".parse().unwrap();
        let (hour, day) = (
            IntervalMonthDayNano::new(0, 0, 3_600_000_000_000),
            IntervalMonthDayNano::new(0, 1, 0),
        );
        // Midnight comes twice.
        for (moment, of_hour) in [
            ("2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z"),
            ("2026-11-01T05:30:00Z", "2026-11-01T05:00:00Z"),
            ("2026-11-01T15:30:00Z", "2026-11-01T15:00:00Z"),
        ] {
            assert_eq!(begin(us(moment), &hour, 0, Some(zone)), Some(us(of_hour)));
            let midnight = us("2026-11-01T04:00:00Z");
            assert_eq!(begin(us(moment), &day, 0, Some(zone)), Some(midnight), "{moment}");
        }
    }
}
