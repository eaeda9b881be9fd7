//! Shapes of SQL that `DataFusion` 55.2 computes wrongly: rewritten here, or refused with the way out.
//!
//! Promise: what passes is computed right. Each shape names its issue in `DataFusion`'s tracker, so
//! that it can go when a version is right; `tests/peer` compares the rest with another engine.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Diagnostic, NullEquality, Span};
use datafusion::error::DataFusionError;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{
    Distinct, Expr, ExprFunctionExt, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder,
    Projection, SubqueryAlias,
};

use super::lifted::Lifter;
use super::nodes::rewritten;
use super::pulled::{self, is_correlated};
use super::subqueries::{Place, Subqueries};

pub(super) type Result<T> = std::result::Result<T, DataFusionError>;

/// The same query in shapes that are computed right.
///
/// # Errors
/// The query has a shape that is not, and no rewriting is known to be right.
pub(super) fn in_right_shapes(plan: LogicalPlan) -> Result<LogicalPlan> {
    let subqueries = Subqueries::default();
    let lifter = Lifter::default();
    let copies = Cell::new(0);
    let rewritten = super::order::kept(plan)?.transform_up_with_subqueries(|node| {
        refuse_windows(&node)?;
        if let LogicalPlan::Join(join) = &node {
            pulled::lateral(join)?;
        }
        let node = match node {
            LogicalPlan::SubqueryAlias(named) if hides_outer_columns(&named) => renamed(&named)?,
            LogicalPlan::Filter(filter) => {
                let Filter { predicate, input, .. } = filter;
                let predicate = subqueries.condition(predicate, input.schema())?;
                LogicalPlan::Filter(Filter::try_new(predicate, input)?)
            }
            LogicalPlan::Join(join) if is_set_operation_of_all(&join) => {
                copies.set(copies.get() + 1);
                counting_copies(join, copies.get())?
            }
            LogicalPlan::Window(window) => {
                let window = LogicalPlan::Window(super::intervals::ordered(window)?);
                expressions(window, &subqueries)?
            }
            node => expressions(node, &subqueries)?,
        };
        Ok(Transformed::yes(lifter.lifted(node)?))
    })?;
    Ok(rewritten.data)
}

/// Whether a name stands above conditions on outer columns; a lateral join takes it with its name.
fn hides_outer_columns(named: &SubqueryAlias) -> bool {
    !matches!(*named.input, LogicalPlan::Subquery(_)) && is_correlated(&named.input)
}

/// A named subquery as a projection: a condition on outer columns is not pulled up through a name.
fn renamed(named: &SubqueryAlias) -> Result<LogicalPlan> {
    let columns = named.input.schema().columns().into_iter().map(|column| {
        let name = column.name.clone();
        Expr::Column(column).alias_qualified(Some(named.alias.clone()), name)
    });
    let columns = columns.collect();
    Projection::try_new(columns, Arc::clone(&named.input)).map(LogicalPlan::Projection)
}

/// Subqueries in other places than WHERE and HAVING.
fn expressions(node: LogicalPlan, subqueries: &Subqueries) -> Result<LogicalPlan> {
    let mut has_subquery = false;
    node.apply_expressions(|expr| {
        has_subquery |= expr.exists(|part| Ok(is_subquery(part)))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !has_subquery {
        return Ok(node);
    }
    let Some(input) = node.inputs().first().map(|input| Arc::clone(input.schema())) else {
        return Ok(node);
    };
    let schema = match &node {
        LogicalPlan::Join(join) => Arc::new(join.left.schema().join(join.right.schema())?),
        _ => input,
    };
    let place = if matches!(node, LogicalPlan::Join(_)) { Place::Filter } else { Place::Value };
    let node =
        rewritten(node, |expr| subqueries.value(expr, &schema, place).map(Transformed::yes))?;
    node.data.recompute_schema()
}

pub(super) fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
    )
}

/// INTERSECT ALL and EXCEPT ALL, which become joins that know nothing of the number of copies
/// (apache/datafusion#12955, #12956). Only set operations have joins in which NULL equals NULL
/// before they are optimised, and only those without ALL make the left side distinct.
fn is_set_operation_of_all(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && !matches!(*join.left, LogicalPlan::Distinct(Distinct::All(_)))
}

/// The n-th copy of a row on the left meets the n-th on the right.
fn counting_copies(join: Join, number: usize) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let counted = |side: &Arc<LogicalPlan>, name: &str| {
        let keys = side.schema().columns().into_iter().map(Expr::Column).collect();
        let copy = row_number().partition_by(keys).build()?.alias(name);
        let mut all: Vec<Expr> = side.schema().columns().into_iter().map(Expr::Column).collect();
        all.push(Expr::Column(name.into()));
        let window = LogicalPlanBuilder::from(Arc::clone(side)).window([copy])?.build()?;
        LogicalPlanBuilder::from(window).project(all)?.build().map(Arc::new)
    };
    let names = [format!("__copy_{number}"), format!("__other_copy_{number}")];
    let mut on = join.on;
    on.push((Expr::Column(names[0].as_str().into()), Expr::Column(names[1].as_str().into())));
    let counted = Join::try_new(
        counted(&join.left, &names[0])?,
        counted(&join.right, &names[1])?,
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let rows = Projection::try_new(columns, Arc::new(LogicalPlan::Join(counted)))?;
    Ok(LogicalPlan::Projection(rows))
}

/// Window functions that give wrong values.
fn refuse_windows(node: &LogicalPlan) -> Result<()> {
    let LogicalPlan::Window(window) = node else { return Ok(()) };
    for expr in &window.window_expr {
        expr.apply(|part| {
            if let Expr::WindowFunction(function) = part
                && looks_ahead_over_nulls(function)
            {
                return Err(refusal(
                    &format!(
                        "{}() with IGNORE NULLS misses values that come later \
                         (apache/datafusion#25471)",
                        function.fun.name()
                    ),
                    "write lag(…) IGNORE NULLS over the reverse order: ORDER BY … DESC",
                    span_of([part]),
                ));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(())
}

/// `lead`, or `lag` with a negative offset, over the values that are not NULL.
fn looks_ahead_over_nulls(function: &WindowFunction) -> bool {
    let parameters = &function.params;
    if parameters.null_treatment != Some(NullTreatment::IgnoreNulls) {
        return false;
    }
    match function.fun.name() {
        "lead" => true,
        // A literal `-2` is a negation before it is simplified.
        "lag" => parameters.args.get(1).is_some_and(|offset| {
            offset.to_string().contains('-') || !matches!(offset, Expr::Literal(..))
        }),
        _ => false,
    }
}

/// An error with its place and the way out.
pub(super) fn refusal(message: &str, help: &str, span: Option<Span>) -> DataFusionError {
    let diagnostic = Diagnostic::new_error(message, span).with_help(help, None);
    DataFusionError::Plan(message.to_owned()).with_diagnostic(diagnostic)
}

/// The place of the first column that an expression names.
pub(super) fn span_of<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Option<Span> {
    let mut place = None;
    for expr in exprs {
        // The closure never fails.
        let _ = expr.apply(|part| {
            let (Expr::Column(column) | Expr::OuterReferenceColumn(_, column)) = part else {
                return Ok(TreeNodeRecursion::Continue);
            };
            place = place.or(column.spans.first());
            let known = place.is_some();
            Ok(if known { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
    }
    place
}

/// The place of the first column that a plan names.
pub(super) fn span_in(plan: &LogicalPlan) -> Option<Span> {
    let mut place = None;
    let _ = plan.apply(|node| {
        node.apply_expressions(|expr| {
            place = place.or(span_of([expr]));
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if place.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    place
}
