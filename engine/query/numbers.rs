//! Numbers of different kinds that meet, before their types are made one.
//!
//! Promise: none is rounded in silence. Numbers with a point are decimals: they are added, multiplied
//! and compared exactly among themselves and with integers, and are doubles where they meet a double,
//! a quotient or an average. An integer that meets a double keeps its value, or ends the query. Two
//! decimals are compared with all their digits, a decimal and a double as doubles. `DataFusion` would
//! compare doubles with 15 decimal places, integers as doubles, and would cut off quotients.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, BinaryExpr, Cast, InList, InSubquery, ScalarFunction,
};
use datafusion::logical_expr::{
    Case, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Union,
    Values, WindowFunctionDefinition, lit,
};

use super::exact::exact;
use super::kinds::{
    Kind, Scope, cast, digits, double_literal, is_arithmetic, is_choice, keeps_kind, of_type,
    to_double,
};
use super::nodes::{input_schema, rewritten};
use super::{null_lists, rounded};

/// The digits of the longest decimals.
const DIGITS_MAX: u8 = 38;
const WIDE_DIGITS_MAX: u8 = 76;
/// Beyond every whole number of 64 bits.
const WHOLE_MAX: f64 = 2e19;
/// Aggregates whose result is one of their values, or as exact as these are.
const EXACT: &[&str] = &[
    "array_agg",
    "count",
    "first_value",
    "last_value",
    "max",
    "median",
    "min",
    "nth_value",
    "sum",
];

/// Functions that show or keep numbers of any type.
const AS_WRITTEN: &[&str] =
    &["arrow_cast", "arrow_typeof", "concat", "concat_ws", "named_struct", "struct"];

/// A plan whose numbers meet as SQL says, and which of its columns are decimals of literals.
pub(super) fn settled(plan: LogicalPlan) -> Result<(LogicalPlan, Vec<bool>)> {
    let plan = plan.map_subqueries(|inner| Ok(Transformed::yes(settled(inner)?.0)))?.data;
    let mut inputs: Vec<Vec<bool>> = Vec::new();
    let plan = plan.map_children(|input| {
        let (input, literals) = settled(input)?;
        inputs.push(literals);
        Ok(Transformed::yes(input))
    })?;
    let plan = plan.data;
    let schema = input_schema(&plan)?;
    let columns = plan.inputs().into_iter().zip(&inputs).flat_map(|(input, literals)| {
        let columns = input.schema().columns().into_iter().zip(literals);
        columns.filter(|(_, is)| **is).map(|(column, _)| column)
    });
    let scope = Scope { schema: &schema, literals: columns.collect() };
    let plan = match plan {
        LogicalPlan::Join(join) => LogicalPlan::Join(joined(join, &scope)?),
        LogicalPlan::Union(union) => LogicalPlan::Union(united(&union, &inputs)?),
        LogicalPlan::Values(values) => with_double_columns(values)?,
        plan => plan,
    };
    let plan = rewritten(plan, |expr| expr.transform_up(|part| part_of(part, &scope)))?
        .map_data(LogicalPlan::recompute_schema)?
        .data;
    let literals = literals(&plan, &scope, &inputs)?;
    Ok((plan, literals))
}

