//! Correlated subqueries that `DataFusion` 55.2 cannot turn into joins: with conditions other than `=`
//! below an aggregate, and with outer columns in other places than WHERE.
//!
//! Such a subquery is computed once for each different value of the outer columns that it reads, and
//! joined with the outer rows. Promise: NULL is a value like any other there, and an aggregate has its
//! row where nothing matches.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Filter, Join, JoinType, LogicalPlan,
    LogicalPlanBuilder, Operator, Projection, Subquery, lit, when,
};

use super::pulled::is_correlated;
use super::shapes::{Result, is_subquery, refusal, span_in};

pub(super) const MESSAGE: &str = "this correlated subquery cannot be turned into a join";
pub(super) const HELP: &str = "join both tables and group by the key of the outer row, as in SELECT a.id, max(b.n) \
                    FROM a LEFT JOIN b ON b.k <= a.k GROUP BY a.id";

/// Lifts the subqueries of one query; each gets a name of its own.
#[derive(Default)]
pub(super) struct Lifter {
    n_lifted: std::cell::Cell<usize>,
}

impl Lifter {
    /// A node whose subqueries `DataFusion` can turn into joins.
    ///
    /// # Errors
    /// No way is known for one of them.
    pub(super) fn lifted(&self, node: LogicalPlan) -> Result<LogicalPlan> {
        match node {
            LogicalPlan::Join(join) => self.lateral(join),
            LogicalPlan::Projection(Projection { expr, input, .. }) if any_odd(&expr)? => {
                let names = NamePreserver::new_for_projection();
                let saved: Vec<_> = expr.iter().map(|expr| names.save(expr)).collect();
                let mut input = input;
                let mut exprs = Vec::new();
                for (expr, name) in expr.into_iter().zip(saved) {
                    exprs.push(name.restore(self.values(expr, &mut input)?));
                }
                Projection::try_new(exprs, input).map(LogicalPlan::Projection)
            }
            LogicalPlan::Filter(filter) if any_odd(std::slice::from_ref(&filter.predicate))? => {
                let columns = filter.input.schema().columns().into_iter().map(Expr::Column);
                let columns: Vec<Expr> = columns.collect();
                let mut input = filter.input;
                let predicate = self.values(filter.predicate, &mut input)?;
                LogicalPlanBuilder::from(LogicalPlan::Filter(Filter::try_new(predicate, input)?))
                    .project(columns)?
                    .build()
            }
            node => {
                let mut odd = None;
                node.apply_expressions(|expr| {
                    odd = odd.take().or(odd_in(expr)?);
                    Ok(TreeNodeRecursion::Continue)
                })?;
                odd.map_or(Ok(node), |plan| Err(refusal(MESSAGE, HELP, span_in(&plan))))
            }
        }
    }

    /// An expression with columns in the place of its subqueries, which are joined with `input`.
    fn values(&self, expr: Expr, input: &mut Arc<LogicalPlan>) -> Result<Expr> {
        let outer = Arc::clone(input);
        expr.transform_up(|part| match part {
            Expr::ScalarSubquery(inner) if is_odd(&inner.subquery, true)? => {
                let value = self.value(&inner, &outer, input)?;
                let refused = || refusal(MESSAGE, HELP, span_in(&inner.subquery));
                value.ok_or_else(refused).map(Transformed::yes)
            }
            part => Ok(Transformed::no(part)),
        })
        .data()
    }

    fn value(
        &self,
        inner: &Subquery,
        outer: &Arc<LogicalPlan>,
        input: &mut Arc<LogicalPlan>,
    ) -> Result<Option<Expr>> {
        if let Some(value) = of_nothing(&inner.subquery, outer)? {
            return Ok(Some(value));
        }
        let Some(values) = self.values_of(&inner.subquery, outer)? else { return Ok(None) };
        let Some(Lifted { plan, defaults: Some(defaults) }) = values.lift(&inner.subquery)? else {
            return Ok(None);
        };
        let [default] = defaults.as_slice() else { return Ok(None) };
        let value = Column::from(inner.subquery.schema().qualified_field(0));
        let value = Expr::Column(value).alias_qualified(Some(values.name.clone()), VALUE);
        let rows = values.rows(plan, vec![value])?;
        *input = Arc::new(values.join(input, rows, JoinType::Left, None)?);
        let found = values.column(FOUND).is_null();
        Ok(Some(when(found, default.clone()).otherwise(values.column(VALUE))?))
    }

