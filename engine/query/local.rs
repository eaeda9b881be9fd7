//! Local time: what a clock on the wall shows in a zone, and the moment that it stands for.
//!
//! Promise: a moment of a zone that becomes a TIMESTAMP without one, or meets a date, is what the
//! clock there shows; `DataFusion` 55.2 takes what it shows in UTC. A local time in the hour that comes
//! twice is the later one, in standard time, and one in the hour that is left out is moved on by as
//! much: as in Postgres. `DataFusion` fails for both.

use std::sync::Arc;

use chrono::{DateTime, LocalResult, Months, NaiveDateTime, Offset, TimeZone, Utc};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::respelled;
use super::times::out_of_range;
use crate::error::Error;

/// Moments in microseconds.
pub(super) type Micros = PrimitiveArray<TimestampMicrosecondType>;

/// Microseconds, in a zone if there is one.
pub(super) fn micros_in(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))
}

/// Whether a zone never differs from UTC, so that its times are what is stored.
pub(super) fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "-00:00" | "Etc/UTC" | "GMT" | "+00" | "+0000")
}

fn naive(us: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(us).map(|moment| moment.naive_utc())
}

/// Microseconds east of UTC at a moment.
fn offset_us(us: i64, zone: Tz) -> Option<i64> {
    Some(east_us(&zone.offset_from_utc_datetime(&naive(us)?)))
}

fn east_us(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc()) * 1_000_000
}

/// What the clock shows at a moment.
pub(super) fn wall_clock(us: i64, zone: Tz) -> Option<i64> {
    us.checked_add(offset_us(us, zone)?)
}

/// The moment at which the clock shows a time.
pub(super) fn moment(local: i64, zone: Tz) -> Option<i64> {
    moment_by(local, zone, i64::min)
}

/// As [`moment`], and the earlier one where the clock shows a time twice.
pub(super) fn first_moment(local: i64, zone: Tz) -> Option<i64> {
    moment_by(local, zone, i64::max)
}

fn moment_by(local: i64, zone: Tz, of_two: impl Fn(i64, i64) -> i64) -> Option<i64> {
    let offset = match zone.offset_from_local_datetime(&naive(local)?) {
        LocalResult::Single(offset) => east_us(&offset),
        LocalResult::Ambiguous(one, other) => of_two(east_us(&one), east_us(&other)),
        // Of the offsets before and after the change, the clock goes on with that before it.
        LocalResult::None => {
            let one = offset_us(local - offset_us(local, zone)?, zone)?;
            one.min(offset_us(local - one, zone)?)
        }
    };
    local.checked_sub(offset)
}

/// A moment plus an INTERVAL: months and days by the calendar of the zone, the rest by the clock.
pub(super) fn plus(us: i64, interval: &IntervalMonthDayNano, zone: Option<Tz>) -> Option<i64> {
    let by_calendar = interval.months != 0 || interval.days != 0;
    let begin = match zone {
        _ if !by_calendar => us,
        None => later(us, interval)?,
        Some(zone) => moment(later(wall_clock(us, zone)?, interval)?, zone)?,
    };
    begin.checked_add(interval.nanoseconds.div_euclid(1_000))
}

/// A local time some months and days later.
pub(super) fn later(local: i64, interval: &IntervalMonthDayNano) -> Option<i64> {
    let start = naive(local)?;
    let months = Months::new(interval.months.unsigned_abs());
    let month = match interval.months {
        ..0 => start.checked_sub_months(months)?,
        _ => start.checked_add_months(months)?,
    };
    let days = i64::from(interval.days) * 86_400_000_000;
    month.and_utc().timestamp_micros().checked_add(days)
}

/// What the clock shows, as a TIMESTAMP without a zone.
pub(super) fn to_wall_clock(value: Expr, zone: &Arc<str>) -> Expr {
    call(Kind::WallClock, zone, vec![value])
}

/// A TIMESTAMP without a zone as the moment in one.
pub(super) fn to_moment(value: Expr, zone: &Arc<str>) -> Expr {
    call(Kind::Moment, zone, vec![value])
}