/// Which columns of a plan are decimals of literals.
fn literals(plan: &LogicalPlan, scope: &Scope<'_>, inputs: &[Vec<bool>]) -> Result<Vec<bool>> {
    let n = plan.schema().fields().len();
    let is = |expr: &Expr| {
        Ok::<_, DataFusionError>(match expr.clone().unalias() {
            Expr::AggregateFunction(call) => {
                EXACT.contains(&call.func.name()) && is_literal(&call.params.args, scope)?
            }
            Expr::WindowFunction(call) => is_literal(&call.params.args, scope)?,
            expr => scope.kind(&expr)? == Kind::Literal,
        })
    };
    let mut all: Vec<bool> = match plan {
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().map(is).collect::<Result<_>>()?
        }
        LogicalPlan::Aggregate(aggregate) => {
            let n_keys = n - aggregate.aggr_expr.len();
            let keys = aggregate.group_expr.iter().map(is).collect::<Result<Vec<_>>>()?;
            let mut all = if keys.len() == n_keys { keys } else { vec![false; n_keys] };
            for expr in &aggregate.aggr_expr {
                all.push(is(expr)?);
            }
            all
        }
        LogicalPlan::Values(values) => {
            let column = |at: usize| values.values.iter().all(|row| is_number(&row[at]));
            let fields = plan.schema().fields().iter().enumerate();
            fields.map(|(at, field)| field.data_type().is_decimal() && column(at)).collect()
        }
        LogicalPlan::Union(_) => {
            (0..n).map(|at| inputs.iter().all(|input| input.get(at) == Some(&true))).collect()
        }
        LogicalPlan::Window(window) => {
            let mut all = inputs.concat();
            for expr in &window.window_expr {
                all.push(is(expr)?);
            }
            all
        }
        _ => inputs.concat(),
    };
    if all.len() != n {
        all = vec![false; n];
    }
    Ok(all)
}

fn is_literal(args: &[Expr], scope: &Scope<'_>) -> Result<bool> {
    Ok(args.first().map(|arg| scope.kind(arg)).transpose()? == Some(Kind::Literal))
}

/// Whether a value of VALUES is a number as it stands there, or as planning made it.
fn is_number(value: &Expr) -> bool {
    match value {
        Expr::Cast(Cast { expr, .. }) | Expr::Negative(expr) => is_number(expr),
        Expr::Literal(value, _) => value.data_type().is_numeric() || value.is_null(),
        _ => false,
    }
}

