//! Functions of time that hold from the year 0001 to 9999: `DataFusion`'s, which compute in
//! nanoseconds, fail or give NULL beyond 1677 to 2262.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Months, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{cast, nullif};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type, IntervalMonthDayNano,
    IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::functions::datetime;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

type Micros = PrimitiveArray<TimestampMicrosecondType>;

/// The functions, which replace `DataFusion`'s of the same names.
pub(super) fn functions() -> Vec<ScalarUDF> {
    let wrapped = |name, kind| {
        let inner = match kind {
            Kind::Truncate => datetime::date_trunc(),
            Kind::Bin => datetime::date_bin(),
            Kind::Format => datetime::to_char(),
            Kind::Read => datetime::to_timestamp_micros(&ConfigOptions::default()),
        };
        let aliases = match kind {
            Kind::Truncate => vec!["datetrunc".to_owned()],
            Kind::Format => vec!["date_format".to_owned()],
            Kind::Bin | Kind::Read => vec![],
        };
        let signature = match kind {
            // DataFusion's would take the moments in nanoseconds.
            Kind::Bin | Kind::Format => Signature::user_defined(Volatility::Immutable),
            _ => inner.signature().clone(),
        };
        ScalarUDF::from(Wrapped { name, kind, inner, signature, aliases })
    };
    vec![
        wrapped("date_trunc", Kind::Truncate),
        wrapped("date_bin", Kind::Bin),
        wrapped("to_char", Kind::Format),
        wrapped("to_timestamp", Kind::Read),
        ScalarUDF::from(Now {
            signature: Signature::nullary(Volatility::Stable),
            aliases: vec!["current_timestamp".to_owned()],
        }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Truncate,
    Bin,
    Format,
    Read,
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

    /// The types of `to_char`: moments as they are, and a format. Those of `date_bin`: a stride,
    /// moments as they are, and an origin in nanoseconds.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if self.kind == Kind::Format {
            let [moment, _] = arg_types else {
                return plan_err!("{} wants a moment and a format", self.name);
            };
            let moment = match moment {
                DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                    DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
                }
                moment if moment.is_temporal() => moment.clone(),
                _ => DataType::Timestamp(TimeUnit::Microsecond, None),
            };
            return Ok(vec![moment, DataType::Utf8]);
        }
        let [_, moment, origin @ ..] = arg_types else {
            return plan_err!("{} wants a stride and a moment", self.name);
        };
        let moment = match moment {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => moment.clone(),
            _ => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        let origin = match origin {
            [] => None,
            [time @ (DataType::Time32(_) | DataType::Time64(_))] => Some(time.clone()),
            [DataType::Timestamp(_, zone)] => {
                Some(DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))
            }
            [_] => Some(DataType::Timestamp(TimeUnit::Nanosecond, None)),
            _ => return plan_err!("{} wants a stride, a moment and an origin", self.name),
        };
        let stride = DataType::Interval(IntervalUnit::MonthDayNano);
        Ok([stride, moment].into_iter().chain(origin).collect())
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
            Kind::Truncate | Kind::Bin => {}
        }
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = args.args[1].data_type() else {
            return self.inner.invoke_with_args(args);
        };
        let moments = args.args[1].to_array(args.number_rows)?;
        let moments = moments.as_primitive::<TimestampMicrosecondType>();
        if moments.iter().flatten().all(is_near) {
            return self.inner.invoke_with_args(args);
        }
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let far: Micros = match self.kind {
            Kind::Truncate => self.truncate_far(&args, moments, zone.as_deref())?,
            _ => bin_far(&args.args, moments)?,
        };
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
}

impl Wrapped {
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

    /// `to_timestamp`: numbers are seconds, all else is read as microseconds.
    fn read(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let value = match args.args.first() {
            Some(value) => value.clone(),
            None => return exec_err!("to_timestamp wants a value"),
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

/// Microseconds of a number of seconds.
#[allow(clippy::cast_possible_truncation, reason = "the range is tested before")]
fn from_seconds(seconds: f64) -> Result<i64> {
    let us = (seconds * 1e6).round();
    // 2^63, which has no counterpart, is a double; the number before it is far below.
    if us.abs() < 9_223_372_036_854_775_808.0 { Ok(us as i64) } else { Err(out_of_range()) }
}

/// Whether a moment, with whatever is subtracted to truncate it, has a number of nanoseconds.
fn is_near(us: i64) -> bool {
    us.unsigned_abs() < 9_200_000_000_000_000
}

/// The microseconds of 400 years, after which the calendar repeats.
const CYCLE_US: i64 = 146_097 * 86_400_000_000;

/// Whole cycles to subtract from a moment so that it comes near 1970.
fn cycles(us: i64) -> i64 {
    let nearby = (us + CYCLE_US / 2).rem_euclid(CYCLE_US) - CYCLE_US / 2;
    us - nearby
}

fn out_of_range() -> DataFusionError {
    DataFusionError::Execution("a time leaves the years that can be computed with".to_owned())
}

/// `date_bin` of the moments that are far from 1970.
fn bin_far(args: &[ColumnarValue], moments: &Micros) -> Result<Micros> {
    let ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(stride)) = &args[0] else {
        return exec_err!("date_bin wants an INTERVAL as its first argument");
    };
    let origin = match args.get(2) {
        None => 0,
        Some(ColumnarValue::Scalar(origin)) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
            let origin = cast(&origin.to_array()?, &micros)?;
            let origin = cast(&origin, &DataType::Int64)?;
            origin.as_primitive::<Int64Type>().iter().next().flatten().unwrap_or(0)
        }
        Some(_) => return exec_err!("date_bin wants one origin for all rows"),
    };
    let Some(stride) = stride else { return Ok(Micros::new_null(moments.len())) };
    let bins = moments.iter().map(|us| {
        let far = us.filter(|us| !is_near(*us));
        far.map(|us| bin(us, stride, origin).ok_or_else(out_of_range)).transpose()
    });
    bins.collect()
}

/// The begin of the bin that a moment falls into.
fn bin(us: i64, stride: &IntervalMonthDayNano, origin: i64) -> Option<i64> {
    if stride.months != 0 {
        let (moment, first) =
            (DateTime::from_timestamp_micros(us)?, DateTime::from_timestamp_micros(origin)?);
        let index =
            |moment: &DateTime<_>| moment.year() * 12 + i32::try_from(moment.month0()).unwrap_or(0);
        let n = (index(&moment) - index(&first)).div_euclid(stride.months) * stride.months;
        let at = |n: i32| {
            let months = Months::new(n.unsigned_abs());
            if n < 0 { first.checked_sub_months(months) } else { first.checked_add_months(months) }
        };
        let begin = at(n)?;
        let begin = if begin > moment { at(n - stride.months)? } else { begin };
        return Some(begin.timestamp_micros());
    }
    let stride = i128::from(stride.days) * 86_400_000_000_000 + i128::from(stride.nanoseconds);
    let (ns, origin) = (i128::from(us) * 1_000, i128::from(origin) * 1_000);
    let begin = origin + (ns - origin).checked_div_euclid(stride)? * stride;
    i64::try_from(begin.div_euclid(1_000)).ok()
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
        exec_err!("now() is known before a query runs")
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
