//! `AND` and `OR` guard what stands behind them: `items > 0 AND total / items > 5` never divides by 0.
//!
//! `DataFusion` computes both sides for most rows, and an error of the right side would end the query
//! although the left side has decided. So a right side that may fail moves into a CASE, which
//! computes it only where it counts. A WHERE keeps its conditions apart, so that they are pushed
//! down and joins are found; there the filter that runs is guarded, by [`GuardFilters`].

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::functions::core::expr_fn::nullif;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, Operator, case};
use datafusion::physical_expr::expressions::{self as physical, CastExpr};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::prelude::lit;

use super::checked::{PREFIX, always_fits};
use super::nodes::{input_schema, rewritten};

/// Longer expressions are not told apart by their length.
const SIZE_MAX: usize = 10_000;

/// Guards the expressions of a node; the conditions of joins and scans stay as they are.
pub(super) fn guarded(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    match plan {
        LogicalPlan::Join(_) | LogicalPlan::TableScan(_) => Ok(Transformed::no(plan)),
        LogicalPlan::Filter(filter) => {
            let conditions = split_conjunction_owned(filter.predicate);
            let conditions = conditions
                .into_iter()
                .map(|condition| guard(condition, &schema).data())
                .collect::<Result<Vec<_>>>()?;
            let predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        plan => rewritten(plan, |expr| guard(expr, &schema)),
    }
}

fn guard(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right })
            if may_fail(&right, schema)? =>
        {
            let guarded = guarded_pair(*left, *right, op == Operator::Or)?;
            Ok(Transformed::yes(guarded))
        }
        expr => Ok(Transformed::no(expr)),
    })
}

/// `left OR right` where `decided` is true, else `left AND right`. Where the left side is NULL, the right
/// one may still decide. One of both stands twice: the shorter one, or nested conditions would double.
fn guarded_pair(left: Expr, right: Expr, decided: bool) -> Result<Expr> {
    if size(&left, SIZE_MAX) < size(&right, SIZE_MAX) {
        let unknown = case(left.clone().is_null()).when(lit(true), lit(!decided)).end()?;
        return case(left).when(lit(decided), lit(decided)).otherwise(nullif(right, unknown));
    }
    case(left)
        .when(lit(decided), lit(decided))
        .when(lit(!decided), right.clone())
        .otherwise(nullif(right, lit(!decided)))
}

/// How many parts an expression has, up to a number.
fn size(expr: &Expr, most: usize) -> usize {
    let mut n = 0;
    // The closure never fails.
    let _ = expr.apply(|_| {
        n += 1;
        Ok(if n < most { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    n
}

/// Whether a filter on rows of `schema` may end with an error for some of them.
///
/// A scan must not compute it, since that would be for rows too that other conditions leave out.
pub fn may_fail_on(filter: &Expr, schema: &SchemaRef) -> bool {
    let relation = filter.column_refs().into_iter().find_map(|column| column.relation.clone());
    let schema = match relation {
        Some(relation) => DFSchema::try_from_qualified_schema(relation, schema),
        None => DFSchema::try_from(Arc::clone(schema)),
    };
    schema.and_then(|schema| may_fail(filter, &schema)).unwrap_or(true)
}

/// Whether computing an expression may end with an error for some rows.
pub(super) fn may_fail(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    expr.exists(|expr| {
        Ok(match expr {
            Expr::ScalarFunction(call) => call.name().starts_with(PREFIX),
            Expr::BinaryExpr(BinaryExpr { op, .. }) => is_division(*op),
            Expr::Cast(cast) => !always_fits(&cast.expr.get_type(schema)?, cast.field.data_type()),
            _ => false,
        })
    })
}

fn is_division(op: Operator) -> bool {
    matches!(op, Operator::Divide | Operator::Modulo)
}

/// Lets a filter compute what may fail only for rows that its other conditions keep.
#[derive(Debug)]
pub(super) struct GuardFilters;

impl PhysicalOptimizerRule for GuardFilters {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(filter) = plan.downcast_ref::<FilterExec>() else {
                return Ok(Transformed::no(plan));
            };
            let Some(predicate) = guarded_filter(filter)? else { return Ok(Transformed::no(plan)) };
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
            Ok(Transformed::yes(Arc::new(filter) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "guard_filters"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `a AND CASE WHEN a THEN b ELSE false END` for a filter `a AND b` of which b may fail.
///
/// The first `a` is what other rules have read from the filter, such as columns of one value.
fn guarded_filter(filter: &FilterExec) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let schema = filter.input().schema();
    let mut sure: Option<Arc<dyn PhysicalExpr>> = None;
    let mut risky: Option<Arc<dyn PhysicalExpr>> = None;
    let and = |all: Option<Arc<dyn PhysicalExpr>>, one: &Arc<dyn PhysicalExpr>| match all {
        Some(all) => physical::binary(all, Operator::And, Arc::clone(one), &schema).map(Some),
        None => Ok(Some(Arc::clone(one))),
    };
    for condition in split_conjunction(filter.predicate()) {
        let mut fails = false;
        condition.apply(|expr| {
            fails = fails || fails_itself(expr.as_ref(), &schema)?;
            Ok(if fails { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if fails {
            risky = and(risky, condition)?;
        } else {
            sure = and(sure, condition)?;
        }
    }
    let (Some(sure), Some(risky)) = (sure, risky) else { return Ok(None) };
    let guarded =
        physical::case(None, vec![(Arc::clone(&sure), risky)], Some(physical::lit(false)))?;
    physical::binary(sure, Operator::And, guarded, &schema).map(Some)
}

fn fails_itself(expr: &dyn PhysicalExpr, schema: &Schema) -> Result<bool> {
    if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
        return Ok(call.name().starts_with(PREFIX));
    }
    if let Some(operation) = expr.downcast_ref::<physical::BinaryExpr>() {
        return Ok(is_division(*operation.op()));
    }
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) => Ok(!always_fits(&cast.expr().data_type(schema)?, cast.cast_type())),
        None => Ok(false),
    }
}
