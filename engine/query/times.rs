//! Functions of time that hold from the year 0001 to 9999: `DataFusion`'s, which compute in
//! nanoseconds, fail or give NULL beyond 1677 to 2262.

use std::sync::Arc;

use chrono::{DateTime, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::error::DataFusionError;
use datafusion::functions::datetime;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::local::{Micros, first_moment, is_utc, micros_in, wall_clock};
use super::nodes::refuse;

/// The functions, which replace `DataFusion`'s of the same names.
pub(super) fn functions() -> Vec<ScalarUDF> {
    let wrapped = |name, kind| {
        let inner = match kind {
            Kind::Truncate => datetime::date_trunc(),
            Kind::Format => datetime::to_char(),
            Kind::Read | Kind::ReadMicros => {
                datetime::to_timestamp_micros(&ConfigOptions::default())
            }
            Kind::ReadMillis => datetime::to_timestamp_millis(&ConfigOptions::default()),
            Kind::ReadSeconds => datetime::to_timestamp_seconds(&ConfigOptions::default()),
            Kind::ReadUnix => datetime::to_unixtime(),
        };
        let aliases = match kind {
            Kind::Truncate => vec!["datetrunc".to_owned()],
            Kind::Format => vec!["date_format".to_owned()],
            _ => vec![],
        };
        let signature = match kind {
            // DataFusion's would take the moments in nanoseconds.
            Kind::Format => Signature::user_defined(Volatility::Immutable),
            _ => inner.signature().clone(),
        };
        ScalarUDF::from(Wrapped { name, kind, inner, signature, aliases })
    };
    vec![
        wrapped("date_trunc", Kind::Truncate),
        wrapped("to_char", Kind::Format),
        wrapped("to_timestamp", Kind::Read),
        wrapped("to_timestamp_micros", Kind::ReadMicros),
        wrapped("to_timestamp_millis", Kind::ReadMillis),
        wrapped("to_timestamp_seconds", Kind::ReadSeconds),
        wrapped("to_unixtime", Kind::ReadUnix),
        ScalarUDF::from(Now {
            signature: Signature::nullary(Volatility::Stable),
            aliases: vec!["current_timestamp".to_owned()],
        }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Truncate,
    Format,
    Read,
    ReadMicros,
    ReadMillis,
    ReadSeconds,
    ReadUnix,
}

/// A function of `DataFusion`'s, and what it cannot do.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Wrapped {
    name: &'static str,
    kind: Kind,
    inner: Arc<ScalarUDF>,
    signature: Signature,
    aliases: Vec<String>,
}

impl ScalarUDFImpl for Wrapped {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The types of `to_char`: moments as they are, and a format.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [moment, _] = arg_types else {
            return plan_err!("{} wants a moment and a format", self.name);
        };
        let moment = match moment {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => micros_in(zone.as_deref()),
            moment if moment.is_temporal() => moment.clone(),
            _ => micros_in(None),
        };
        Ok(vec![moment, DataType::Utf8])
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match self.kind {
            Kind::Read => return self.read(args),
            Kind::Format => return self.inner.invoke_with_args(args),
            Kind::Truncate => {}
            _ => return self.read_texts(args),
        }
        let by_day = by_day(&args.args[0]);
        let truncated = self.truncated(args)?;
        if by_day { first_midnight(truncated) } else { Ok(truncated) }
    }
}

impl Wrapped {
    /// `date_trunc` of moments of all years.
    fn truncated(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = args.args[1].data_type() else {
            return self.inner.invoke_with_args(args);
        };
        let moments = args.args[1].to_array(args.number_rows)?;
        let moments = moments.as_primitive::<TimestampMicrosecondType>();
        if moments.iter().flatten().all(is_near) {
            return self.inner.invoke_with_args(args);
        }
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let far = self.truncate_far(&args, moments, zone.as_deref())?;
        let is_far: BooleanArray =
            moments.iter().map(|us| Some(us.is_some_and(|us| !is_near(us)))).collect();
        let near = self.call(&args, nullif(moments, &is_far)?)?;
        let far = far.with_timezone_opt(zone);
        let all = zip(&is_far, &far, &near)?;
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&all, 0)?));
        }
        Ok(ColumnarValue::Array(all))
    }

    /// `DataFusion`'s function on other moments.
    fn call(&self, args: &ScalarFunctionArgs, moments: ArrayRef) -> Result<ArrayRef> {
        let n_rows = moments.len();
        let mut args = args.clone();
        args.arg_fields[1] = Arc::new(Field::new("moment", moments.data_type().clone(), true));
        args.return_field = Arc::new(Field::new("moment", moments.data_type().clone(), true));
        args.args[1] = ColumnarValue::Array(moments);
        args.number_rows = n_rows;
        self.inner.invoke_with_args(args)?.into_array(n_rows)
    }

    /// Truncates by way of a moment some 400 years away: the calendar repeats, weekdays included.
    fn truncate_far(
        &self,
        args: &ScalarFunctionArgs,
        moments: &Micros,
        zone: Option<&str>,
    ) -> Result<Micros> {
        let zone: Tz = zone.unwrap_or("UTC").parse()?;
        let far = |us: &i64| !is_near(*us);
        let local = |us: i64| {
            DateTime::from_timestamp_micros(us)
                .map(|moment| {
                    moment.with_timezone(&zone).naive_local().and_utc().timestamp_micros()
                })
                .ok_or_else(out_of_range)
        };
        let locals = moments.iter().map(|us| us.filter(far).map(local).transpose());
        let locals = locals.collect::<Result<Vec<Option<i64>>>>()?;
        let nearby: Micros = locals.iter().map(|us| us.map(|us| us - cycles(us))).collect();
        let truncated = self.call(args, Arc::new(nearby))?;
        let truncated = truncated.as_primitive::<TimestampMicrosecondType>();
        let back = |(truncated, local): (Option<i64>, &Option<i64>)| {
            let Some((truncated, local)) = truncated.zip(*local) else { return Ok(None) };
            let naive = DateTime::from_timestamp_micros(truncated + cycles(local))
                .ok_or_else(out_of_range)?
                .naive_utc();
            let moment = zone.from_local_datetime(&naive).earliest().ok_or_else(out_of_range)?;
            Ok(Some(moment.timestamp_micros()))
        };
        truncated.iter().zip(&locals).map(back).collect()
    }

    /// Texts without a format are read as microseconds; `DataFusion` reads them as nanoseconds.
    fn read_texts(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.len() == 1 && args.args[0].data_type().is_string() {
            args.args[0] = args.args[0].cast_to(&micros_in(None), None)?;
            args.arg_fields[0] = Arc::new(Field::new("moment", micros_in(None), true));
        }
        self.inner.invoke_with_args(args)
    }

    /// `to_timestamp`: numbers are seconds, all else is read as microseconds.
    fn read(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let value = match args.args.first() {
            Some(value) => value.clone(),
            None => return refuse!("to_timestamp wants a value"),
        };
        match value.data_type() {
            data_type if data_type.is_integer() => value
                .cast_to(&DataType::Timestamp(TimeUnit::Second, None), None)?
                .cast_to(&micros, None),
            data_type if data_type.is_floating() => {
                let seconds =
                    value.cast_to(&DataType::Float64, None)?.to_array(args.number_rows)?;
                let seconds = seconds.as_primitive::<Float64Type>();
                let us = seconds.try_unary::<_, TimestampMicrosecondType, _>(from_seconds)?;
                Ok(ColumnarValue::Array(Arc::new(us)))
            }
            data_type if data_type.is_decimal() => {
                let us = value.cast_to(&DataType::Decimal128(38, 6), None)?;
                let us = us.to_array(args.number_rows)?;
                let us = us.as_primitive::<Decimal128Type>();
                let us = us.try_unary::<_, TimestampMicrosecondType, _>(|us| {
                    i64::try_from(us).map_err(|_| out_of_range())
                })?;
                Ok(ColumnarValue::Array(Arc::new(us)))
            }
            data_type if args.args.len() == 1 && !data_type.is_null() => {
                value.cast_to(&micros, None)
            }
            // With formats: DataFusion's, which holds from 1677 to 2262 and fails elsewhere.
            _ => self.inner.invoke_with_args(args),
        }
    }
}

