//! IN, NOT IN, ANY, ALL and EXISTS in terms of EXISTS that `DataFusion` 55.2 computes right.
//!
//! NOT IN becomes an anti join that is wrong for constants, NULL, correlated sets (apache/datafusion#8241,
//! #25347, #25473), and by chance where several partitions run (#25076); inside OR, CASE and IS NULL an
//! unknown IN becomes false; ANY and ALL compare a table that reads itself with itself. So each is written
//! out: what matches, and what makes the answer unknown.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, ScalarValue, Spans};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, FetchType, Filter, LogicalPlan, LogicalPlanBuilder, Operator,
    Projection, SkipType, Subquery, binary_expr, lit, not, when,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::opaque::or_null;
use super::pulled::{self, Use, is_correlated};
use super::shapes::{Result, is_subquery, refusal, span_in, span_of};

/// Rewrites the subqueries of one query; each set gets a name of its own.
#[derive(Default)]
pub(super) struct Subqueries {
    n_sets: Cell<usize>,
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// WHERE, HAVING and ON: EXISTS becomes a join.
    Filter,
    /// Elsewhere `DataFusion` knows no EXISTS, but single values.
    Value,
}

impl Subqueries {
    /// A condition that keeps rows: whether it is false or unknown makes no difference.
    pub(super) fn condition(&self, predicate: Expr, schema: &DFSchema) -> Result<Expr> {
        if !predicate.exists(|part| Ok(is_subquery(part)))? {
            return Ok(predicate);
        }
        let mut all = Vec::new();
        for part in split_conjunction_owned(predicate) {
            all.push(self.conjunct(part, schema)?);
        }
        Ok(conjunction(all).unwrap_or_else(|| lit(true)))
    }

    fn conjunct(&self, part: Expr, schema: &DFSchema) -> Result<Expr> {
        match part {
            Expr::Not(inner) => match *inner {
                Expr::InSubquery(mut inside) => {
                    inside.negated = !inside.negated;
                    self.conjunct(Expr::InSubquery(inside), schema)
                }
                Expr::Not(inner) => self.conjunct(*inner, schema),
                inner => self.value(not(inner), schema, Place::Filter),
            },
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                let expr = self.value(*expr, schema, Place::Filter)?;
                if let Some(one) = one_row(&subquery.subquery)? {
                    return one.has(expr, negated);
                }
                if !negated && !is_correlated(&subquery.subquery) {
                    // A semi join: right as it is.
                    return Ok(Expr::InSubquery(InSubquery::new(Box::new(expr), subquery, false)));
                }
                let set = self.set(expr, &subquery.subquery, schema, Place::Filter)?;
                if !negated {
                    return set.matches(Operator::Eq, false);
                }
                let mut all = vec![not(set.matches(Operator::Eq, false)?)];
                all.extend(set.unknown()?.into_iter().map(not));
                Ok(conjunction(all).unwrap_or_else(|| lit(true)))
            }
            part => self.value(part, schema, Place::Filter),
        }
    }

    /// An expression with the value that it has, unknown included.
    pub(super) fn value(&self, expr: Expr, schema: &DFSchema, place: Place) -> Result<Expr> {
        expr.transform_up(|part| {
            Ok(match part {
                Expr::Exists(exists) => Transformed::yes(exists_right(exists, place)?),
                Expr::ScalarSubquery(inner) => {
                    // HAVING is not kept where nothing matches.
                    if let Some(OneRow { value, holds: Some(_) }) = one_row(&inner.subquery)? {
                        return Ok(Transformed::yes(value));
                    }
                    pulled::check(&inner.subquery, Use::Value)?;
                    Transformed::yes(Expr::ScalarSubquery(nullable(inner)?))
                }
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    if let Some(one) = one_row(&subquery.subquery)? {
                        return one.has(*expr, negated).map(Transformed::yes);
                    }
                    let set = self.set(*expr, &subquery.subquery, schema, place)?;
                    let inside = answer(set.matches(Operator::Eq, false)?, set.unknown()?, true)?;
                    Transformed::yes(if negated { not(inside) } else { inside })
                }
                Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                    let set = self.set(*expr, &subquery.subquery, schema, place)?;
                    let unknown =
                        Some(set.exists(|value, of| binary_expr(value, op, of).is_null())?);
                    Transformed::yes(match quantifier {
                        SetQuantifier::Any => answer(set.matches(op, false)?, unknown, true)?,
                        SetQuantifier::All => answer(set.matches(op, true)?, unknown, false)?,
                    })
                }
                part => Transformed::no(part),
            })
        })
        .data()
    }

    fn set<'a>(
        &self,
        value: Expr,
        plan: &'a LogicalPlan,
        schema: &DFSchema,
        place: Place,
    ) -> Result<Set<'a>> {
        if is_correlated(plan) {
            pulled::check(plan, Use::Rows)?;
        }
        if value.contains_outer() || value.exists(|part| Ok(is_subquery(part)))? {
            return Err(refusal(
                "a value of another query cannot be compared with a subquery",
                "compute the value in a column of the subquery around it, or write a join",
                span_of([&value]).or_else(|| span_in(plan)),
            ));
        }
        self.n_sets.set(self.n_sets.get() + 1);
        let name = format!("__set_{}", self.n_sets.get());
        let nullable = value.nullable(schema)?;
        let outer = value.clone().transform_up(|part| {
            let Expr::Column(column) = part else { return Ok(Transformed::no(part)) };
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        });
        Ok(Set { value, outer: outer.data()?, nullable, plan, name, place })
    }
}