    /// A lateral join, whose right side reads columns of the left.
    fn lateral(&self, join: Join) -> Result<LogicalPlan> {
        let (inner, alias) = match join.right.as_ref() {
            LogicalPlan::Subquery(inner) => (inner, None),
            LogicalPlan::SubqueryAlias(named) => match named.input.as_ref() {
                LogicalPlan::Subquery(inner) => (inner, Some(named.alias.clone())),
                _ => return Ok(LogicalPlan::Join(join)),
            },
            _ => return Ok(LogicalPlan::Join(join)),
        };
        if !is_odd(&inner.subquery, false)? {
            return Ok(LogicalPlan::Join(join));
        }
        let refused = || refusal(MESSAGE, HELP, span_in(&inner.subquery));
        let values = self.values_of(&inner.subquery, &join.left)?.ok_or_else(refused)?;
        let Lifted { plan, defaults } = values.lift(&inner.subquery)?.ok_or_else(refused)?;
        let filter = join.filter.filter(|filter| *filter != lit(true));
        let is_left = join.join_type == JoinType::Left;
        if !(is_left || join.join_type == JoinType::Inner)
            || is_left && filter.is_some() && defaults.is_some()
            || !join.on.is_empty()
        {
            return Err(refused());
        }
        let columns = inner.subquery.schema().iter().map(|(table, field)| {
            let column = Expr::Column(Column::from((table, field)));
            match &alias {
                Some(alias) => column.alias_qualified(Some(alias.clone()), field.name()),
                None => column,
            }
        });
        let rows = values.rows(plan, columns.collect())?;
        let kind = if defaults.is_some() { JoinType::Left } else { join.join_type };
        // The rows that a LEFT JOIN keeps depend on its condition.
        let (on, above) = if is_left { (filter, None) } else { (None, filter) };
        let joined = values.join(&join.left, rows, kind, on)?;
        let n_left = join.left.schema().fields().len();
        let shown = join.schema.iter().enumerate().map(|(at, (table, field))| {
            let column = Expr::Column(Column::from((table, field)));
            match &defaults {
                Some(defaults) if at >= n_left => {
                    let found = values.column(FOUND).is_null();
                    let value = when(found, defaults[at - n_left].clone()).otherwise(column)?;
                    Ok(value.alias_qualified(table.cloned(), field.name()))
                }
                _ => Ok(column),
            }
        });
        let shown = shown.collect::<Result<Vec<_>>>()?;
        let joined = LogicalPlanBuilder::from(joined).project(shown)?;
        match above {
            Some(filter) => joined.filter(filter)?.build(),
            None => joined.build(),
        }
    }