/// Whether moments are truncated to days or more.
fn by_day(unit: &ColumnarValue) -> bool {
    let ColumnarValue::Scalar(unit) = unit else { return false };
    let unit = unit.try_as_str().flatten().unwrap_or_default().to_lowercase();
    matches!(unit.as_str(), "day" | "week" | "month" | "quarter" | "year")
}

/// The first of two midnights for a whole day, where clocks are put back to midnight.
fn first_midnight(truncated: ColumnarValue) -> Result<ColumnarValue> {
    let DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) = truncated.data_type() else {
        return Ok(truncated);
    };
    if is_utc(&zone) {
        return Ok(truncated);
    }
    let tz: Tz = zone.parse()?;
    let is_scalar = matches!(truncated, ColumnarValue::Scalar(_));
    let array = truncated.into_array(1)?;
    // Rows of one day follow each other as a rule.
    let mut last: Option<(i64, i64)> = None;
    let first = |us: i64| -> Result<i64> {
        let local = wall_clock(us, tz);
        local.and_then(|local| first_moment(local, tz)).ok_or_else(out_of_range)
    };
    let firsts = array.as_primitive::<TimestampMicrosecondType>().iter().map(|us| {
        let Some(us) = us else { return Ok(None) };
        let found = match last {
            Some((known, found)) if known == us => found,
            _ => first(us)?,
        };
        last = Some((us, found));
        Ok(Some(found))
    });
    let firsts = firsts.collect::<Result<Micros>>()?;
    let firsts = firsts.with_timezone(zone);
    if is_scalar {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&firsts, 0)?));
    }
    Ok(ColumnarValue::Array(Arc::new(firsts)))
}

/// Microseconds of a number of seconds.
#[allow(clippy::cast_possible_truncation, reason = "the range is tested before")]
fn from_seconds(seconds: f64) -> Result<i64> {
    let us = (seconds * 1e6).round();
    // 2^63, which has no counterpart, is a double; the number before it is far below.
    if us.abs() < 9_223_372_036_854_775_808.0 { Ok(us as i64) } else { Err(out_of_range()) }
}

/// Whether a moment, with whatever is subtracted to truncate it, has a number of nanoseconds.
pub(super) fn is_near(us: i64) -> bool {
    us.unsigned_abs() < 9_200_000_000_000_000
}

/// The microseconds of 400 years, after which the calendar repeats.
const CYCLE_US: i64 = 146_097 * 86_400_000_000;

/// Whole cycles to subtract from a moment so that it comes near 1970.
fn cycles(us: i64) -> i64 {
    let nearby = (us + CYCLE_US / 2).rem_euclid(CYCLE_US) - CYCLE_US / 2;
    us - nearby
}

pub(super) fn out_of_range() -> DataFusionError {
    super::nodes::of_value("a time leaves the years that can be computed with")
}

/// `now()` in microseconds, to be compared with columns.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    signature: Signature,
    aliases: Vec<String>,
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &'static str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, false)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        refuse!("now() is known before a query runs")
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(now) = info.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let now = ScalarValue::TimestampMicrosecond(Some(now.timestamp_micros()), None);
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(now, None)))
    }
}

#[cfg(test)]
mod tests;
