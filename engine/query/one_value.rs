//! One zero and one NaN: values that SQL takes for equal are one key, wherever keys are formed.
//!
//! A double has a zero below zero, and many NaNs: that of `Infinity - Infinity` is another one than that
//! of a text, and sorts before all numbers. `DataFusion` 55.2 compares zeros right, and takes them apart
//! in ORDER BY, PARTITION BY, CASE, long lists and nullif (apache/datafusion#22826); NaNs it takes apart
//! everywhere (#16254). So a NaN becomes the one NaN where it is computed, and a key gets the one zero
//! where it is a key. What is merely passed on keeps its zero. INTERVALs as keys are in `intervals`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, BinaryExpr, Case, InList, Sort as SortKey, WindowFunction,
};
use datafusion::logical_expr::{
    ColumnarValue, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, Projection,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

use super::intervals::{self, INTERVAL};
use super::nearest::NEAREST;
use super::nodes::{input_schema, rewritten};
use super::{moving, nested_order, nulls, parts};

/// Replaces, after everything else, what is computed with wrong values.
#[derive(Debug)]
pub(super) struct RightValues;

impl AnalyzerRule for RightValues {
    fn name(&self) -> &'static str {
        "right_values"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    intervals::refuse_groups(&plan, &schema)?;
    let plan = with_keys(plan, &schema)?;
    let shows = matches!(
        plan,
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Values(_)
    );
    let changed = rewritten(plan, |expr| {
        let expr = settled(expr, &schema)?;
        if shows { expr.transform_data(|expr| shown(expr, &schema)) } else { Ok(expr) }
    })?;
    if !changed.transformed {
        return changed.transform_data(with_one_nan);
    }
    changed.map_data(LogicalPlan::recompute_schema)?.transform_data(with_one_nan)
}

/// A node whose own keys, not being shown, may become others.
fn with_keys(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Sort(mut sort) => {
            sort_keys(&mut sort.expr, schema)?;
            Ok(LogicalPlan::Sort(sort))
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            on.on_expr =
                on.on_expr.into_iter().map(|key| as_key(key, schema)).collect::<Result<_>>()?;
            if let Some(keys) = &mut on.sort_expr {
                sort_keys(keys, schema)?;
            }
            Ok(LogicalPlan::Distinct(Distinct::On(on)))
        }
        plan => Ok(plan),
    }
}

fn sort_keys(keys: &mut [SortKey], schema: &DFSchema) -> Result<()> {
    for key in keys {
        key.expr = as_key(std::mem::take(&mut key.expr), schema)?;
    }
    Ok(())
}

/// A result that is computed gets the one NaN.
fn shown(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::GroupingSet(_) | Expr::Column(_) => Ok(Transformed::no(expr)),
        Expr::Alias(mut alias) => {
            let inner = shown(*alias.expr, schema)?;
            alias.expr = Box::new(inner.data);
            Ok(Transformed::new(Expr::Alias(alias), inner.transformed, inner.tnr))
        }
        expr if may_be_nan(&expr) && is_double(&expr.get_type(schema)?) => {
            Ok(Transformed::yes(with_nan(expr)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn settled(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    nulls::kept_lists(expr)?.transform_data(|expr| {
        expr.transform_up(|expr| {
            nulls::kept_pattern(expr, schema)?.transform_data(|expr| one(expr, schema))
        })
    })
}

/// An expression whose operands are one value where they are equal.
fn one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Some(part) = parts::of_span(&expr, schema)? {
        return Ok(Transformed::yes(part));
    }
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            match kind(&left, schema)? {
                Some(kind) if kind.concerns(&left) || kind.concerns(&right) => {
                    let (left, right) = (kind.operand(*left), kind.operand(*right));
                    Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(
                        Box::new(left),
                        op,
                        Box::new(right),
                    )))
                }
                _ => {
                    let comparison = BinaryExpr { left, op, right };
                    match nested_order::compared(&comparison, schema)? {
                        Some(compared) => Transformed::yes(compared),
                        None => Transformed::no(Expr::BinaryExpr(comparison)),
                    }
                }
            }
        }
        Expr::Between(between) => between_of(between, schema)?,
        Expr::InList(InList { expr, list, negated }) => match kind(&expr, schema)? {
            Some(kind) => {
                let list = list.into_iter().map(|value| kind.key(value)).collect();
                let expr = Box::new(kind.key(*expr));
                Transformed::yes(Expr::InList(InList { expr, list, negated }))
            }
            None => Transformed::no(Expr::InList(InList { expr, list, negated })),
        },
        Expr::Case(Case { expr: Some(base), when_then_expr, else_expr }) => {
            case_of(base, when_then_expr, else_expr, schema)?
        }
        Expr::ScalarFunction(call) => function(Expr::ScalarFunction(call), schema)?,
        Expr::AggregateFunction(call) => Transformed::yes(aggregate(call, schema)?),
        Expr::WindowFunction(call) => Transformed::yes(window(*call, schema)?),
        expr => Transformed::no(expr),
    })
}

