//! INTERVALs are compared and ordered by their length, as Postgres has it: a month is 30 days, and a day
//! is 24 hours.
//!
//! `DataFusion` compares months first, then days, then the rest, so that 26 hours are less than a day
//! and 24 hours are none (apache/datafusion#8468). As the key of a group an INTERVAL is refused: of two
//! that are equal, such as `24 hours` and `1 day`, none is the one to show.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{
    ColumnarValue, Distinct, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, Window,
};

use super::nodes::rewritten;
use super::shapes::{refusal, span_of};

pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// The length of an INTERVAL as a number.
pub(super) fn length(interval: Expr) -> Expr {
    let signature = Signature::exact(vec![INTERVAL], Volatility::Immutable);
    ScalarUDF::from(Length { signature }).call(vec![interval])
}

/// The length in nanoseconds.
pub(super) fn nanos(interval: IntervalMonthDayNano) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * 86_400_000_000_000 + i128::from(interval.nanoseconds)
}

/// The shortest or longest of INTERVALs, as the first one by length.
pub(super) fn extreme(mut call: AggregateFunction) -> Expr {
    let asc = call.func.name() == "min";
    let interval = call.params.args.swap_remove(0);
    let key = Sort { expr: length(interval.clone()), asc, nulls_first: false };
    match first_value(interval, vec![key]) {
        Expr::AggregateFunction(mut first) => {
            first.params.filter = call.params.filter;
            Expr::AggregateFunction(first)
        }
        other => other,
    }
}

/// A window node that is ordered by lengths: the coercion of types knows no frames over INTERVALs.
pub(super) fn ordered(window: Window) -> Result<Window> {
    let schema = Arc::clone(window.input.schema());
    let rewritten = rewritten(LogicalPlan::Window(window), |expr| {
        expr.transform_up(|expr| {
            let Expr::WindowFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
            let mut changed = false;
            for key in &mut call.params.order_by {
                if key.expr.get_type(&schema).is_ok_and(|of| of == INTERVAL) {
                    key.expr = length(std::mem::take(&mut key.expr));
                    changed = true;
                }
            }
            let call = Expr::WindowFunction(call);
            Ok(if changed { Transformed::yes(call) } else { Transformed::no(call) })
        })
    })?;
    let LogicalPlan::Window(window) = rewritten.data else {
        return internal_err!("a window is no window any more");
    };
    Ok(window)
}

/// Refuses INTERVALs where equal ones would have to become one.
pub(super) fn refuse_groups(plan: &LogicalPlan, schema: &DFSchema) -> Result<()> {
    let is_interval = |expr: &Expr| {
        Ok::<_, datafusion::error::DataFusionError>(match expr {
            Expr::GroupingSet(_) => None,
            expr => (expr.get_type(schema)? == INTERVAL).then(|| expr.clone()),
        })
    };
    let mut keys = Vec::new();
    match plan {
        LogicalPlan::Aggregate(aggregate) => keys.extend(aggregate.group_expr.iter().cloned()),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            keys.extend(input.schema().columns().into_iter().map(Expr::Column));
        }
        LogicalPlan::Distinct(Distinct::On(on)) => keys.extend(on.on_expr.iter().cloned()),
        LogicalPlan::Join(join) => {
            keys.extend(join.on.iter().map(|(left, _)| left.clone()));
        }
        _ => {}
    }
    for key in &keys {
        if let Some(key) = is_interval(key)? {
            return Err(refuse(&key));
        }
    }
    Ok(())
}

/// An INTERVAL is no key of a group, a join with USING or a set.
pub(super) fn refuse(key: &Expr) -> datafusion::error::DataFusionError {
    refusal(
        "an INTERVAL is a key here, and equal ones differ, as 24 hours and 1 day \
         (apache/datafusion#8468)",
        "take its seconds as the key: extract(epoch FROM …)",
        span_of([key]),
    )
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &'static str {
        "interval_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(38, 0))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let intervals = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
        let lengths: Decimal128Array = intervals.iter().map(|one| one.map(nanos)).collect();
        Ok(ColumnarValue::Array(Arc::new(lengths.with_precision_and_scale(38, 0)?)))
    }
}
