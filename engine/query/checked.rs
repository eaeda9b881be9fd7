//! Checked arithmetic: a number that leaves the range of its type ends the query, and never wraps.
//!
//! `DataFusion` adds, subtracts, multiplies and negates integers with wrap-around, and lets decimals
//! of 38 digits become longer. Once types are coerced, such an operator becomes a function of ours
//! that computes the same and fails, naming the expression, where a result does not fit. The same
//! happens to casts, whose own errors repeat the value. Sums and averages are in `checked_sum`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Decimal128Array};
use datafusion::arrow::compute::kernels::numeric::{add, mul, neg, rem, sub};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, FieldRef, TimeUnit,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

use super::nearest::{NEAREST, nearest};
use super::nodes::{input_schema, rewritten};
use super::quotient::divided;
use super::written::{sql_name, written};
use super::{checked_sum, exact_sum, first_known, floats, guard, respelled};
use crate::error::Error;

/// Replaces, after the coercion of types, whatever may leave the range of its type.
#[derive(Debug)]
pub(super) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    rewritten(plan, |expr| checked(expr, &schema))?
        .map_data(LogicalPlan::recompute_schema)?
        .transform_data(first_known::flat)?
        .transform_data(guard::guarded)?
        .transform_data(exact_sum::exactly)?
        .transform_data(checked_sum::widened)
}

/// Replaces from the outside in, so that an error shows the operands as they were written.
fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| {
        if let Some(value) = constant(&expr)? {
            return Ok(Transformed::yes(Expr::Literal(value, None)));
        }
        if let Expr::TryCast(tried) = &expr
            && floats::may_be_beyond(&tried.expr.get_type(schema)?, tried.field.data_type())
        {
            let name = format!("try_cast({})", expr.schema_name());
            let (value, to) = (tried.expr.as_ref().clone(), tried.field.data_type().clone());
            return Ok(Transformed::yes(floats::try_cast(value, to, name)));
        }
        let Some(op) = fallible(&expr, schema)? else { return Ok(Transformed::no(expr)) };
        let data_type = expr.get_type(schema)?;
        let (name, written) = (expr.schema_name().to_string(), written(&expr));
        // A cast has the name of what it casts, which may stand beside it, as in the key of a join.
        let casts = matches!(op, Op::Cast | Op::TryCast | Op::ToDouble);
        let name = if casts { format!("{}({name})", op.name()) } else { name };
        let operands = match expr {
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => vec![*left, *right],
            Expr::Negative(value)
            | Expr::Cast(Cast { expr: value, .. })
            | Expr::TryCast(TryCast { expr: value, .. }) => vec![*value],
            other => return Ok(Transformed::no(other)),
        };
        let signature = Signature::any(operands.len(), Volatility::Immutable);
        let function = ScalarUDF::from(Checked { op, name, written, data_type, signature });
        Ok(Transformed::yes(function.call(operands)))
    })
}

/// A constant has the type that it is cast to; the optimizer would find out in other words. One that the
/// cast does not read as it is spelled is computed here.
fn constant(expr: &Expr) -> Result<Option<ScalarValue>> {
    let Expr::Cast(cast) = expr else { return Ok(None) };
    let Expr::Literal(value, _) = cast.expr.as_ref() else { return Ok(None) };
    let to = cast.field.data_type();
    if !has_errors_of_values(&value.data_type()) || to.is_nested() {
        return Ok(None);
    }
    if value.cast_to(to).is_ok() {
        return if floats::is_beyond(value, to)? {
            Err(no_cast(&written(expr), to))
        } else {
            Ok(None)
        };
    }
    match respelled::cast_strictly(&ColumnarValue::Scalar(value.clone()), to) {
        Ok(ColumnarValue::Scalar(value)) => Ok(Some(value)),
        _ => Err(no_cast(&written(expr), to)),
    }
}

/// Whether the errors of casts from a type repeat a value.
fn has_errors_of_values(from: &DataType) -> bool {
    from.is_numeric() || from.is_string() || is_bytes(from)
}

