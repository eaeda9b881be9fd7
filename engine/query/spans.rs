//! Spans of time are compared by their length: `sent - seen > INTERVAL '1 day'`.
//!
//! `DataFusion` compares the difference of two times with an INTERVAL as months, then days, then
//! nanoseconds, so that 48 hours are less than 1 day, and more than 292 years are an error.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{
    DataType, DurationMicrosecondType, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalUnit, TimeUnit,
};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use crate::error::Error;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const LENGTH: DataType = DataType::Duration(TimeUnit::Microsecond);

/// A comparison of a span with intervals becomes one of lengths.
pub(super) fn by_length(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if compares(op) && (is_span(&left, schema)? || is_span(&right, schema)?) =>
        {
            let (left, right) = (length(*left, schema)?, length(*right, schema)?);
            let compared = BinaryExpr::new(Box::new(left), op, Box::new(right));
            Ok(Transformed::yes(Expr::BinaryExpr(compared)))
        }
        Expr::Between(Between { expr, negated, low, high }) if is_span(&expr, schema)? => {
            let ends = [length(*low, schema)?, length(*high, schema)?].map(Box::new);
            let [low, high] = ends;
            let expr = Box::new(length(*expr, schema)?);
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Whether the coercion of types made an interval of a span, to compare it with one.
fn is_span(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    match expr {
        Expr::Cast(Cast { expr, field }) if *field.data_type() == INTERVAL => {
            Ok(matches!(expr.get_type(schema)?, DataType::Duration(_)))
        }
        _ => Ok(false),
    }
}

fn length(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    if is_span(&expr, schema)?
        && let Expr::Cast(Cast { expr, .. }) = expr
    {
        return (*expr).cast_to(&LENGTH, schema);
    }
    if expr.get_type(schema)? == INTERVAL {
        let signature = Signature::exact(vec![INTERVAL], Volatility::Immutable);
        return Ok(ScalarUDF::from(Length { signature }).call(vec![expr]));
    }
    expr.cast_to(&LENGTH, schema)
}

/// The length of an INTERVAL of days, hours and so on; months have none.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &'static str {
        "checked_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(LENGTH)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let intervals = arrays[0].as_primitive::<IntervalMonthDayNanoType>();
        let lengths = intervals.try_unary::<_, DurationMicrosecondType, _>(micros)?;
        Ok(ColumnarValue::Array(std::sync::Arc::new(lengths)))
    }
}

fn micros(interval: IntervalMonthDayNano) -> Result<i64> {
    if interval.months != 0 {
        let error = Error::data(
            "an INTERVAL of months or years has no fixed length to compare a span with",
        );
        return Err(DataFusionError::External(Box::new(error.hint(
            "compare it with days or hours, or compare times: a > b + INTERVAL '2 months'",
        ))));
    }
    Ok(i64::from(interval.days) * 86_400_000_000 + interval.nanoseconds.div_euclid(1_000))
}
