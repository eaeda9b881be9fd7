//! Aggregates over windows that move: what has left a window leaves no trace.
//!
//! `DataFusion` subtracts from a sum of doubles what leaves the window, and keeps the rounding of all
//! that it held; one NaN or infinity stays for good. Its variances become negative by that. Here an
//! aggregate that cannot give back values exactly is computed anew for each window. Sums and averages
//! can: those of doubles are `exact_sum`'s, integers and decimals are exact as they are.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, WindowFrameBound,
    WindowFunctionDefinition,
};
use datafusion::physical_expr::PhysicalExpr;

use super::exact_sum;
use super::shapes::{refusal, span_of};

/// Aggregates that give back exactly what they took, or keep all values of their window.
const EXACT: [&str; 11] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "percentile_cont",
    "array_agg",
    "first_value",
    "last_value",
    "checked_distinct_sum",
];

/// Of those the ones that cannot where each value counts once.
const NOT_DISTINCT: [&str; 2] = ["median", "percentile_cont"];
/// No window has more rows. `DataFusion` adds distances to the numbers of rows, and wraps around.
const DISTANCE_MAX: u64 = 1 << 62;

/// The same function over its window, computed without a trace of what has left it.
pub(super) fn without_trace(mut call: WindowFunction) -> Result<WindowFunction> {
    refuse_negative(&call)?;
    with_rows_at_most(&mut call);
    let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else { return Ok(call) };
    if call.params.window_frame.start_bound.is_unbounded() {
        return Ok(call);
    }
    let is_exact = is_exact(function.name(), call.params.distinct);
    if is_exact || function.name().starts_with(exact_sum::PREFIX) {
        return Ok(call);
    }
    let gives_back = function.name() == "bit_xor" && !call.params.distinct;
    let function = AggregateUDF::from(Anew { inner: Arc::clone(function), gives_back });
    call.fun = WindowFunctionDefinition::AggregateUDF(Arc::new(function));
    Ok(call)
}

fn is_exact(function: &str, is_distinct: bool) -> bool {
    EXACT.contains(&function) && !(is_distinct && NOT_DISTINCT.contains(&function))
}

fn with_rows_at_most(call: &mut WindowFunction) {
    let frame = &mut call.params.window_frame;
    for bound in [&mut frame.start_bound, &mut frame.end_bound] {
        if let WindowFrameBound::Preceding(ScalarValue::UInt64(Some(by)))
        | WindowFrameBound::Following(ScalarValue::UInt64(Some(by))) = bound
        {
            *by = (*by).min(DISTANCE_MAX);
        }
    }
}

/// A negative distance turns a frame around, which then holds rows that it should not, or none
/// (apache/datafusion#24902).
fn refuse_negative(call: &WindowFunction) -> Result<()> {
    let frame = &call.params.window_frame;
    for bound in [&frame.start_bound, &frame.end_bound] {
        let (WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by)) = bound else {
            continue;
        };
        if is_negative(by) {
            return Err(refusal(
                "the distance of a window's end is negative",
                "write a positive one, and FOLLOWING for PRECEDING or PRECEDING for FOLLOWING",
                span_of(call.params.order_by.iter().map(|key| &key.expr)),
            ));
        }
    }
    Ok(())
}

fn is_negative(distance: &ScalarValue) -> bool {
    match distance {
        ScalarValue::IntervalMonthDayNano(Some(by)) => super::intervals::nanos(*by) < 0,
        ScalarValue::IntervalYearMonth(Some(months)) => *months < 0,
        ScalarValue::IntervalDayTime(Some(by)) => {
            i64::from(by.days) * 86_400_000 + i64::from(by.milliseconds) < 0
        }
        ScalarValue::Utf8(Some(text)) => text.trim_start().starts_with('-'),
        distance if distance.is_null() => false,
        distance => ScalarValue::new_zero(&distance.data_type())
            .is_ok_and(|zero| distance.partial_cmp(&zero) == Some(std::cmp::Ordering::Less)),
    }
}

/// An aggregate that is computed from all rows of each window.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Anew {
    inner: Arc<AggregateUDF>,
    /// Whether it gives back values exactly after all, and only does not know that none is left.
    gives_back: bool,
}

impl AggregateUDFImpl for Anew {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if self.gives_back {
            return Ok(Box::new(Counted { inner: self.inner.accumulator(args)?, n: 0 }));
        }
        Ok(Box::new(Held {
            inner: Arc::clone(&self.inner),
            args: Args::of(&args),
            rows: VecDeque::new(),
        }))
    }
}

/// An aggregate whose result is NULL where its window has no value.
#[derive(Debug)]
struct Counted {
    inner: Box<dyn Accumulator>,
    /// The values in the window.
    n: usize,
}

impl Counted {
    fn count(values: &[ArrayRef]) -> usize {
        values.first().map_or(0, |values| values.len() - values.logical_null_count())
    }
}

impl Accumulator for Counted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.n += Self::count(values);
        self.inner.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.n -= Self::count(values);
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.inner.evaluate()?;
        if self.n > 0 { Ok(value) } else { ScalarValue::try_new_null(&value.data_type()) }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        not_impl_err!("a window is never put together from parts")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        not_impl_err!("a window is never put together from parts")
    }
}

/// What an accumulator is made with.
#[derive(Debug)]
struct Args {
    return_field: FieldRef,
    schema: Schema,
    ignore_nulls: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
}

impl Args {
    fn of(args: &AccumulatorArgs<'_>) -> Self {
        Self {
            return_field: Arc::clone(&args.return_field),
            schema: args.schema.clone(),
            ignore_nulls: args.ignore_nulls,
            name: args.name.to_owned(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
        }
    }

    fn borrowed(&self) -> AccumulatorArgs<'_> {
        AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &[],
            is_reversed: false,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        }
    }
}

/// The rows of a window, the first ones in front.
#[derive(Debug)]
struct Held {
    inner: Arc<AggregateUDF>,
    args: Args,
    rows: VecDeque<Vec<ArrayRef>>,
}

impl Accumulator for Held {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values.first().is_some_and(|values| !values.is_empty()) {
            self.rows.push_back(values.to_vec());
        }
        Ok(())
    }

    /// Rows leave a window in the order in which they came.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut n = values.first().map_or(0, Array::len);
        while n > 0 {
            let Some(mut first) = self.rows.pop_front() else { break };
            let n_first = first[0].len();
            if n_first > n {
                for column in &mut first {
                    *column = column.slice(n, n_first - n);
                }
                self.rows.push_front(first);
            }
            n -= n_first.min(n);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut accumulator = self.inner.accumulator(self.args.borrowed())?;
        let n_columns = self.rows.front().map_or(0, Vec::len);
        let columns = (0..n_columns).map(|at| {
            let parts: Vec<&dyn Array> = self.rows.iter().map(|part| part[at].as_ref()).collect();
            concat(&parts)
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        if !columns.is_empty() {
            accumulator.update_batch(&columns)?;
        }
        accumulator.evaluate()
    }

    fn size(&self) -> usize {
        let slices =
            self.rows.iter().flatten().map(|rows| rows.get_array_memory_size().min(1 << 16));
        size_of_val(self) + slices.sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        not_impl_err!("a window is never put together from parts")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        not_impl_err!("a window is never put together from parts")
    }
}