fn is_bytes(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary};
    matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}

/// A cast that fails where a value does not fit, as those of a query do.
pub(super) fn checked_cast(expr: Expr, to: DataType) -> Expr {
    let cast = Expr::Cast(Cast::new(Box::new(expr.clone()), to.clone()));
    let signature = Signature::any(1, Volatility::Immutable);
    let (name, written) = (cast.schema_name().to_string(), written(&cast));
    let function = Checked { op: Op::Cast, name, written, data_type: to, signature };
    ScalarUDF::from(function).call(vec![expr])
}

/// What an expression does, if `DataFusion` would wrap around or repeat a value in its error.
fn fallible(expr: &Expr, schema: &DFSchema) -> Result<Option<Op>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, .. }) => {
            let op = match op {
                Operator::Plus => Op::Add,
                Operator::Minus => Op::Subtract,
                Operator::Multiply => Op::Multiply,
                Operator::Divide => Op::Divide,
                Operator::Modulo => Op::Modulo,
                Operator::BitwiseShiftLeft => Op::ShiftLeft,
                Operator::BitwiseShiftRight => Op::ShiftRight,
                _ => return Ok(None),
            };
            let data_type = expr.get_type(schema)?;
            // The difference of two dates is an integer, too, and always fits.
            let integers = data_type.is_integer() && left.get_type(schema)? == data_type;
            let divides = matches!(op, Op::Divide | Op::Modulo) && data_type.is_decimal();
            (integers || divides || has_all_digits(&data_type)).then_some(op)
        }
        Expr::Negative(value) => value.get_type(schema)?.is_signed_integer().then_some(Op::Negate),
        Expr::Cast(cast)
            if cast.field.data_type().is_floating() && cast.expr.get_type(schema)?.is_decimal() =>
        {
            Some(Op::ToDouble)
        }
        Expr::Cast(cast) if !matches!(*cast.expr, Expr::Literal(..)) => {
            let from = cast.expr.get_type(schema)?;
            let to = cast.field.data_type();
            let repeats = has_errors_of_values(&from) && !always_fits(&from, to);
            (repeats && !to.is_nested()).then_some(Op::Cast)
        }
        Expr::TryCast(cast) => {
            let from = cast.expr.get_type(schema)?;
            respelled::reads(&from, cast.field.data_type()).then_some(Op::TryCast)
        }
        _ => None,
    })
}

/// Whether a decimal type has no digit left: only then may a result have more digits than its type.
fn has_all_digits(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(38, _) | DataType::Decimal256(76, _))
}

/// Whether every value of a type has its counterpart in another.
pub(super) fn always_fits(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Decimal256, Float32, Float64, Null, Timestamp};
    let text = |data_type: &DataType| data_type.is_string();
    let bits = |data_type: &DataType| data_type.primitive_width().unwrap_or(0);
    match (from, to) {
        (Null, _)
        | (Timestamp(TimeUnit::Microsecond, _), Timestamp(TimeUnit::Microsecond, _) | Date32) => {
            true
        }
        (from, to) if from == to => true,
        (from, to) if text(to) => !is_bytes(from),
        (from, Float64) if from.is_numeric() => true,
        (from, Float32) if from.is_integer() => true,
        (Boolean, to) if to.is_numeric() => true,
        (from, to) if from.is_signed_integer() && to.is_signed_integer() => bits(from) <= bits(to),
        (from, to) if from.is_unsigned_integer() && to.is_unsigned_integer() => {
            bits(from) <= bits(to)
        }
        (from, to) if from.is_unsigned_integer() && to.is_signed_integer() => bits(from) < bits(to),
        (from, Decimal128(precision, scale)) if from.is_integer() => {
            let digits: i16 = match bits(from) {
                8 if from.is_signed_integer() => 19,
                8 => 20,
                4 => 10,
                2 => 5,
                _ => 3,
            };
            i16::from(*precision) - i16::from(*scale) >= digits
        }
        (Decimal128(p1, s1), Decimal128(p2, s2) | Decimal256(p2, s2)) => {
            s1 <= s2 && i16::from(*p1) - i16::from(*s1) <= i16::from(*p2) - i16::from(*s2)
        }
        _ => false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Negate,
    ShiftLeft,
    ShiftRight,
    Cast,
    TryCast,
    ToDouble,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "checked_add",
            Self::Subtract => "checked_subtract",
            Self::Multiply => "checked_multiply",
            Self::Divide => "checked_divide",
            Self::Modulo => "checked_modulo",
            Self::Negate => "checked_negate",
            Self::ShiftLeft => "checked_shift_left",
            Self::ShiftRight => "checked_shift_right",
            Self::Cast => "checked_cast",
            // It never fails.
            Self::TryCast => "tried_cast",
            // It never fails, and need not be guarded as what is checked.
            Self::ToDouble => NEAREST,
        }
    }
}