fn part_of(part: Expr, scope: &Scope<'_>) -> Result<Transformed<Expr>> {
    Ok(match part {
        Expr::BinaryExpr(operation) => Transformed::yes(binary(operation, scope)?),
        Expr::InList(InList { expr, list, negated }) => {
            let all = std::iter::once(*expr).chain(list).collect();
            let mut all = together(all, Meet::Comparison, scope)?.into_iter();
            let expr = all.next().unwrap_or_else(|| lit(true));
            Transformed::yes(Expr::InList(InList::new(Box::new(expr), all.collect(), negated)))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let all = together(vec![*expr, *low, *high], Meet::Comparison, scope)?;
            let [expr, low, high] = <[Expr; 3]>::try_from(all).unwrap_or_default();
            let (expr, low, high) = (Box::new(expr), Box::new(low), Box::new(high));
            Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
        }
        Expr::Case(case) => Transformed::yes(Expr::Case(branches(case, scope)?)),
        Expr::Cast(Cast { expr, field })
            if field.data_type().is_floating() && matches!(*expr, Expr::Literal(..)) =>
        {
            let expr = if scope.kind(&expr)? == Kind::Literal { to_double(*expr) } else { *expr };
            Transformed::yes(Expr::Cast(Cast { expr: Box::new(expr), field }))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let args = if is_choice(func.name()) || func.name() == "make_array" {
                together(args, Meet::Choice, scope)?
            } else if keeps_kind(func.name()) || AS_WRITTEN.contains(&func.name()) {
                args
            } else {
                doubles(args, scope)?
            };
            let func = rounded::with_places(func, &args);
            Transformed::yes(null_lists::answered(ScalarFunction { func, args }, scope.schema)?)
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            if !EXACT.contains(&func.name()) {
                params.args = doubles(params.args, scope)?;
            }
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        Expr::WindowFunction(mut call) => {
            let mut args = std::mem::take(&mut call.params.args);
            let is_aggregate = matches!(call.fun, WindowFunctionDefinition::AggregateUDF(_));
            if is_aggregate && !EXACT.contains(&call.fun.name()) {
                args = doubles(args, scope)?;
            } else if matches!(call.fun.name(), "lag" | "lead") && args.len() == 3 {
                let offset = args.remove(1);
                args = together(args, Meet::Choice, scope)?;
                args.insert(1, offset);
            }
            call.params.args = args;
            Transformed::yes(Expr::WindowFunction(call))
        }
        Expr::InSubquery(inside) => Transformed::yes(Expr::InSubquery(in_subquery(inside, scope)?)),
        part => Transformed::no(part),
    })
}

fn doubles(args: Vec<Expr>, scope: &Scope<'_>) -> Result<Vec<Expr>> {
    let double = |arg: Expr| {
        let is_literal = scope.kind(&arg)? == Kind::Literal;
        Ok::<_, DataFusionError>(if is_literal { to_double(arg) } else { arg })
    };
    args.into_iter().map(double).collect()
}

fn binary(operation: BinaryExpr, scope: &Scope<'_>) -> Result<Expr> {
    let BinaryExpr { left, op, right } = operation;
    let (left, right) = if is_comparison(op) {
        pair(*left, *right, scope)?
    } else if is_arithmetic(op) {
        arithmetic(*left, op, *right, scope)?
    } else {
        (*left, *right)
    };
    Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn pair(left: Expr, right: Expr, scope: &Scope<'_>) -> Result<(Expr, Expr)> {
    let both = together(vec![left, right], Meet::Comparison, scope)?;
    let [left, right] = <[Expr; 2]>::try_from(both).unwrap_or_default();
    Ok((left, right))
}

/// The operands of `+ - * / %`, doubles where a decimal of literals has no exact result.
fn arithmetic(left: Expr, op: Operator, right: Expr, scope: &Scope<'_>) -> Result<(Expr, Expr)> {
    let kinds = (scope.kind(&left)?, scope.kind(&right)?);
    let greatest = kinds.0.max(kinds.1);
    let has_literal = kinds.0 == Kind::Literal || kinds.1 == Kind::Literal;
    if !has_literal {
        return Ok((left, right));
    }
    let is_double = match greatest {
        Kind::Floating | Kind::Other => true,
        Kind::Literal => op == Operator::Divide || !fits(&left, op, &right, scope.schema)?,
        _ => false,
    };
    if is_double {
        let both = doubles(vec![left, right], scope)?;
        let [left, right] = <[Expr; 2]>::try_from(both).unwrap_or_default();
        return Ok((left, right));
    }
    if op == Operator::Divide && kinds.0 == Kind::Literal {
        return Ok((dividend(left, &right, scope.schema)?, right));
    }
    Ok((left, right))
}

/// A quotient has four decimal places more than the dividend: a literal gets as many as the divisor.
fn dividend(left: Expr, right: &Expr, schema: &DFSchema) -> Result<Expr> {
    const PLACES_MIN: u8 = 2;
    let found = (digits(&left.get_type(schema)?), digits(&right.get_type(schema)?));
    let (Some((whole, scale)), Some((_, other))) = found else { return Ok(left) };
    let wanted = other.max(PLACES_MIN).max(scale);
    match i8::try_from(wanted) {
        Ok(places) if wanted > scale && whole + wanted <= DIGITS_MAX => {
            Ok(cast(left, DataType::Decimal128((whole + wanted).max(1), places)))
        }
        _ => Ok(left),
    }
}

/// Whether every result of an operation has room in a decimal.
fn fits(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<bool> {
    let found = (digits(&left.get_type(schema)?), digits(&right.get_type(schema)?));
    let (Some(left), Some(right)) = found else { return Ok(false) };
    let n_digits = match op {
        Operator::Multiply => left.0 + left.1 + right.0 + right.1 + 1,
        _ => left.0.max(right.0) + 1 + left.1.max(right.1),
    };
    Ok(n_digits <= DIGITS_MAX)
}

/// What numbers meet for.
#[derive(Clone, Copy, PartialEq)]
enum Meet {
    /// To be compared.
    Comparison,
    /// For one of them to be taken.
    Choice,
}

/// Numbers that get one type, each with its value.
fn together(all: Vec<Expr>, meet: Meet, scope: &Scope<'_>) -> Result<Vec<Expr>> {
    let kinds = all.iter().map(|expr| scope.kind(expr)).collect::<Result<Vec<_>>>()?;
    let mut all = all;
    match kinds.iter().max() {
        Some(Kind::Other) => doubles(all, scope),
        Some(Kind::Floating) => {
            let whole = kinds.iter().any(|kind| matches!(kind, Kind::Whole | Kind::Literal));
            if meet == Meet::Comparison && whole {
                for expr in &mut all {
                    if let Some(number) = double_literal(expr).and_then(whole_number) {
                        *expr = number;
                    }
                }
            }
            with_doubles(all, meet, scope)
        }
        Some(Kind::Literal | Kind::Decimal) if meet == Meet::Comparison => {
            with_all_digits(all, scope.schema)
        }
        _ => Ok(all),
    }
}

/// Numbers of which some may be doubles: the others become doubles of the same value.
fn with_doubles(all: Vec<Expr>, meet: Meet, scope: &Scope<'_>) -> Result<Vec<Expr>> {
    let mut kinds = Vec::new();
    for expr in &all {
        kinds.push(scope.kind(expr)?);
    }
    // Between two whole numbers, or beyond all: no rounding passes it.
    let is_apart = |expr: &Expr, kind: &Kind| {
        *kind != Kind::Floating
            || double_literal(expr)
                .is_some_and(|number| number.fract() != 0.0 || number.abs() > WHOLE_MAX)
    };
    let all_apart = all.iter().zip(&kinds).all(|(expr, kind)| is_apart(expr, kind));
    let only_steady = meet == Meet::Comparison && all_apart;
    let double = |(expr, kind): (Expr, Kind)| {
        Ok::<_, DataFusionError>(match kind {
            Kind::Literal => to_double(expr),
            // As in other engines: 0.10 is 0.1, though the double is not quite a tenth.
            Kind::Decimal if meet == Meet::Comparison => to_double(expr),
            Kind::Whole if !only_steady && is_wide(&expr.get_type(scope.schema)?) => exact(expr),
            _ => expr,
        })
    };
    if kinds.iter().all(|kind| *kind < Kind::Floating) {
        return with_all_digits(all, scope.schema);
    }
    all.into_iter().zip(kinds).map(double).collect()
}

fn is_wide(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64)
}

/// A double that is a whole number of 64 bits, as one.
fn whole_number(number: f64) -> Option<Expr> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    #[allow(clippy::cast_possible_truncation, reason = "it is within the range")]
    let whole = (number.fract() == 0.0 && (-END..END).contains(&number)).then_some(number as i64);
    whole.map(lit)
}

/// Decimals of one type that has all digits of each.
fn with_all_digits(all: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let mut most = (0, 0);
    for expr in &all {
        let Some((whole, scale)) = digits(&expr.get_type(schema)?) else { return Ok(all) };
        most = (most.0.max(whole), most.1.max(scale));
    }
    let (n_digits, scale) = (most.0 + most.1, i8::try_from(most.1).unwrap_or(i8::MAX));
    if !(DIGITS_MAX + 1..=WIDE_DIGITS_MAX).contains(&n_digits) {
        return Ok(all);
    }
    Ok(all.into_iter().map(|expr| cast(expr, DataType::Decimal256(n_digits, scale))).collect())
}

/// The branches of a CASE, and what it compares.
fn branches(case: Case, scope: &Scope<'_>) -> Result<Case> {
    let Case { expr, when_then_expr, else_expr } = case;
    let (whens, thens): (Vec<Expr>, Vec<Expr>) =
        when_then_expr.into_iter().map(|(when, then)| (*when, *then)).unzip();
    let has_else = else_expr.is_some();
    let values = thens.into_iter().chain(else_expr.map(|other| *other)).collect();
    let mut values = together(values, Meet::Choice, scope)?;
    let other = if has_else { values.pop() } else { None };
    let (operand, whens) = match expr {
        Some(operand) => {
            let all = std::iter::once(*operand).chain(whens).collect();
            let mut all = together(all, Meet::Comparison, scope)?.into_iter();
            (all.next(), all.collect())
        }
        None => (None, whens),
    };
    let pairs = whens.into_iter().zip(values);
    let pairs = pairs.map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    Ok(Case::new(operand.map(Box::new), pairs, other.map(Box::new)))
}

/// `x IN (SELECT …)` that stays one.
fn in_subquery(inside: InSubquery, scope: &Scope<'_>) -> Result<InSubquery> {
    let InSubquery { expr, mut subquery, negated } = inside;
    let (table, field) = subquery.subquery.schema().qualified_field(0);
    let member = Expr::Column(Column::from((table, field)));
    let schema = Arc::clone(subquery.subquery.schema());
    let (here, there) = (scope.kind(&expr)?, of_type(field.data_type()));
    let whole = here == Kind::Whole && is_wide(&expr.get_type(scope.schema)?);
    let expr = match there {
        Kind::Floating if whole => exact(*expr),
        Kind::Floating if here == Kind::Literal => to_double(*expr),
        _ => *expr,
    };
    if here == Kind::Floating && matches!(there, Kind::Whole | Kind::Decimal) {
        let wide = is_wide(&member.get_type(schema.as_ref())?);
        let member = match there {
            Kind::Whole if wide => exact(member),
            _ => to_double(member),
        };
        let plan = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery)).project([member])?;
        subquery.subquery = Arc::new(plan.build()?);
    }
    Ok(InSubquery::new(Box::new(expr), subquery, negated))
}

