//! Sums and averages that are right or fail: added up in a wider type, then made as narrow as SQL says.
//!
//! `DataFusion` adds 64-bit integers with wrap-around. Added up as decimals they cannot leave their
//! range, so a sum is right whatever the order of its rows, also if it is too great in between. The
//! result becomes narrow above the aggregate, where a failure can name the group that it is about.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, Cast, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Projection, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, Window,
    WindowFunctionDefinition,
};

use super::checked::leaves_range;
use super::distinct_sum::distinct_sum;
use super::written::written;

/// More columns of a group than this are not named in an error.
const KEYS_MAX: usize = 6;
/// Longer values of a key are cut.
const KEY_CHARS_MAX: usize = 64;

/// An aggregate or window node whose sums and averages are computed wide and then made narrow.
pub(super) fn widened(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(plan.schema());
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let input = aggregate.input.schema();
            let n_before = schema.fields().len() - aggregate.aggr_expr.len();
            let (exprs, wide) = widen_all(aggregate.aggr_expr, &schema, n_before, input)?;
            let new = Aggregate::try_new(aggregate.input, aggregate.group_expr, exprs)?;
            let keys = columns(&schema, n_before);
            narrowed(LogicalPlan::Aggregate(new), &schema, wide, &keys)
        }
        LogicalPlan::Window(window) => {
            let n_before = schema.fields().len() - window.window_expr.len();
            let input = window.input.schema();
            let keys = partition_columns(&window.window_expr);
            let (exprs, wide) = widen_all(window.window_expr, &schema, n_before, input)?;
            let new = Window::try_new(exprs, window.input)?;
            narrowed(LogicalPlan::Window(new), &schema, wide, &keys)
        }
        plan => Ok(Transformed::no(plan)),
    }
}

/// A result that was computed wide: the field that it is, and how it is shown.
struct Wide {
    field: usize,
    written: String,
    /// The column with the number of values, for an average that was computed as a sum.
    count: Option<String>,
}

fn widen_all(
    exprs: Vec<Expr>,
    output: &DFSchema,
    n_before: usize,
    input: &DFSchema,
) -> Result<(Vec<Expr>, Vec<Wide>)> {
    let mut wide = Vec::new();
    let mut widened = Vec::new();
    let mut counts = Vec::new();
    for (n, expr) in exprs.into_iter().enumerate() {
        let field = n_before + n;
        let bare = expr.clone().unalias();
        if let Some((sum, count)) = sum_and_count(&bare, input)? {
            let (relation, name) = output.qualified_field(field);
            let number = format!("__count_{field}");
            wide.push(Wide { field, written: written(&bare), count: Some(number.clone()) });
            widened.push(sum.alias_qualified(relation.cloned(), name.name()));
            counts.push(count.alias(number));
            continue;
        }
        match widen(bare.clone(), input)? {
            Some(new) => {
                let (relation, name) = output.qualified_field(field);
                wide.push(Wide { field, written: written(&bare), count: None });
                widened.push(new.alias_qualified(relation.cloned(), name.name()));
            }
            None => widened.push(expr),
        }
    }
    widened.extend(counts);
    Ok((widened, wide))
}

/// The same sum or average over a wider type, if the type of the argument is too narrow for it.
fn widen(expr: Expr, input: &DFSchema) -> Result<Option<Expr>> {
    let wider = |name: &str, args: &[Expr]| match args {
        [arg] => Ok::<_, datafusion::error::DataFusionError>(
            wide_type(name, arg, &arg.get_type(input)?).map(|to| wide_argument(arg, to, input)),
        ),
        _ => Ok(None),
    };
    Ok(match expr {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            match wider(func.name(), &params.args)? {
                Some(arg) => {
                    params.args = vec![arg?];
                    Some(Expr::AggregateFunction(AggregateFunction { func, params }))
                }
                None => None,
            }
        }
        Expr::WindowFunction(mut call) => {
            let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else {
                return Ok(None);
            };
            match wider(function.name(), &call.params.args)? {
                Some(_)
                    if call.params.distinct
                        && !call.params.window_frame.start_bound.is_unbounded() =>
                {
                    moving_distinct(*call, input)?
                }
                Some(arg) => {
                    call.params.args = vec![arg?];
                    Some(Expr::WindowFunction(call))
                }
                None => None,
            }
        }
        _ => None,
    })
}