    /// The different values of the columns that a subquery reads from the rows around it.
    fn values_of(&self, plan: &LogicalPlan, outer: &Arc<LogicalPlan>) -> Result<Option<Values>> {
        self.n_lifted.set(self.n_lifted.get() + 1);
        let name = format!("__outer_{}", self.n_lifted.get());
        let mut keys: Vec<Column> = Vec::new();
        for expr in plan.all_out_ref_exprs() {
            let Expr::OuterReferenceColumn(_, column) = expr else { return Ok(None) };
            if !outer.schema().has_column(&column) {
                return Ok(None);
            }
            if !keys.contains(&column) {
                keys.push(column);
            }
        }
        // What is drawn would be drawn twice.
        let drawn = outer.exists(|node| {
            let mut drawn = false;
            node.apply_expressions(|expr| {
                drawn |= expr.is_volatile();
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(drawn)
        })?;
        if drawn || keys.is_empty() {
            return Ok(None);
        }
        let columns = keys.iter().enumerate().map(|(n, key)| {
            Expr::Column(key.clone()).alias_qualified(Some(name.as_str()), format!("__{n}"))
        });
        let columns: Vec<Expr> = columns.collect();
        let rows = LogicalPlanBuilder::from(Arc::clone(outer)).project(columns)?.distinct()?;
        Ok(Some(Values { name, keys, rows: rows.build()? }))
    }
}

const VALUE: &str = "__value";
const FOUND: &str = "__found";

/// The different values of some outer columns.
struct Values {
    name: String,
    keys: Vec<Column>,
    rows: LogicalPlan,
}

/// A subquery for all values at once.
struct Lifted {
    /// Its columns, and those of the values.
    plan: LogicalPlan,
    /// What its columns are for values without rows, where an aggregate has a row all the same.
    defaults: Option<Vec<Expr>>,
}

impl Values {
    fn column(&self, name: &str) -> Expr {
        Expr::Column(Column::new(Some(self.name.as_str()), name))
    }

    fn own(&self) -> impl Iterator<Item = Expr> {
        (0..self.keys.len()).map(|n| self.column(&format!("__{n}")))
    }

    /// The lifted rows under this name, with a mark.
    fn rows(&self, plan: LogicalPlan, mut columns: Vec<Expr>) -> Result<LogicalPlan> {
        columns.extend(self.own());
        columns.push(lit(true).alias_qualified(Some(self.name.as_str()), FOUND));
        LogicalPlanBuilder::from(plan).project(columns)?.build()
    }

    fn join(
        &self,
        outer: &Arc<LogicalPlan>,
        rows: LogicalPlan,
        kind: JoinType,
        on: Option<Expr>,
    ) -> Result<LogicalPlan> {
        let own = 0..self.keys.len();
        let own: Vec<Column> =
            own.map(|n| Column::new(Some(self.name.as_str()), format!("__{n}"))).collect();
        LogicalPlanBuilder::from(Arc::clone(outer))
            .join_detailed(rows, kind, (self.keys.clone(), own), on, NullEquality::NullEqualsNull)?
            .build()
    }

    fn lift(&self, plan: &LogicalPlan) -> Result<Option<Lifted>> {
        if !is_correlated(plan) {
            let rows = LogicalPlanBuilder::from(self.rows.clone()).cross_join(plan.clone())?;
            return Ok(Some(Lifted { plan: rows.build()?, defaults: None }));
        }
        let inputs = plan.inputs();
        let [input] = inputs.as_slice() else { return Ok(None) };
        if plan.expressions().iter().any(has_odd_subquery) {
            return Ok(None);
        }
        let Some(below) = self.lift(input)? else { return Ok(None) };
        match plan {
            LogicalPlan::Projection(projection) => self.projection(plan, &projection.expr, below),
            LogicalPlan::SubqueryAlias(_) => {
                let columns = input.schema().columns().into_iter().map(Expr::Column);
                self.projection(plan, &columns.collect::<Vec<_>>(), below)
            }
            LogicalPlan::Filter(filter) if below.defaults.is_none() => {
                let predicate = self.replaced(filter.predicate.clone())?;
                let plan = Filter::try_new(predicate, Arc::new(below.plan))?;
                Ok(Some(Lifted { plan: LogicalPlan::Filter(plan), defaults: None }))
            }
            LogicalPlan::Aggregate(aggregate) if below.defaults.is_none() => {
                self.aggregate(aggregate, below)
            }
            LogicalPlan::Distinct(Distinct::All(_)) if below.defaults.is_none() => {
                let rows = LogicalPlanBuilder::from(below.plan).distinct()?;
                Ok(Some(Lifted { plan: rows.build()?, defaults: None }))
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => Ok(Some(below)),
            _ => Ok(None),
        }
    }

    fn projection(
        &self,
        plan: &LogicalPlan,
        exprs: &[Expr],
        below: Lifted,
    ) -> Result<Option<Lifted>> {
        let input = plan.inputs()[0].schema();
        let mut columns = Vec::new();
        let mut defaults = Vec::new();
        for (expr, (table, field)) in exprs.iter().zip(plan.schema().iter()) {
            let column = self.replaced(expr.clone())?.unalias();
            let is_it = matches!(&column, Expr::Column(column) if column.relation.as_ref() == table && column.name == *field.name());
            columns.push(if is_it {
                column
            } else {
                column.alias_qualified(table.cloned(), field.name())
            });
            if let Some(below) = &below.defaults {
                let known: HashMap<Column, &Expr> =
                    input.columns().into_iter().zip(below).collect();
                let default = expr.clone().unalias().transform_up(|part| {
                    Ok(match part {
                        Expr::Column(ref column) => match known.get(column) {
                            Some(value) => Transformed::yes((*value).clone()),
                            None => Transformed::no(part),
                        },
                        Expr::OuterReferenceColumn(_, column) => {
                            Transformed::yes(Expr::Column(column))
                        }
                        part => Transformed::no(part),
                    })
                });
                defaults.push(default.data()?);
            }
        }
        columns.extend(self.own());
        let plan = Projection::try_new(columns, Arc::new(below.plan))?;
        let defaults = below.defaults.map(|_| defaults);
        Ok(Some(Lifted { plan: LogicalPlan::Projection(plan), defaults }))
    }

    fn aggregate(&self, aggregate: &Aggregate, below: Lifted) -> Result<Option<Lifted>> {
        let sets = aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)));
        if sets {
            return Ok(None);
        }
        let mut defaults = Vec::new();
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = expr.clone().unalias() else { return Ok(None) };
            let data_type = expr.get_type(aggregate.input.schema())?;
            defaults.push(lit(call.func.default_value(&data_type)?));
        }
        let names = NamePreserver::new_for_projection();
        let replaced = |exprs: &[Expr]| -> Result<Vec<Expr>> {
            let all = exprs.iter().map(|expr| {
                let name = names.save(expr);
                Ok(name.restore(self.replaced(expr.clone())?))
            });
            all.collect()
        };
        let keys: Vec<Expr> = self.own().chain(replaced(&aggregate.group_expr)?).collect();
        let plan = Aggregate::try_new(Arc::new(below.plan), keys, replaced(&aggregate.aggr_expr)?)?;
        let defaults = aggregate.group_expr.is_empty().then_some(defaults);
        Ok(Some(Lifted { plan: LogicalPlan::Aggregate(plan), defaults }))
    }

    /// An expression on the values in the place of outer columns.
    fn replaced(&self, expr: Expr) -> Result<Expr> {
        expr.transform_up(|part| {
            let Expr::OuterReferenceColumn(_, column) = &part else {
                return Ok(Transformed::no(part));
            };
            let at = self.keys.iter().position(|key| key == column);
            Ok(match at {
                Some(at) => Transformed::yes(self.column(&format!("__{at}"))),
                None => Transformed::no(part),
            })
        })
        .data()
    }
}