fn between_of(between: Between, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Some(kind) = kind(&between.expr, schema)? {
        let Between { expr, negated, low, high } = between;
        let [expr, low, high] = [*expr, *low, *high].map(|part| Box::new(kind.operand(part)));
        return Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })));
    }
    Ok(match nested_order::between(&between, schema)? {
        Some(compared) => Transformed::yes(compared),
        None => Transformed::no(Expr::Between(between)),
    })
}

fn case_of(
    base: Box<Expr>,
    whens: Vec<(Box<Expr>, Box<Expr>)>,
    otherwise: Option<Box<Expr>>,
    schema: &DFSchema,
) -> Result<Transformed<Expr>> {
    let Some(kind) = kind(&base, schema)? else {
        return Ok(Transformed::no(Expr::Case(Case::new(Some(base), whens, otherwise))));
    };
    let whens = whens.into_iter().map(|(when, then)| (Box::new(kind.key(*when)), then)).collect();
    Ok(Transformed::yes(Expr::Case(Case::new(Some(Box::new(kind.key(*base))), whens, otherwise))))
}

fn function(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
    match (call.name(), call.args.as_slice()) {
        // It compares bits, and leaves the fields of a STRUCT that is NULL as they were
        // (apache/datafusion#25293).
        ("nullif", [value, unwanted]) => {
            let data_type = value.get_type(schema)?;
            if !is_double(&data_type) && !data_type.is_nested() && data_type != INTERVAL {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            let equal = one(value.clone().eq(unwanted.clone()), schema)?.data;
            let null = Expr::Literal(ScalarValue::try_new_null(&data_type)?, None);
            let whens = vec![(Box::new(equal), Box::new(null))];
            let chosen = Case::new(None, whens, Some(Box::new(value.clone())));
            Ok(Transformed::yes(Expr::Case(chosen)))
        }
        ("greatest" | "least", [first, ..]) => {
            if first.get_type(schema)? == INTERVAL {
                return Err(intervals::refuse(first));
            }
            if is_double(&first.get_type(schema)?) {
                call.args = call.args.into_iter().map(|arg| Kind::Double.operand(arg)).collect();
                return Ok(Transformed::yes(Expr::ScalarFunction(call)));
            }
            Ok(Transformed::no(Expr::ScalarFunction(call)))
        }
        _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
    }
}

fn aggregate(mut call: AggregateFunction, schema: &DFSchema) -> Result<Expr> {
    sort_keys(&mut call.params.order_by, schema)?;
    let extreme = matches!(call.func.name(), "min" | "max");
    if extreme || call.params.distinct {
        let counts = call.func.name() == "count";
        if extreme && has_order_of_parts(&call.params.args, schema)? {
            call.func = nested_order::extreme(call.func.name());
            call.params.distinct = false;
            return Ok(Expr::AggregateFunction(call));
        }
        for arg in &mut call.params.args {
            match kind(arg, schema)? {
                Some(Kind::Double) => *arg = Kind::Double.operand(std::mem::take(arg)),
                Some(Kind::Interval) if extreme => return Ok(intervals::extreme(call)),
                Some(Kind::Interval) if counts => *arg = Kind::Interval.key(std::mem::take(arg)),
                Some(Kind::Interval) => return Err(intervals::refuse(arg)),
                None => {}
            }
        }
    }
    Ok(Expr::AggregateFunction(call))
}

fn window(mut call: WindowFunction, schema: &DFSchema) -> Result<Expr> {
    let extreme = matches!(call.fun.name(), "min" | "max");
    if extreme && has_order_of_parts(&call.params.args, schema)? {
        let function = nested_order::extreme(call.fun.name());
        call.fun = WindowFunctionDefinition::AggregateUDF(function);
        call.params.distinct = false;
    }
    let params = &mut call.params;
    sort_keys(&mut params.order_by, schema)?;
    for key in &mut params.partition_by {
        *key = as_key(std::mem::take(key), schema)?;
    }
    for arg in &mut params.args {
        match kind(arg, schema)? {
            Some(Kind::Double) => *arg = Kind::Double.operand(std::mem::take(arg)),
            Some(Kind::Interval) if extreme || params.distinct => {
                return Err(intervals::refuse(arg));
            }
            _ => {}
        }
    }
    Ok(Expr::from(moving::without_trace(call)?))
}

/// Whether the arguments are one list or struct, which is ordered by its parts.
fn has_order_of_parts(args: &[Expr], schema: &DFSchema) -> Result<bool> {
    match args {
        [arg] => Ok(nested_order::is_ordered(&arg.get_type(schema)?)),
        _ => Ok(false),
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Types that have values which are equal and not the same.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Double,
    Interval,
}

fn kind(expr: &Expr, schema: &DFSchema) -> Result<Option<Kind>> {
    let data_type = expr.get_type(schema)?;
    if data_type == INTERVAL {
        return Ok(Some(Kind::Interval));
    }
    Ok(is_double(&data_type).then_some(Kind::Double))
}

impl Kind {
    fn concerns(self, expr: &Expr) -> bool {
        self == Self::Interval || may_be_nan(expr)
    }

    /// The operand of a comparison.
    fn operand(self, expr: Expr) -> Expr {
        match self {
            Self::Interval => intervals::length(expr),
            Self::Double if may_be_nan(&expr) => with_nan(expr),
            Self::Double => expr,
        }
    }

    /// A key that is not shown.
    fn key(self, expr: Expr) -> Expr {
        match self {
            Self::Interval => intervals::length(expr),
            Self::Double => OneValue::call(true, expr),
        }
    }
}

fn as_key(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(match kind(&expr, schema)? {
        Some(kind) => kind.key(expr),
        None => expr,
    })
}

fn is_double(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// Whether a double may be another NaN than the one. Columns are none: their NaN was settled below.
fn may_be_nan(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::ScalarSubquery(_) => false,
        Expr::Literal(value, _) => match value {
            ScalarValue::Float64(Some(value)) => value.is_nan(),
            ScalarValue::Float32(Some(value)) => value.is_nan(),
            _ => false,
        },
        Expr::Alias(alias) => may_be_nan(&alias.expr),
        Expr::Case(case) => {
            case.when_then_expr.iter().any(|(_, then)| may_be_nan(then))
                || case.else_expr.as_deref().is_some_and(may_be_nan)
        }
        Expr::ScalarFunction(call) => match call.name() {
            "coalesce" | "greatest" | "least" | "nvl" | "ifnull" => {
                call.args.iter().any(may_be_nan)
            }
            OneValue::NAME
            | OneValue::KEY
            | NEAREST
            | "part_of_span"
            | "date_part"
            | "checked_double" => false,
            _ => true,
        },
        _ => true,
    }
}

fn with_nan(expr: Expr) -> Expr {
    OneValue::call(false, expr)
}

/// Results of aggregates and windows that may be another NaN, with the one NaN above them.
fn with_one_nan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let exprs = match &plan {
        LogicalPlan::Aggregate(aggregate) => &aggregate.aggr_expr,
        LogicalPlan::Window(window) => &window.window_expr,
        _ => return Ok(Transformed::no(plan)),
    };
    let schema = Arc::clone(plan.schema());
    let first = schema.fields().len() - exprs.len();
    let computed = exprs
        .iter()
        .enumerate()
        .map(|(at, expr)| is_double(schema.field(first + at).data_type()) && computes(expr));
    let computed: Vec<bool> = computed.collect();
    if !computed.contains(&true) {
        return Ok(Transformed::no(plan));
    }
    let columns = schema.iter().enumerate().map(|(at, (relation, field))| {
        let column = Expr::Column(Column::from((relation, field)));
        if at >= first && computed[at - first] {
            with_nan(column).alias_qualified(relation.cloned(), field.name())
        } else {
            column
        }
    });
    let projection = Projection::try_new(columns.collect(), Arc::new(plan))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// Whether a function makes doubles, and does not pass on some of them.
fn computes(expr: &Expr) -> bool {
    let passes_on = |name: &str| {
        let functions = ["min", "max", "first_value", "last_value", "nth_value", "lag", "lead"];
        let ranks = ["percent_rank", "cume_dist"];
        functions.contains(&name) || ranks.contains(&name)
    };
    match expr {
        Expr::Alias(alias) => computes(&alias.expr),
        Expr::AggregateFunction(call) => !passes_on(call.func.name()),
        Expr::WindowFunction(call) => !passes_on(call.fun.name()),
        _ => true,
    }
}

/// A double with the one NaN; a key has the one zero, too.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneValue {
    is_key: bool,
    signature: Signature,
}

impl OneValue {
    const NAME: &str = "one_nan";
    const KEY: &str = "one_value";

    fn call(is_key: bool, expr: Expr) -> Expr {
        let signature = Signature::any(1, Volatility::Immutable);
        ScalarUDF::from(Self { is_key, signature }).call(vec![expr])
    }

    fn of(&self, values: &ArrayRef) -> ArrayRef {
        let is_key = self.is_key;
        match values.data_type() {
            DataType::Float64 => {
                let values = values.as_primitive::<Float64Type>();
                let one = |value: f64| if value.is_nan() { f64::NAN } else { value };
                // Zero is added to the zero below zero.
                let key = |value: f64| one(value) + 0.0;
                let one: Float64Array = if is_key { values.unary(key) } else { values.unary(one) };
                Arc::new(one)
            }
            DataType::Float32 => {
                let values = values.as_primitive::<Float32Type>();
                let one = |value: f32| if value.is_nan() { f32::NAN } else { value };
                let key = |value: f32| one(value) + 0.0;
                let one: Float32Array = if is_key { values.unary(key) } else { values.unary(one) };
                Arc::new(one)
            }
            _ => Arc::clone(values),
        }
    }
}

impl ScalarUDFImpl for OneValue {
    fn name(&self) -> &'static str {
        if self.is_key { Self::KEY } else { Self::NAME }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Float64))
    }

    fn return_field_from_args(
        &self,
        args: ReturnFieldArgs<'_>,
    ) -> Result<datafusion::arrow::datatypes::FieldRef> {
        let field = args.arg_fields[0].as_ref().clone().with_name(self.name());
        Ok(Arc::new(field))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(self.of(values))),
            ColumnarValue::Scalar(value) => {
                let value = self.of(&value.to_array()?);
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?))
            }
        }
    }
}
