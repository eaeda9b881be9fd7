//! Which correlated subqueries can become joins without another result.
//!
//! `DataFusion` turns a correlated subquery into a join: it pulls the conditions on outer columns up
//! through everything that stands above them. That is right through projections, filters, inner joins
//! and groups; it is wrong through what looks at the whole set of rows, and not all of it is refused.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

use super::shapes::{Result, refusal, span_in};

/// Whether a plan or a subquery in it reads columns from outside.
pub(super) fn is_correlated(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

/// Where the result of a subquery goes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Use {
    /// EXISTS and IN, which join the rows that match.
    Rows,
    /// A single value, or a lateral join: a missing group gets the value of no rows.
    Value,
}

/// Refuses a correlated subquery that would give other rows as a join.
///
/// # Errors
/// With the shape that is wrong, and the way out.
pub(super) fn check(plan: &LogicalPlan, goes: Use) -> Result<()> {
    if !is_correlated(plan) {
        return Ok(());
    }
    let mut ungrouped = 0;
    plan.apply(|node| {
        if let Some((what, help)) = wrong_above(node, goes, &mut ungrouped) {
            return Err(refusal(what, help, span_in(node).or_else(|| span_in(plan))));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The subquery on the right of a lateral join.
///
/// # Errors
/// As [`check`].
pub(super) fn lateral(join: &Join) -> Result<()> {
    let right = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(named) => named.input.as_ref(),
        right => right,
    };
    match right {
        LogicalPlan::Subquery(lateral) => check(&lateral.subquery, Use::Value),
        _ => Ok(()),
    }
}

fn wrong_above(
    node: &LogicalPlan,
    goes: Use,
    ungrouped: &mut usize,
) -> Option<(&'static str, &'static str)> {
    match node {
        // EXISTS loses every limit in it once a condition was pulled up, also those of other tables.
        LogicalPlan::Limit(_) if goes == Use::Rows || is_correlated(node) => Some((
            "a LIMIT or OFFSET inside a correlated subquery is not kept (apache/datafusion#25283)",
            "join the table with a subquery that has row_number() OVER (PARTITION BY key ORDER BY …), \
             and filter by it",
        )),
        _ if !is_correlated(node) => None,
        LogicalPlan::Window(_) => Some((
            "a window function in a correlated subquery would see the rows of all outer rows",
            "compute it in a subquery with PARTITION BY the correlated column, and join that",
        )),
        LogicalPlan::Aggregate(aggregate) => {
            let sets = aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)));
            if sets {
                return Some((
                    "grouping sets in a correlated subquery lose their total \
                     (apache/datafusion#25519)",
                    "group in a subquery of its own, and join that",
                ));
            }
            *ungrouped += usize::from(aggregate.group_expr.is_empty());
            let several = aggregate.group_expr.is_empty() && (goes == Use::Rows || *ungrouped > 1);
            several.then_some((
                "an aggregate without GROUP BY in a correlated subquery has no row where nothing \
                 matches, though it should have one (apache/datafusion#24960)",
                "write the aggregate as a single value: (SELECT count(*) … WHERE …) = 0",
            ))
        }
        _ => None,
    }
}
