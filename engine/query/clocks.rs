//! Where a query goes from a moment in a zone to local time or back, once types are settled.
//!
//! The casts are those of the query and those that the coercion of types adds, such as for a
//! comparison with a DATE. What is done there is in `local`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Cast, TryCast};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::{cast, lit, try_cast};

use super::local::{self, is_utc, micros_in};
use super::nodes::{input_schema, rewritten};
use super::shapes::refusal;
use super::zones::require_known;

/// Puts local time where `DataFusion` would take UTC, or fail.
#[derive(Debug)]
pub(super) struct LocalTimes;

impl AnalyzerRule for LocalTimes {
    fn name(&self) -> &'static str {
        "local_times"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    rewritten(plan, |expr| {
        require_known(&expr, &schema)?;
        expr.transform_up(|expr| replaced(expr, &schema))
    })?
    .map_data(LogicalPlan::recompute_schema)
}

fn replaced(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let found = match &expr {
        Expr::Cast(Cast { expr: value, field }) => {
            converted(value, field.data_type(), true, schema)?
        }
        Expr::TryCast(TryCast { expr: value, field }) => {
            converted(value, field.data_type(), false, schema)?
        }
        Expr::BinaryExpr(operation) => shifted(operation, schema)?,
        Expr::ScalarFunction(call) if matches!(call.name(), "arrow_cast" | "arrow_try_cast") => {
            let to = expr.get_type(schema)?;
            converted(&call.args[0], &to, call.name() == "arrow_cast", schema)?
        }
        Expr::ScalarFunction(call) if call.name() == "date_part" => match call.args.as_slice() {
            [part, span] if is_epoch(part) => seconds(span, schema)?,
            _ => None,
        },
        _ => None,
    };
    Ok(found.map_or_else(|| Transformed::no(expr), Transformed::yes))
}

/// A cast between local time and a moment in a zone; `None` for all others.
fn converted(value: &Expr, to: &DataType, fails: bool, schema: &DFSchema) -> Result<Option<Expr>> {
    use DataType::{Date32, Date64, Timestamp};
    let Timestamp(unit, to_zone) = to else {
        if to.is_nested() && moves_clocks(&value.get_type(schema)?, to) {
            return Err(refusal(
                "a list or struct of times changes between a zone and none",
                "cast its values before they are put together",
                None,
            ));
        }
        return Ok(None);
    };
    let cast_to = |value: Expr, to| if fails { cast(value, to) } else { try_cast(value, to) };
    let from = value.get_type(schema)?;
    let value = || value.clone();
    let found = match (&from, to_zone) {
        (Timestamp(_, Some(zone)), None) if !is_utc(zone) => local::to_wall_clock(value(), zone),
        (Timestamp(TimeUnit::Microsecond, None), Some(zone)) if !is_utc(zone) => {
            local::to_moment(value(), zone)
        }
        (Timestamp(_, None) | Date32 | Date64, Some(zone)) if !is_utc(zone) => {
            local::to_moment(cast_to(value(), micros_in(None)), zone)
        }
        (text, Some(zone)) if text.is_string() && !is_utc(zone) => {
            local::read(value(), zone, fails)
        }
        _ => return Ok(None),
    };
    let is_micros = *unit == TimeUnit::Microsecond;
    Ok(Some(if is_micros { found } else { cast_to(found, to.clone()) }))
}

/// Whether a nested type has a time that goes from a zone to none, or the other way.
fn moves_clocks(from: &DataType, to: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List, Struct, Timestamp};
    match (from, to) {
        (Timestamp(_, Some(zone)), Timestamp(_, None))
        | (Timestamp(_, None), Timestamp(_, Some(zone))) => !is_utc(zone),
        (
            List(from) | LargeList(from) | FixedSizeList(from, _),
            List(to) | LargeList(to) | FixedSizeList(to, _),
        ) => moves_clocks(from.data_type(), to.data_type()),
        (Struct(from), Struct(to)) => {
            from.iter().zip(to).any(|(from, to)| moves_clocks(from.data_type(), to.data_type()))
        }
        _ => false,
    }
}

/// A moment in a zone plus or minus an INTERVAL, whose days are those of the zone.
fn shifted(operation: &BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let BinaryExpr { left, op, right } = operation;
    let back = match op {
        Operator::Plus => false,
        Operator::Minus => true,
        _ => return Ok(None),
    };
    // In a long sum the left side holds all other terms: it is asked last.
    let of_right = right.get_type(schema)?;
    if !matches!(of_right, DataType::Interval(_) | DataType::Timestamp(..)) {
        return Ok(None);
    }
    let of_left = left.get_type(schema)?;
    let (moment, interval, data_type) = match (&of_left, &of_right) {
        (DataType::Timestamp(..), DataType::Interval(_)) => (left, right, of_left),
        (DataType::Interval(_), DataType::Timestamp(..)) if !back => (right, left, of_right),
        _ => return Ok(None),
    };
    let DataType::Timestamp(unit, Some(zone)) = &data_type else { return Ok(None) };
    if is_utc(zone) {
        return Ok(None);
    }
    let whole = DataType::Interval(IntervalUnit::MonthDayNano);
    let interval = (**interval).clone().cast_to(&whole, schema)?;
    let found = local::shifted((**moment).clone(), interval, &Arc::clone(zone), back);
    Ok(Some(if *unit == TimeUnit::Microsecond { found } else { cast(found, data_type) }))
}

fn is_epoch(part: &Expr) -> bool {
    let Expr::Literal(ScalarValue::Utf8(Some(part)) | ScalarValue::Utf8View(Some(part)), _) = part
    else {
        return false;
    };
    part.eq_ignore_ascii_case("epoch")
}

/// The seconds of a span of any length, as a DOUBLE; `DataFusion` counts them in 32 bits.
fn seconds(span: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let length = DataType::Duration(TimeUnit::Microsecond);
    match span.get_type(schema)? {
        DataType::Duration(_) => {
            let us = cast(span.clone().cast_to(&length, schema)?, DataType::Int64);
            Ok(Some(cast(us, DataType::Float64) / lit(1e6)))
        }
        _ => Ok(None),
    }
}