/// `avg` of integers of 64 bits as their sum and their number; `DataFusion` adds up doubles.
fn sum_and_count(expr: &Expr, input: &DFSchema) -> Result<Option<(Expr, Expr)>> {
    let is_wide = |args: &[Expr]| match args {
        [Expr::Cast(cast)] if *cast.field.data_type() == DataType::Float64 => {
            let from = cast.expr.get_type(input)?;
            let is_wide = matches!(from, DataType::Int64 | DataType::UInt64);
            Ok::<_, datafusion::error::DataFusionError>(is_wide.then(|| {
                let wide = DataType::Decimal128(20, 0);
                Expr::Cast(Cast::new(cast.expr.clone(), wide))
            }))
        }
        _ => Ok(None),
    };
    match expr {
        Expr::AggregateFunction(call) if call.func.name() == "avg" => {
            let Some(arg) = is_wide(&call.params.args)? else { return Ok(None) };
            let made = |func| {
                let mut params = call.params.clone();
                params.args = vec![arg.clone()];
                Expr::AggregateFunction(AggregateFunction { func, params })
            };
            Ok(Some((made(sum_udaf()), made(count_udaf()))))
        }
        Expr::WindowFunction(call) if call.fun.name() == "avg" && !call.params.distinct => {
            let Some(arg) = is_wide(&call.params.args)? else { return Ok(None) };
            let made = |func| {
                let mut call = call.clone();
                call.fun = WindowFunctionDefinition::AggregateUDF(func);
                call.params.args = vec![arg.clone()];
                Expr::WindowFunction(call)
            };
            Ok(Some((made(sum_udaf()), made(count_udaf()))))
        }
        _ => Ok(None),
    }
}

/// `sum(DISTINCT x)` over a moving window: `DataFusion`'s own knows no wider type.
fn moving_distinct(mut call: WindowFunction, input: &DFSchema) -> Result<Option<Expr>> {
    if call.params.args[0].get_type(input)? == DataType::Int64 && call.fun.name() == "sum" {
        let function = Arc::new(distinct_sum());
        call.fun = WindowFunctionDefinition::AggregateUDF(function);
    }
    Ok(Some(Expr::from(call)))
}

/// The type in which to add up, if the argument's own may be too narrow for the sum.
///
/// Decimals have room for ten more digits, thus for ten billion rows, up to 28 of them; averages
/// need four more.
fn wide_type(name: &str, arg: &Expr, data_type: &DataType) -> Option<DataType> {
    match (name, data_type) {
        ("sum", DataType::Int64) => (!is_small(arg)).then_some(DataType::Decimal128(19, 0)),
        ("sum", DataType::UInt64) => Some(DataType::Decimal128(20, 0)),
        ("sum" | "avg", DataType::Duration(_)) => Some(DataType::Decimal128(19, 0)),
        ("sum", DataType::Decimal128(precision @ 29.., scale)) => {
            Some(DataType::Decimal256(*precision, *scale))
        }
        // An average is cut behind its last digit; with one more digit it can be rounded.
        ("avg", DataType::Decimal128(precision @ ..=24, scale)) => {
            Some(DataType::Decimal128(precision + 1, scale + 1))
        }
        ("avg", DataType::Decimal128(precision, scale @ ..=34)) => {
            Some(DataType::Decimal256(precision + 1, scale + 1))
        }
        _ => None,
    }
}

/// Whether an integer has at most 32 bits, so that not even four billion rows make a sum too great.
fn is_small(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Int64(n), _) => n.is_none_or(|n| i32::try_from(n).is_ok()),
        Expr::Literal(literal, _) => literal.is_null(),
        Expr::Cast(cast) => matches!(*cast.expr, Expr::Literal(..)) && is_small(&cast.expr),
        Expr::Case(case) => {
            case.when_then_expr.iter().all(|(_, then)| is_small(then))
                && case.else_expr.as_ref().is_none_or(|other| is_small(other))
        }
        _ => false,
    }
}

/// The argument in the wider type; spans of time by way of their number.
fn wide_argument(arg: &Expr, to: DataType, input: &DFSchema) -> Result<Expr> {
    let arg = match arg.get_type(input)? {
        DataType::Duration(_) => Expr::Cast(Cast::new(Box::new(arg.clone()), DataType::Int64)),
        _ => arg.clone(),
    };
    Ok(Expr::Cast(Cast::new(Box::new(arg), to)))
}

/// The first columns of a schema, as keys of an error.
fn columns(schema: &DFSchema, n: usize) -> Vec<Column> {
    let columns = schema.columns().into_iter().take(n);
    let columns = columns.filter(|column| column.name != Aggregate::INTERNAL_GROUPING_ID);
    columns.take(KEYS_MAX).collect()
}

/// The columns by which the windows of a node are split.
fn partition_columns(exprs: &[Expr]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for expr in exprs {
        let Expr::WindowFunction(call) = expr.clone().unalias() else { continue };
        let WindowFunction { params, .. } = *call;
        for key in params.partition_by {
            if let Expr::Column(column) = key
                && !columns.contains(&column)
                && columns.len() < KEYS_MAX
            {
                columns.push(column);
            }
        }
    }
    columns
}