fn joined(join: Join, scope: &Scope<'_>) -> Result<Join> {
    let mut join = join;
    let on = std::mem::take(&mut join.on);
    join.on =
        on.into_iter().map(|(left, right)| pair(left, right, scope)).collect::<Result<_>>()?;
    Ok(join)
}

/// VALUES whose columns that have a double somewhere are doubles. Planning has made their values
/// decimals of 15 places.
fn with_double_columns(mut values: Values) -> Result<LogicalPlan> {
    let nothing = DFSchema::empty();
    let types: Vec<DataType> =
        values.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    let mut changed = false;
    for (at, made) in types.iter().enumerate().filter(|(_, made)| made.is_decimal()) {
        let mut kinds = Vec::new();
        for row in &values.values {
            kinds.push(of_type(&as_given(&row[at], made).get_type(&nothing)?));
        }
        let is_double = |kind: &Kind| *kind == Kind::Floating;
        // What are doubles throughout was cast by hand.
        if !kinds.iter().any(is_double) || kinds.iter().all(is_double) {
            continue;
        }
        changed = true;
        for (row, kind) in values.values.iter_mut().zip(kinds) {
            let given = as_given(&row[at], made).clone();
            row[at] = match kind {
                Kind::Whole if is_wide(&given.get_type(&nothing)?) => exact(given),
                _ => to_double(given),
            };
        }
    }
    if changed {
        LogicalPlanBuilder::values(values.values)?.build()
    } else {
        Ok(LogicalPlan::Values(values))
    }
}

