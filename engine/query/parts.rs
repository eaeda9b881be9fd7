//! The fields of a span of time, and its seconds: `extract(hour FROM ended - begun)`.
//!
//! `DataFusion` counts all hours of a difference of times as its hour, drops the fraction of its seconds,
//! and computes in 32 bits, beyond which the result wraps around or is NULL (apache/datafusion#12514,
//! #14738). Here a difference has days, and hours, minutes and seconds of the last one, as in Postgres.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, PrimitiveArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit,
};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::intervals::INTERVAL;

const NS_PER_SECOND: i128 = 1_000_000_000;
const NS_PER_DAY: i128 = 86_400 * NS_PER_SECOND;

/// `date_part` of a difference of times or an INTERVAL, if that is what an expression is.
pub(super) fn of_span(expr: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(None) };
    let ("date_part", [part, span]) = (func.name(), args.as_slice()) else { return Ok(None) };
    let named = part.as_literal().and_then(|part| part.try_as_str().flatten());
    let Some(part) = named.and_then(Part::named) else { return Ok(None) };
    let data_type = span.get_type(schema)?;
    if data_type != INTERVAL && !matches!(data_type, DataType::Duration(_)) {
        return Ok(None);
    }
    let signature = Signature::any(1, Volatility::Immutable);
    Ok(Some(ScalarUDF::from(PartOfSpan { part, signature }).call(vec![span.clone()])))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