/// A projection above a node that gives each wide result the type which SQL says.
fn narrowed(
    plan: LogicalPlan,
    schema: &DFSchema,
    wide: Vec<Wide>,
    keys: &[Column],
) -> Result<Transformed<LogicalPlan>> {
    if wide.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let mut exprs: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    for Wide { field, written, count } in wide {
        let (relation, promised) = schema.qualified_field(field);
        let narrow = ScalarUDF::from(Narrow {
            written,
            data_type: promised.data_type().clone(),
            is_average: count.is_some(),
            keys: keys.iter().map(|key| key.name.clone()).collect(),
            signature: Signature::any(
                1 + usize::from(count.is_some()) + keys.len(),
                Volatility::Immutable,
            ),
        });
        let mut args = vec![Expr::Column(Column::from(schema.qualified_field(field)))];
        args.extend(count.map(|count| Expr::Column(Column::from_name(count))));
        args.extend(keys.iter().cloned().map(Expr::Column));
        exprs[field] = narrow.call(args).alias_qualified(relation.cloned(), promised.name());
    }
    let projection = Projection::try_new(exprs, Arc::new(plan))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// Makes a wide result narrow: its other arguments are the keys of the group that it belongs to.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Narrow {
    written: String,
    data_type: DataType,
    /// Whether the next argument is a number to divide by.
    is_average: bool,
    keys: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for Narrow {
    fn name(&self) -> &'static str {
        "checked_narrow"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.first().is_none_or(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.data_type.clone(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        if self.is_average {
            return Ok(ColumnarValue::Array(Arc::new(average(&arrays[0], &arrays[1]))));
        }
        match narrow(&arrays[0], &self.data_type, false) {
            Ok(result) => Ok(ColumnarValue::Array(result)),
            Err(_) => Err(leaves_range(&self.written, &self.data_type, &self.place(&arrays))),
        }
    }
}

impl Narrow {
    /// ` where key = value, …` of the first group that does not fit.
    fn place(&self, arrays: &[ArrayRef]) -> String {
        let value = &arrays[0];
        let Ok(lenient) = narrow(value, &self.data_type, true) else { return String::new() };
        let row = (0..value.len()).find(|row| value.is_valid(*row) && lenient.is_null(*row));
        let Some(row) = row.filter(|_| !self.keys.is_empty()) else { return String::new() };
        shown_keys(&self.keys, &arrays[1..], row)
    }
}

/// ` where key = value, …` of a row.
pub(super) fn shown_keys(names: &[String], columns: &[ArrayRef], row: usize) -> String {
    let keys = names.iter().zip(columns).map(|(name, values)| {
        if values.is_null(row) {
            return format!("{name} is NULL");
        }
        let text = array_value_to_string(values, row).unwrap_or_else(|_| "…".to_owned());
        let text: String = text.chars().take(KEY_CHARS_MAX).collect();
        format!("{name} = {}", text.escape_debug())
    });
    format!(" where {}", keys.take(KEYS_MAX).collect::<Vec<_>>().join(", "))
}

/// Sums by their numbers of values.
fn average(sums: &ArrayRef, counts: &ArrayRef) -> Float64Array {
    let sums = sums.as_primitive::<Decimal128Type>().iter();
    let counts = counts.as_primitive::<Int64Type>().iter();
    let averages = sums.zip(counts).map(|pair| match pair {
        (Some(sum), Some(n)) => u128::try_from(n).ok().filter(|n| *n > 0).map(|n| quotient(sum, n)),
        _ => None,
    });
    averages.collect()
}

/// The double that is nearest to a quotient: it has at least 60 bits before it is rounded, the last
/// one of which says whether more would follow.
#[allow(clippy::cast_precision_loss, reason = "the one rounding of an average")]
fn quotient(sum: i128, n: u128) -> f64 {
    const BITS: u32 = 124;
    let size = sum.unsigned_abs();
    let shift = BITS - size.max(1).ilog2().min(BITS);
    let shifted = size << shift;
    let quotient = (shifted / n) | u128::from(!shifted.is_multiple_of(n));
    let scale = i32::try_from(shift).map_or(0.0, |shift| 2_f64.powi(-shift));
    quotient as f64 * scale * if sum < 0 { -1.0 } else { 1.0 }
}

/// A cast that fails, or with `safe` gives NULL, where a value does not fit.
fn narrow(
    values: &ArrayRef,
    to: &DataType,
    safe: bool,
) -> Result<ArrayRef, datafusion::arrow::error::ArrowError> {
    let options = CastOptions { safe, ..CastOptions::default() };
    match to {
        DataType::Duration(_) => {
            let number = cast_with_options(values, &DataType::Int64, &options)?;
            cast_with_options(&number, to, &options)
        }
        _ => cast_with_options(values, to, &options),
    }
}
