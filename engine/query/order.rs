//! Orders that `DataFusion` 55.2 loses: below an OFFSET, and among the parts of a UNION ALL.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, SkipType, Sort, lit,
};

use super::opaque::varying;
use super::shapes::Result;

/// What stands above a part of a plan.
#[derive(Clone, Copy, Default)]
struct Above {
    /// Something that sorts its input.
    sorted: bool,
    /// A LIMIT, with nothing between but projections.
    limited: bool,
}

/// The same query, whose sorts stay where they are.
pub(super) fn kept(plan: LogicalPlan) -> Result<LogicalPlan> {
    kept_below(plan, Above::default())
}

fn kept_below(plan: LogicalPlan, above: Above) -> Result<LogicalPlan> {
    let sorts =
        matches!(plan, LogicalPlan::Sort(_) | LogicalPlan::Window(_) | LogicalPlan::Aggregate(_));
    let limited = match &plan {
        LogicalPlan::Limit(limit) => limit.fetch.is_some(),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => above.limited,
        _ => false,
    };
    let below = Above { sorted: above.sorted || sorts, limited };
    let plan = plan.map_subqueries(|inner| Ok(Transformed::yes(kept(inner)?)))?.data;
    let plan = plan.map_children(|input| Ok(Transformed::yes(kept_below(input, below)?)))?.data;
    match plan {
        LogicalPlan::Limit(limit) if above.sorted => without_offset(limit),
        LogicalPlan::Sort(sort) if above.limited && has_union(&sort.input) => {
            Ok(LogicalPlan::Sort(with_varying_keys(sort)))
        }
        plan => Ok(plan),
    }
}

/// OFFSET without LIMIT as a condition on the number of the row: a sort that is wanted above is moved
/// below the OFFSET, and other rows are skipped (seen in `tests/peer`; near apache/datafusion#25378).
fn without_offset(limit: Limit) -> Result<LogicalPlan> {
    let (SkipType::Literal(skip), FetchType::Literal(None)) =
        (limit.get_skip_type()?, limit.get_fetch_type()?)
    else {
        return Ok(LogicalPlan::Limit(limit));
    };
    if skip == 0 {
        return Ok(LogicalPlan::Limit(limit));
    }
    let columns: Vec<Expr> = limit.input.schema().columns().into_iter().map(Expr::Column).collect();
    let (keys, input) = match limit.input.as_ref() {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => (sort.expr.clone(), &sort.input),
        _ => (vec![], &limit.input),
    };
    let number = row_number().order_by(keys).build()?.alias("__number");
    LogicalPlanBuilder::from(Arc::clone(input))
        .window([number])?
        .filter(Expr::Column("__number".into()).gt(lit(skip as u64)))?
        .project(columns)?
        .build()
}

fn has_union(plan: &LogicalPlan) -> bool {
    let union = plan.exists(|node| {
        Ok(match node {
            LogicalPlan::Union(_) => true,
            // A view.
            LogicalPlan::TableScan(scan) => {
                scan.source.get_logical_plan().is_some_and(|view| has_union(&view))
            }
            _ => false,
        })
    });
    // The closure never fails.
    union.unwrap_or(true)
}

/// A key that is one constant in each part of a UNION ALL is left out of the sort of each part; the
/// parts that look for the first rows together then compare rows without it (seen in `tests/peer`).
fn with_varying_keys(sort: Sort) -> Sort {
    let mut sort = sort;
    for key in &mut sort.expr {
        key.expr = varying(key.expr.clone());
    }
    sort
}