/// A text as a moment; a text that is none is an error, or NULL.
pub(super) fn read(value: Expr, zone: &Arc<str>, fails: bool) -> Expr {
    call(if fails { Kind::Read } else { Kind::TryRead }, zone, vec![value])
}

/// A moment and an INTERVAL.
pub(super) fn shifted(value: Expr, interval: Expr, zone: &Arc<str>, back: bool) -> Expr {
    call(if back { Kind::Minus } else { Kind::Plus }, zone, vec![value, interval])
}

fn call(kind: Kind, zone: &Arc<str>, args: Vec<Expr>) -> Expr {
    let signature = Signature::any(args.len(), Volatility::Immutable);
    ScalarUDF::from(Local { kind, zone: Arc::clone(zone), signature }).call(args)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    WallClock,
    Moment,
    Read,
    TryRead,
    Plus,
    Minus,
}

/// A function of times in one zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Local {
    kind: Kind,
    zone: Arc<str>,
    signature: Signature,
}

impl ScalarUDFImpl for Local {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::WallClock => "wall_clock",
            Kind::Moment => "moment",
            // Its begin says that it may fail.
            Kind::Read => "checked_read",
            Kind::TryRead => "try_read",
            Kind::Plus => "checked_plus",
            Kind::Minus => "checked_minus",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(micros_in(Some(&self.zone).filter(|_| self.kind != Kind::WallClock).map(|zone| &**zone)))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("{}({}, {})", self.name(), names.join(", "), self.zone))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let zone: Tz = self.zone.parse()?;
        let found: ArrayRef = match self.kind {
            Kind::WallClock => Arc::new(each(&arrays[0], |us| wall_clock(us, zone))?),
            Kind::Moment => Arc::new(each(&arrays[0], |us| moment(us, zone))?),
            Kind::Read | Kind::TryRead => Arc::new(self.texts(&arrays[0], zone)?),
            Kind::Plus | Kind::Minus => Arc::new(self.shifted(&arrays, zone)?),
        };
        let found = cast_zone(&found, args.return_type());
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
        }
        Ok(ColumnarValue::Array(found))
    }
}

impl Local {
    fn texts(&self, texts: &ArrayRef, zone: Tz) -> Result<Micros> {
        let texts = cast(texts, &DataType::Utf8)?;
        let read = |text: Option<&str>| match (text, text.and_then(|text| read_text(text, zone))) {
            (Some(_), None) if self.kind == Kind::Read => Err(no_time()),
            (_, us) => Ok(us),
        };
        texts.as_string::<i32>().iter().map(read).collect()
    }

    fn shifted(&self, arrays: &[ArrayRef], zone: Tz) -> Result<Micros> {
        let moments = cast(&arrays[0], &micros_in(Some(&self.zone)))?;
        let intervals = arrays[1].as_primitive::<IntervalMonthDayNanoType>();
        let pairs = moments.as_primitive::<TimestampMicrosecondType>().iter().zip(intervals);
        let shifted = pairs.map(|(us, interval)| {
            let Some((us, interval)) = us.zip(interval) else { return Ok(None) };
            let interval =
                if self.kind == Kind::Minus { negated(interval) } else { Some(interval) };
            let shifted = interval.and_then(|interval| plus(us, &interval, Some(zone)));
            shifted.map(Some).ok_or_else(out_of_range)
        });
        shifted.collect()
    }
}

fn negated(interval: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano::new(
        interval.months.checked_neg()?,
        interval.days.checked_neg()?,
        interval.nanoseconds.checked_neg()?,
    ))
}

fn each(times: &ArrayRef, of: impl Fn(i64) -> Option<i64>) -> Result<Micros> {
    let zone = match times.data_type() {
        DataType::Timestamp(_, zone) => zone.as_deref(),
        _ => None,
    };
    let times = cast(times, &micros_in(zone))?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    times.try_unary(|us| of(us).ok_or_else(out_of_range))
}

