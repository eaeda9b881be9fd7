//! `generate_series` and `range` over times, in microseconds as all times here are.
//!
//! `DataFusion`'s end in 1677 and 2262, and where the clock of a zone changes.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{
    DataType, Field, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::{TableProvider, ViewTable, provider_as_source};
use datafusion::execution::FunctionRegistry;
use datafusion::functions_table;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use datafusion::prelude::{cast, ident};

use super::bounded::{self, LENGTH_MAX, Room};
use super::local::{Micros, is_utc, later, micros_in, moment, plus, wall_clock};
use super::nodes::refuse;
use super::times::{is_near, out_of_range};

/// After so many times it is asked whether there is room.
const LOOK_EACH: usize = 1 << 16;
const NAMES: [&str; 2] = ["generate_series", "range"];

/// The table functions by their names.
pub(super) fn tables(
    registry: &dyn FunctionRegistry,
    room: Room,
) -> Vec<(&'static str, Arc<dyn TableFunctionImpl>)> {
    let all = [functions_table::generate_series(), functions_table::range()];
    let found =
        NAMES.into_iter().zip(all).zip(lists(registry, room)).map(|((name, near), list)| {
            (name, Arc::new(Series { near, list }) as Arc<dyn TableFunctionImpl>)
        });
    found.collect()
}

/// The functions that give a list, which replace `DataFusion`'s of the same names.
pub(super) fn lists(registry: &dyn FunctionRegistry, room: Room) -> Vec<ScalarUDF> {
    let found = NAMES.into_iter().filter_map(|name| {
        let of_numbers = Arc::new(bounded::series(registry.udf(name).ok()?, room));
        Some(ScalarUDF::from(List { name, of_numbers, room }))
    });
    found.collect()
}

/// A function of `DataFusion`'s, which takes and gives nanoseconds, and ours for other times.
#[derive(Debug)]
struct Series {
    near: Arc<TableFunction>,
    list: ScalarUDF,
}

impl TableFunctionImpl for Series {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        if args.exprs().iter().any(is_far_or_local) {
            return self.far(args.exprs());
        }
        let exprs = args.exprs().iter().cloned().map(nanoseconds).collect::<Result<Vec<_>>>()?;
        let inner = TableFunctionArgs::new(&exprs, args.session());
        let series = self.near.create_table_provider_with_args(inner)?;
        let schema = series.schema();
        let DataType::Timestamp(TimeUnit::Nanosecond, zone) = schema.field(0).data_type() else {
            return Ok(series);
        };
        let name = schema.field(0).name();
        let plan = LogicalPlanBuilder::scan("series", provider_as_source(series), None)?
            .project([cast(ident(name), micros_in(zone.as_deref())).alias(name)])?
            .build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

impl Series {
    /// The rows of a list.
    fn far(&self, exprs: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let [start, end, step] = exprs else {
            return plan_err!("{} of times wants a start, an end and a step", self.list.name());
        };
        // As DataFusion's, a table of dates has times.
        let time = |of: &Expr| match of {
            Expr::Literal(ScalarValue::Date32(_), _) => cast(of.clone(), micros_in(None)),
            _ => of.clone(),
        };
        let list = self.list.call(vec![time(start), time(end), step.clone()]).alias("value");
        let plan =
            LogicalPlanBuilder::empty(true).project([list])?.unnest_column("value")?.build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// Whether a time has no number of nanoseconds, or a clock that changes.
fn is_far_or_local(expr: &Expr) -> bool {
    const DAY_US: i64 = 86_400_000_000;
    let Expr::Literal(value, _) = expr else { return false };
    let is_local = |zone: &Option<Arc<str>>| zone.as_deref().is_some_and(|zone| !is_utc(zone));
    match value {
        ScalarValue::TimestampMicrosecond(us, zone) => {
            is_local(zone) || us.is_some_and(|us| !is_near(us))
        }
        ScalarValue::TimestampNanosecond(_, zone) => is_local(zone),
        ScalarValue::Date32(day) => day.is_some_and(|day| !is_near(i64::from(day) * DAY_US)),
        _ => false,
    }
}

fn nanoseconds(expr: Expr) -> Result<Expr> {
    match expr {
        Expr::Literal(value @ ScalarValue::TimestampMicrosecond(..), metadata) => {
            let zone = match value.data_type() {
                DataType::Timestamp(_, zone) => zone,
                _ => None,
            };
            let nanos = DataType::Timestamp(TimeUnit::Nanosecond, zone);
            Ok(Expr::Literal(value.cast_to(&nanos)?, metadata))
        }
        expr => Ok(expr),
    }
}

/// A list of numbers by `DataFusion`'s function, of times and dates by ours.
#[derive(Debug, PartialEq, Eq, Hash)]
struct List {
    name: &'static str,
    of_numbers: Arc<ScalarUDF>,
    room: Room,
}

impl ScalarUDFImpl for List {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        self.of_numbers.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let is_null = arg_types.iter().any(DataType::is_null);
        match arg_types.first() {
            Some(DataType::Timestamp(_, zone)) if !is_null => {
                Ok(DataType::new_list(micros_in(zone.as_deref()), true))
            }
            _ => self.of_numbers.return_type(arg_types),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let of_times =
            matches!(types[0], DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
        if types.len() != 3 || types.iter().any(DataType::is_null) || !of_times {
            return self.of_numbers.invoke_with_args(args);
        }
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let lists: ArrayRef = Arc::new(self.lists(&arrays)?);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&lists, 0)?));
        }
        Ok(ColumnarValue::Array(lists))
    }
}