/// true where `decided` is, NULL where `unknown` is, else false; the other way round for ALL.
fn answer(decided: Expr, unknown: Option<Expr>, is: bool) -> Result<Expr> {
    match unknown {
        None if is => Ok(decided),
        None => Ok(not(decided)),
        Some(unknown) => when(decided, lit(is))
            .when(unknown, lit(ScalarValue::Boolean(None)))
            .otherwise(lit(!is)),
    }
}

/// A value, and the subquery that it is looked for in.
struct Set<'a> {
    value: Expr,
    /// The value as the subquery sees it.
    outer: Expr,
    nullable: bool,
    plan: &'a LogicalPlan,
    name: String,
    place: Place,
}

impl Set<'_> {
    /// Whether a member compares as `operator` says, or, `negated`, does not.
    fn matches(&self, operator: Operator, negated: bool) -> Result<Expr> {
        if is_null(&self.value) {
            return Ok(lit(false));
        }
        self.exists(|value, of| {
            let compared = binary_expr(value, operator, of);
            if negated { compared.is_false() } else { compared }
        })
    }

    /// Whether the value or a member is NULL, so that what does not match is unknown; `None`: never.
    fn unknown(&self) -> Result<Option<Expr>> {
        let mut any = None;
        if self.plan.schema().field(0).is_nullable() {
            any = Some(self.exists(|_, of| of.is_null())?);
        }
        if self.nullable {
            let null = self.value.clone().is_null().and(self.exists(|_, _| lit(true))?);
            any = Some(any.map_or(null.clone(), |any| any.or(null)));
        }
        Ok(any)
    }

    /// Whether a member meets a condition on the value and it.
    fn exists(&self, condition: impl Fn(Expr, Expr) -> Expr) -> Result<Expr> {
        let (table, field) = self.plan.schema().qualified_field(0);
        // A qualified name, not a table's alias: what is pulled up must pass it.
        let member = Expr::Column(Column::from((table, field)))
            .alias_qualified(Some(self.name.as_str()), "__member");
        let of = Expr::Column(Column::new(Some(self.name.as_str()), "__member"));
        let rows = LogicalPlanBuilder::from(self.plan.clone())
            .project([member])?
            .filter(condition(self.outer.clone(), of))?
            .build()?;
        exists_right(Exists { subquery: subquery(rows), negated: false }, self.place)
    }
}

fn subquery(plan: LogicalPlan) -> Subquery {
    let outer_ref_columns = plan.all_out_ref_exprs();
    Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: Spans::new() }
}

/// A single value is NULL where there is no row, whatever the column says: `coalesce((SELECT id …), 0)`
/// would lose its zero.
fn nullable(inner: Subquery) -> Result<Subquery> {
    let (table, field) = inner.subquery.schema().qualified_field(0);
    if field.is_nullable() || has_one_row(&inner.subquery) {
        return Ok(inner);
    }
    let value = or_null(Expr::Column(Column::from((table, field))));
    let plan = LogicalPlanBuilder::from(Arc::clone(&inner.subquery)).project([value])?.build()?;
    Ok(Subquery { subquery: Arc::new(plan), ..inner })
}

/// Whether an expression without columns is NULL; the planner would find out, and forget the subquery.
fn is_null(value: &Expr) -> bool {
    if value.any_column_refs() {
        return false;
    }
    let schema = Arc::new(DFSchema::empty());
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(schema).build());
    let known = simplifier.simplify(value.clone());
    matches!(known, Ok(Expr::Literal(value, _)) if value.is_null())
}

/// A correlated aggregate without GROUP BY: one row for every outer row, or none by its HAVING.
struct OneRow {
    /// Its value; NULL where HAVING does not hold.
    value: Expr,
    /// Whether HAVING holds.
    holds: Option<Expr>,
}

impl OneRow {
    fn has(self, value: Expr, negated: bool) -> Result<Expr> {
        let operator = if negated { Operator::NotEq } else { Operator::Eq };
        let compared = binary_expr(value, operator, self.value);
        match self.holds {
            Some(holds) => when(holds.is_true(), compared).otherwise(lit(negated)),
            None => Ok(compared),
        }
    }
}