/// One operator or cast of a query.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Op,
    /// The name of the operator's column. To put it together from the operands' names at each
    /// question takes minutes where thousands of terms are added up.
    name: String,
    /// The text that its error shows.
    written: String,
    data_type: DataType,
    signature: Signature,
}

/// The text that the error of a call shows, if the call is one of these.
pub(super) fn written_of(call: &ScalarFunction) -> Option<&str> {
    let checked = call.func.inner().downcast_ref::<Checked>()?;
    (checked.op != Op::ToDouble).then_some(checked.written.as_str())
}

/// What the names of the functions begin with that fail where a value does not fit.
pub(super) const PREFIX: &str = "checked_";

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable =
            self.op == Op::TryCast || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.data_type.clone(), nullable)))
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.name.clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kernel = match self.op {
            Op::Add => add,
            Op::Subtract => sub,
            Op::Multiply => mul,
            Op::Divide => divided,
            Op::Modulo => rem,
            Op::Negate => return self.negated(&args.args[0]),
            Op::ShiftLeft | Op::ShiftRight => return self.shifted(&args.args),
            Op::TryCast => return respelled::cast_or_null(&args.args[0], &self.data_type),
            Op::ToDouble => return nearest(&args.args[0], &self.data_type),
            Op::Cast => {
                let no_cast = |_| no_cast(&self.written, &self.data_type);
                let made = respelled::cast_strictly(&args.args[0], &self.data_type);
                let made = made.map_err(no_cast)?;
                self.require_finite(&args.args[0], &made)?;
                return Ok(made);
            }
        };
        let result =
            apply(&args.args[0], &args.args[1], kernel).map_err(|cause| self.explain(cause))?;
        self.require_digits(&result)?;
        Ok(result)
    }
}

impl Checked {
    fn negated(&self, value: &ColumnarValue) -> Result<ColumnarValue> {
        let negated = |array: &dyn Array| neg(array).map_err(|cause| self.explain(cause.into()));
        Ok(match value {
            ColumnarValue::Array(array) => ColumnarValue::Array(negated(array)?),
            ColumnarValue::Scalar(scalar) => {
                let array = negated(&scalar.to_array()?)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
            }
        })
    }

    /// Whole numbers times or by a power of two: no bit is lost on the left.
    fn shifted(&self, args: &[ColumnarValue]) -> Result<ColumnarValue> {
        let beyond = || leaves_range(&self.written, &self.data_type, "");
        let wide = DataType::Decimal128(20, 0);
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let (numbers, by) = (cast(&arrays[0], &wide)?, cast(&arrays[1], &wide)?);
        let numbers = numbers.as_primitive::<Decimal128Type>();
        let n_bits = 8 * self.data_type.primitive_width().unwrap_or(8);
        let one = |number: i128, by: i128| {
            let by = u32::try_from(by).ok().filter(|by| (*by as usize) < n_bits);
            match (self.op, by) {
                (Op::ShiftLeft, Some(by)) => number.checked_mul(1_i128 << by),
                (_, by) => by.map(|by| number >> by),
            }
        };
        let by = by.as_primitive::<Decimal128Type>();
        let pairs = numbers.iter().zip(by.iter());
        let shifted = pairs.map(|pair| match pair {
            (Some(number), Some(by)) => one(number, by).ok_or_else(beyond).map(Some),
            _ => Ok(None),
        });
        let shifted: Decimal128Array = shifted.collect::<Result<_>>()?;
        let shifted = shifted.with_precision_and_scale(38, 0)?;
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let result = cast_with_options(&shifted, &self.data_type, &options);
        let result = result.map_err(|_| beyond())?;
        if args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }

    /// A number does not become infinity.
    fn require_finite(&self, from: &ColumnarValue, made: &ColumnarValue) -> Result<()> {
        if !floats::may_be_beyond(&from.data_type(), &self.data_type) {
            return Ok(());
        }
        let n_rows = if let ColumnarValue::Array(array) = made { array.len() } else { 1 };
        match floats::beyond(&from.to_array(n_rows)?, &made.to_array(n_rows)?)? {
            None => Ok(()),
            Some(_) => Err(no_cast(&self.written, &self.data_type)),
        }
    }

    /// The kernels compute decimals in 128 or 256 bits, which hold more digits than the types.
    fn require_digits(&self, result: &ColumnarValue) -> Result<()> {
        if !has_all_digits(&self.data_type) {
            return Ok(());
        }
        let array = match result {
            ColumnarValue::Array(array) => Arc::clone(array),
            ColumnarValue::Scalar(scalar) => scalar.to_array()?,
        };
        let fits = match &self.data_type {
            DataType::Decimal128(precision, _) => {
                array.as_primitive::<Decimal128Type>().validate_decimal_precision(*precision)
            }
            DataType::Decimal256(precision, _) => {
                array.as_primitive::<Decimal256Type>().validate_decimal_precision(*precision)
            }
            _ => Ok(()),
        };
        fits.map_err(|_| leaves_range(&self.written, &self.data_type, ""))
    }

    /// The error without the value that it is about, which may be personal.
    fn explain(&self, cause: DataFusionError) -> DataFusionError {
        match &cause {
            DataFusionError::ArrowError(arrow, _) => match **arrow {
                ArrowError::ArithmeticOverflow(_) => {
                    leaves_range(&self.written, &self.data_type, "")
                }
                ArrowError::DivideByZero => divides_by_zero(&self.written),
                _ => cause,
            },
            _ => cause,
        }
    }
}

/// An expression left the range of its type; `place` says for which keys: ` where day = …`.
pub(super) fn leaves_range(written: &str, data_type: &DataType, place: &str) -> DataFusionError {
    let hint = match data_type {
        DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "no decimal has more than 38 digits: use fewer decimal places, CAST(… AS DOUBLE), or a bound in the contract of the table that it comes from"
        }
        DataType::Duration(_) => "compare times instead of adding so many spans of centuries",
        _ => {
            "compute it on CAST(… AS DECIMAL(38, 0)), or put a bound into the contract of the table that it comes from"
        }
    };
    let message = format!("`{written}` leaves the range of {}{place}", sql_name(data_type));
    DataFusionError::External(Box::new(Error::data(message).hint(hint)))
}

fn divides_by_zero(written: &str) -> DataFusionError {
    let error = Error::data(format!("`{written}` divides by zero"));
    DataFusionError::External(Box::new(
        error.hint("divide by nullif(…, 0), which gives NULL, or leave such rows out in a CASE"),
    ))
}

fn no_cast(written: &str, data_type: &DataType) -> DataFusionError {
    let name = sql_name(data_type);
    let message = if data_type.is_string() {
        format!("`{written}`: a value is no {name}, since its bytes are no UTF-8")
    } else {
        format!("`{written}`: a value is no {name}, or out of its range")
    };
    let hint = "TRY_CAST(…) gives NULL instead; WHERE TRY_CAST(x AS …) IS NULL AND x IS NOT NULL finds the rows";
    DataFusionError::External(Box::new(Error::data(message).hint(hint)))
}

#[cfg(test)]
mod tests;