impl List {
    fn lists(&self, arrays: &[ArrayRef]) -> Result<ListArray> {
        let [start, end, step] = arrays else {
            return refuse!("{} of times wants a start, an end and a step", self.name);
        };
        let zones = [zone_of(start)?, zone_of(end)?];
        let of_dates = !matches!(start.data_type(), DataType::Timestamp(..));
        let (start, end) = (in_micros(start)?, in_micros(end)?);
        let (starts, ends) = (
            start.as_primitive::<TimestampMicrosecondType>(),
            end.as_primitive::<TimestampMicrosecondType>(),
        );
        let steps = step.as_primitive::<IntervalMonthDayNanoType>();
        let mut values = Vec::new();
        let (mut lengths, mut valid) = (Vec::new(), Vec::new());
        for ((start, end), step) in starts.iter().zip(ends).zip(steps) {
            let before = values.len();
            let row = start.zip(end).zip(step);
            if let Some(((start, end), step)) = row {
                self.require_step(&step, of_dates)?;
                let end = same_clock(end, &zones).ok_or_else(out_of_range)?;
                self.fill(&mut values, start, end, &step, zones[0])?;
            }
            lengths.push(values.len() - before);
            valid.push(row.is_some());
        }
        let zone = match start.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let values: ArrayRef = Arc::new(Micros::from(values).with_timezone_opt(zone));
        let values = if of_dates { cast_array(&values, &DataType::Date32)? } else { values };
        let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(ListArray::try_new(item, offsets, values, Some(NullBuffer::from(valid)))?)
    }

    fn require_step(&self, step: &IntervalMonthDayNano, of_dates: bool) -> Result<()> {
        if step.months == 0 && step.days == 0 && step.nanoseconds / 1_000 == 0 {
            return refuse!("a step of {} is longer than nothing", self.name);
        }
        if of_dates && step.nanoseconds != 0 {
            return refuse!("a step from date to date has whole days: cast the start to TIMESTAMP");
        }
        Ok(())
    }

    /// The times from a start on, until they pass the end.
    fn fill(
        &self,
        values: &mut Vec<i64>,
        start: i64,
        end: i64,
        step: &IntervalMonthDayNano,
        zone: Option<Tz>,
    ) -> Result<()> {
        let next = |us| plus(us, step, zone).ok_or_else(out_of_range);
        let forward = plus(start, step, None).ok_or_else(out_of_range)? > start;
        let first = values.len();
        let mut current = start;
        // Days follow each other on the clock: an hour that is left out moves one of them only.
        let by_day = zone.filter(|_| step.nanoseconds == 0);
        let mut shown = match by_day {
            Some(zone) => wall_clock(start, zone).ok_or_else(out_of_range)?,
            None => start,
        };
        loop {
            let passed = match current.cmp(&end) {
                Ordering::Equal => self.name == "range",
                Ordering::Less => !forward,
                Ordering::Greater => forward,
            };
            if passed {
                return Ok(());
            }
            if values.len() - first >= LENGTH_MAX {
                return Err(bounded::too_long(self.name));
            }
            if values.len().is_multiple_of(LOOK_EACH) {
                #[allow(clippy::cast_precision_loss, reason = "a bound, not a sum")]
                self.room.require(self.name, size_of_val(values.as_slice()) as f64)?;
            }
            values.push(current);
            current = match by_day {
                Some(zone) => {
                    shown = later(shown, step).ok_or_else(out_of_range)?;
                    moment(shown, zone).ok_or_else(out_of_range)?
                }
                None => next(current)?,
            };
        }
    }
}

/// An end on the clock of the start: one in a zone beside one without.
fn same_clock(end: i64, zones: &[Option<Tz>; 2]) -> Option<i64> {
    match zones {
        [Some(zone), None] => moment(end, *zone),
        [None, Some(zone)] => wall_clock(end, *zone),
        _ => Some(end),
    }
}

/// The zone of times if its clock changes; UTC counts as none.
fn zone_of(times: &ArrayRef) -> Result<Option<Tz>> {
    match times.data_type() {
        DataType::Timestamp(_, Some(zone)) if !is_utc(zone) => Ok(Some(zone.parse()?)),
        _ => Ok(None),
    }
}

fn in_micros(times: &ArrayRef) -> Result<ArrayRef> {
    let zone = match times.data_type() {
        DataType::Timestamp(_, zone) => zone.as_deref(),
        _ => None,
    };
    Ok(cast_array(times, &micros_in(zone))?)
}