/// The same numbers in the zone of a type.
fn cast_zone(times: &ArrayRef, data_type: &DataType) -> ArrayRef {
    let DataType::Timestamp(_, zone) = data_type else { return Arc::clone(times) };
    let times = times.as_primitive::<TimestampMicrosecondType>().clone();
    Arc::new(times.with_timezone_opt(zone.clone()))
}

/// A text that says no offset is a local time.
fn read_text(text: &str, zone: Tz) -> Option<i64> {
    read_spelled(text, zone).or_else(|| read_spelled(&respelled::time(text)?, zone))
}

fn read_spelled(text: &str, zone: Tz) -> Option<i64> {
    if let Ok(found) = string_to_datetime(&zone, text) {
        return Some(found.timestamp_micros());
    }
    // The hour that comes twice or not at all is no fault of the text.
    let local = string_to_datetime(&Utc, text).ok()?;
    moment(local.timestamp_micros(), zone)
}

fn no_time() -> DataFusionError {
    let error = Error::data("a value is no TIMESTAMP, or out of its range");
    DataFusionError::External(Box::new(
        error.hint("TRY_CAST(…) gives NULL for such values, and so finds their rows"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        string_to_datetime(&Utc, text).unwrap().timestamp_micros()
    }

    #[test]
    fn the_hour_that_comes_twice_is_the_later_one_and_a_missing_one_is_moved_on() {
        for (zone, local, expected) in [
            ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T01:30:00Z"),
            ("Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
            ("Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
            ("Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
            ("America/New_York", "2026-03-08T02:30:00", "2026-03-08T07:30:00Z"),
            ("America/New_York", "2026-11-01T01:30:00", "2026-11-01T06:30:00Z"),
            ("Australia/Sydney", "2026-10-04T02:30:00", "2026-10-03T16:30:00Z"),
            ("Australia/Sydney", "2026-04-05T02:30:00", "2026-04-04T16:30:00Z"),
            // Half an hour, and a day that was left out.
            ("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:45:00Z"),
            ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00Z"),
            ("America/Sao_Paulo", "2018-11-04T00:00:00", "2018-11-04T03:00:00Z"),
            ("+05:30", "2026-10-25T02:30:00", "2026-10-24T21:00:00Z"),
        ] {
            let tz: Tz = zone.parse().unwrap();
            assert_eq!(moment(us(local), tz), Some(us(expected)), "{local} {zone}");
        }
        let tz: Tz = "Europe/Berlin".parse().unwrap();
        let first = first_moment(us("2026-10-25T02:30:00"), tz);
        assert_eq!(first, Some(us("2026-10-25T00:30:00Z")));
    }

    #[test]
    fn a_day_has_the_hours_that_its_zone_gives_it() {
        let tz: Tz = "Europe/Berlin".parse().unwrap();
        let (day, hours) = (IntervalMonthDayNano::new(0, 1, 0), 86_400_000_000_000);
        let hours = IntervalMonthDayNano::new(0, 0, hours);
        let start = us("2026-03-28T11:00:00Z");
        assert_eq!(plus(start, &day, Some(tz)), Some(us("2026-03-29T10:00:00Z")));
        assert_eq!(plus(start, &hours, Some(tz)), Some(us("2026-03-29T11:00:00Z")));
        assert_eq!(plus(start, &day, None), Some(us("2026-03-29T11:00:00Z")));
        let month = IntervalMonthDayNano::new(1, 0, 0);
        assert_eq!(plus(us("2026-01-31"), &month, None), Some(us("2026-02-28")));
    }

    #[test]
    fn a_time_that_no_calendar_has_is_none() {
        let tz: Tz = "Europe/Berlin".parse().unwrap();
        assert_eq!((wall_clock(i64::MAX, tz), moment(i64::MIN, tz)), (None, None));
        let day = IntervalMonthDayNano::new(0, 1, 0);
        assert_eq!(plus(i64::MAX, &day, None), None);
    }
}