/// A value without the cast that planning put around it.
fn as_given<'e>(value: &'e Expr, made: &DataType) -> &'e Expr {
    match value {
        Expr::Cast(Cast { expr, field }) if field.data_type() == made => expr,
        value => value,
    }
}

/// The parts of a UNION with doubles where one of them has doubles.
fn united(union: &Union, literals: &[Vec<bool>]) -> Result<Union> {
    let kind = |input: usize, at: usize| match literals[input].get(at) {
        Some(true) => Kind::Literal,
        _ => of_type(union.inputs[input].schema().field(at).data_type()),
    };
    let floats: Vec<bool> = (0..union.schema.fields().len())
        .map(|at| (0..union.inputs.len()).any(|input| kind(input, at) == Kind::Floating))
        .collect();
    let mut inputs = Vec::new();
    for (number, input) in union.inputs.iter().enumerate() {
        let mut changed = false;
        let columns = input.schema().iter().enumerate().map(|(at, (table, field))| {
            let column = Expr::Column(Column::from((table, field)));
            let new = match kind(number, at) {
                _ if !floats[at] => return column,
                Kind::Literal => to_double(column),
                Kind::Whole if is_wide(field.data_type()) => exact(column),
                _ => return column,
            };
            changed = true;
            new.alias_qualified(table.cloned(), field.name())
        });
        let columns: Vec<Expr> = columns.collect();
        inputs.push(if changed {
            Arc::new(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(input))?))
        } else {
            Arc::clone(input)
        });
    }
    Union::try_new_with_loose_types(inputs)
}

#[cfg(test)]
mod tests;