/// A subquery without FROM: an expression on the outer row.
fn of_nothing(plan: &LogicalPlan, outer: &Arc<LogicalPlan>) -> Result<Option<Expr>> {
    let LogicalPlan::Projection(Projection { expr, input, .. }) = plan else { return Ok(None) };
    let (value, condition) = match (expr.as_slice(), input.as_ref()) {
        ([value], LogicalPlan::EmptyRelation(row)) if row.produce_one_row => (value, None),
        ([value], LogicalPlan::Filter(filter)) => match filter.input.as_ref() {
            LogicalPlan::EmptyRelation(row) if row.produce_one_row => {
                (value, Some(&filter.predicate))
            }
            _ => return Ok(None),
        },
        // A projection above one, which says that the value may be NULL.
        ([value], LogicalPlan::Projection(inner)) if inner.expr.len() == 1 => {
            let Some(below) = of_nothing(input, outer)? else { return Ok(None) };
            let column = Column::from(input.schema().qualified_field(0));
            let value = value.clone().unalias().transform_up(|part| {
                Ok(match part {
                    Expr::Column(ref of) if *of == column => Transformed::yes(below.clone()),
                    part => Transformed::no(part),
                })
            });
            return value.data().map(Some);
        }
        _ => return Ok(None),
    };
    let at_home = |expr: &Expr| {
        let column = |part: Expr| match part {
            Expr::OuterReferenceColumn(_, column) if outer.schema().has_column(&column) => {
                Ok(Transformed::yes(Expr::Column(column)))
            }
            part => Ok(Transformed::no(part)),
        };
        expr.clone().unalias().transform_up(column).data()
    };
    let value = at_home(value)?;
    let value = match condition {
        Some(condition) => when(at_home(condition)?, value).end()?,
        None => value,
    };
    Ok((!value.contains_outer()).then_some(value))
}

fn any_odd(exprs: &[Expr]) -> Result<bool> {
    for expr in exprs {
        if odd_in(expr)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first single value in an expression that `DataFusion` cannot join.
fn odd_in(expr: &Expr) -> Result<Option<Arc<LogicalPlan>>> {
    let mut odd = None;
    expr.apply(|part| {
        if let Expr::ScalarSubquery(inner) = part
            && is_odd(&inner.subquery, true)?
        {
            odd = Some(Arc::clone(&inner.subquery));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(odd)
}

/// Whether a correlated subquery has outer columns where `DataFusion` does not find them.
fn is_odd(plan: &LogicalPlan, is_value: bool) -> Result<bool> {
    if !is_correlated(plan) {
        return Ok(false);
    }
    let has_groups = plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_))))?;
    plan.exists(|node| {
        if let LogicalPlan::Filter(filter) = node {
            let mut conditions = split_conjunction(&filter.predicate).into_iter();
            return Ok((is_value || has_groups)
                && conditions.any(|one| one.contains_outer() && !is_equality(one)));
        }
        let mut found = false;
        node.apply_expressions(|expr| {
            found |= expr.contains_outer();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })
}

/// A column that equals something of the outer row.
fn is_equality(condition: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
        return false;
    };
    let is_column = |expr: &Expr| match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => matches!(*cast.expr, Expr::Column(_)),
        _ => false,
    };
    is_column(left) && !right.any_column_refs() || is_column(right) && !left.any_column_refs()
}

fn has_odd_subquery(expr: &Expr) -> bool {
    // The closure never fails.
    expr.exists(|part| Ok(is_subquery(part) && part.contains_outer())).unwrap_or(true)
}