impl Part {
    /// The part of a name, which may be in quotes and in the plural.
    fn named(name: &str) -> Option<Self> {
        let name = name.trim_matches(['\'', '"']).to_lowercase();
        Some(match name.as_str() {
            "year" | "years" | "y" | "yr" | "yrs" => Self::Year,
            "quarter" | "quarters" | "qtr" => Self::Quarter,
            "month" | "months" | "mon" | "mons" => Self::Month,
            "week" | "weeks" | "w" => Self::Week,
            "day" | "days" | "d" => Self::Day,
            "hour" | "hours" | "h" | "hr" | "hrs" => Self::Hour,
            "minute" | "minutes" | "m" | "min" | "mins" => Self::Minute,
            "second" | "seconds" | "s" | "sec" | "secs" => Self::Second,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Self::Millisecond,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => Self::Microsecond,
            "nanosecond" | "nanoseconds" | "ns" | "nsec" | "nsecs" => Self::Nanosecond,
            "epoch" => Self::Epoch,
            _ => return None,
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PartOfSpan {
    part: Part,
    signature: Signature,
}

impl ScalarUDFImpl for PartOfSpan {
    fn name(&self) -> &'static str {
        "part_of_span"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.part {
            Part::Epoch => DataType::Float64,
            Part::Nanosecond => DataType::Int64,
            _ => DataType::Int32,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let spans = ColumnarValue::values_to_arrays(&args.args)?;
        let spans = spans_of(&spans[0])?.into_iter();
        let part: ArrayRef = match self.part {
            Part::Epoch => {
                Arc::new(spans.map(|span| span.map(Span::seconds)).collect::<Float64Array>())
            }
            Part::Nanosecond => {
                let nanos =
                    spans.map(|span| span.and_then(|span| i64::try_from(span.minute()).ok()));
                Arc::new(nanos.collect::<Int64Array>())
            }
            part => Arc::new(
                spans.map(|span| span.and_then(|span| span.field(part))).collect::<Int32Array>(),
            ),
        };
        Ok(ColumnarValue::Array(part))
    }
}

/// Months, and days and nanoseconds, which may be more than a day.
#[derive(Clone, Copy)]
struct Span {
    months: i32,
    days: i128,
    nanos: i128,
}

fn spans_of(array: &ArrayRef) -> Result<Vec<Option<Span>>> {
    let per_unit: i128 = match array.data_type() {
        DataType::Duration(TimeUnit::Second) => NS_PER_SECOND,
        DataType::Duration(TimeUnit::Millisecond) => 1_000_000,
        DataType::Duration(TimeUnit::Microsecond) => 1_000,
        DataType::Duration(TimeUnit::Nanosecond) => 1,
        _ => {
            let intervals: &PrimitiveArray<IntervalMonthDayNanoType> = array.as_primitive();
            return Ok(intervals.iter().map(|one| one.map(Span::of_interval)).collect());
        }
    };
    let units = cast(array.as_ref(), &DataType::Int64)?;
    let units = units.as_primitive::<Int64Type>().iter();
    Ok(units.map(|n| n.map(|n| Span::of_nanos(i128::from(n) * per_unit))).collect())
}

impl Span {
    fn of_interval(interval: IntervalMonthDayNano) -> Self {
        Self {
            months: interval.months,
            days: i128::from(interval.days),
            nanos: i128::from(interval.nanoseconds),
        }
    }

    /// A difference of times has whole days of 24 hours.
    fn of_nanos(nanos: i128) -> Self {
        Self { months: 0, days: nanos / NS_PER_DAY, nanos: nanos % NS_PER_DAY }
    }

    /// What is beyond the last whole minute.
    fn minute(self) -> i128 {
        self.nanos % (60 * NS_PER_SECOND)
    }

    /// A field, with the sign of the span.
    fn field(self, part: Part) -> Option<i32> {
        let field = match part {
            Part::Year => i128::from(self.months / 12),
            Part::Quarter => i128::from(self.months % 12 / 3 + 1),
            Part::Month => i128::from(self.months % 12),
            Part::Week => self.days / 7,
            Part::Day => self.days,
            Part::Hour => self.nanos / (3_600 * NS_PER_SECOND),
            Part::Minute => self.nanos / (60 * NS_PER_SECOND) % 60,
            Part::Second => self.minute() / NS_PER_SECOND,
            Part::Millisecond => self.minute() / 1_000_000,
            Part::Microsecond => self.minute() / 1_000,
            Part::Nanosecond | Part::Epoch => return None,
        };
        i32::try_from(field).ok()
    }

    /// All seconds: a year has 365.25 days, a month 30.
    fn seconds(self) -> f64 {
        let (years, months) = (i128::from(self.months / 12), i128::from(self.months % 12));
        let days = months * 30 + self.days;
        let nanos = (years * 31_557_600 + days * 86_400) * NS_PER_SECOND + self.nanos;
        seconds(nanos)
    }
}

/// The double next to so many nanoseconds, in seconds.
#[allow(clippy::cast_precision_loss, reason = "they have at most 53 bits")]
fn seconds(nanos: i128) -> f64 {
    const EXACT: u128 = 1 << 53;
    let micros = nanos / 1_000;
    if nanos.unsigned_abs() <= EXACT {
        nanos as f64 / 1e9
    } else if nanos % 1_000 == 0 && micros.unsigned_abs() <= EXACT {
        micros as f64 / 1e6
    } else {
        format!("{nanos}e-9").parse().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_difference_have_its_sign_and_its_seconds_their_fraction() {
        let span = |nanos| Span::of_nanos(nanos);
        let nanos = 2 * NS_PER_DAY + (5 * 3_600 + 7 * 60 + 9) * NS_PER_SECOND + 250_000_000;
        let fields = [Part::Day, Part::Hour, Part::Minute, Part::Second, Part::Millisecond];
        let of = |nanos| fields.map(|part| span(nanos).field(part).unwrap());
        assert_eq!(of(nanos), [2, 5, 7, 9, 9_250]);
        assert_eq!(of(-nanos), [-2, -5, -7, -9, -9_250]);
        assert_eq!(span(nanos).seconds().to_string(), "191229.25");
        assert_eq!(span(3_600_999_000_000).seconds().to_string(), "3600.999");
        assert_eq!(span(-5_500_000_000).seconds().to_string(), "-5.5");
    }
}