/// `plan` as one row, if it is one.
fn one_row(plan: &LogicalPlan) -> Result<Option<OneRow>> {
    if !is_correlated(plan) {
        return Ok(None);
    }
    if has_one_row(plan) {
        pulled::check(plan, Use::Value)?;
        let value = Expr::ScalarSubquery(subquery(plan.clone()));
        return Ok(Some(OneRow { value, holds: None }));
    }
    let LogicalPlan::Projection(Projection { expr, input, .. }) = plan else { return Ok(None) };
    let LogicalPlan::Filter(filter) = input.as_ref() else { return Ok(None) };
    let ([value], Some(holds)) = (expr.as_slice(), holds(filter)?) else { return Ok(None) };
    let value = when(filter.predicate.clone(), value.clone().unalias()).end()?;
    let value = LogicalPlanBuilder::from(Arc::clone(&filter.input))
        .project([value.alias("__value")])?
        .build()?;
    Ok(Some(OneRow { value: Expr::ScalarSubquery(subquery(value)), holds: Some(holds) }))
}

fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// EXISTS without what does not matter to it, and with what does.
fn exists_right(exists: Exists, place: Place) -> Result<Expr> {
    let Exists { subquery: inner, negated } = exists;
    let plan = inner.subquery;
    let yes = |is: bool| lit(is != negated);
    if !is_correlated(&plan) {
        return uncorrelated(plan, negated);
    }
    let mut rows = Arc::clone(&plan);
    loop {
        let next = match rows.as_ref() {
            _ if has_one_row(&rows) => return Ok(yes(true)),
            // Neither columns nor an order add or remove rows.
            LogicalPlan::SubqueryAlias(alias) => Arc::clone(&alias.input),
            LogicalPlan::Projection(Projection { input, .. }) => Arc::clone(input),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => Arc::clone(&sort.input),
            LogicalPlan::Distinct(distinct) => Arc::clone(distinct.input()),
            LogicalPlan::Window(window) => Arc::clone(&window.input),
            LogicalPlan::Limit(limit) => match (limit.get_skip_type()?, limit.get_fetch_type()?) {
                (_, FetchType::Literal(Some(0))) => return Ok(yes(false)),
                (SkipType::Literal(0), FetchType::Literal(_)) => Arc::clone(&limit.input),
                (SkipType::Literal(skip), FetchType::Literal(_)) => {
                    return more_than(&limit.input, skip, negated);
                }
                _ => break,
            },
            LogicalPlan::Aggregate(Aggregate { group_expr, input, .. }) => {
                if group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
                    break;
                }
                Arc::clone(input)
            }
            LogicalPlan::Filter(filter) => match holds(filter)? {
                Some(holds) if negated => return Ok(holds.is_not_true()),
                Some(holds) => return Ok(holds.is_true()),
                None => break,
            },
            _ => break,
        };
        rows = next;
    }
    pulled::check(&rows, Use::Rows)?;
    if place == Place::Value {
        return more_than(&rows, 0, negated);
    }
    let rows = LogicalPlanBuilder::from(rows).project([lit(1)])?.build()?;
    Ok(Expr::Exists(Exists { subquery: subquery(rows), negated }))
}

/// An EXISTS that is the same for every row: counted once, not joined with each.
fn uncorrelated(plan: Arc<LogicalPlan>, negated: bool) -> Result<Expr> {
    let first = LogicalPlanBuilder::from(plan).project([lit(1)])?.limit(0, Some(1))?.build()?;
    more_than(&Arc::new(first), 0, negated)
}

/// Whether a subquery has more rows than `least`.
fn more_than(plan: &Arc<LogicalPlan>, least: usize, negated: bool) -> Result<Expr> {
    pulled::check(plan, Use::Value)?;
    let counted = LogicalPlanBuilder::from(Arc::clone(plan))
        .aggregate(Vec::<Expr>::new(), [count(lit(1)).alias("__n")])?
        .build()?;
    let n = Expr::ScalarSubquery(subquery(counted));
    let least = lit(i64::try_from(least).unwrap_or(i64::MAX));
    Ok(if negated { n.lt_eq(least) } else { n.gt(least) })
}

/// HAVING over a correlated aggregate without GROUP BY, as a value.
fn holds(filter: &Filter) -> Result<Option<Expr>> {
    if !has_one_row(&filter.input) || !is_correlated(&filter.input) {
        return Ok(None);
    }
    if filter.predicate.contains_outer() {
        return Err(refusal(
            "HAVING in a correlated subquery cannot read outer columns",
            "write the aggregate as a single value, and compare that",
            span_of([&filter.predicate]),
        ));
    }
    let holds = LogicalPlanBuilder::from(Arc::clone(&filter.input))
        .project([filter.predicate.clone().alias("__holds")])?
        .build()?;
    pulled::check(&holds, Use::Value)?;
    Ok(Some(Expr::ScalarSubquery(subquery(holds))))
}
