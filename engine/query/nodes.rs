//! Nodes of a logical plan, as rules of ours see them: the columns that expressions may name, and
//! expressions in the place of others.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::Error;

/// The columns that the expressions of a node may name.
pub(super) fn input_schema(plan: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = plan {
        let source = scan.source.schema();
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &source)?);
    }
    Ok(schema)
}

/// A node with its expressions rewritten, whose columns keep their names.
pub(super) fn rewritten(
    plan: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(rewrite(expr)?.update_data(|expr| name.restore(expr)))
    })
}

/// A value that a function of ours does not take. The message does not repeat it, so it is shown,
/// unlike those of other functions.
pub(super) fn of_value(message: &str) -> DataFusionError {
    DataFusionError::External(Box::new(Error::data(message)))
}

/// Refuses a value with a message, as [`of_value`].
macro_rules! refuse {
    ($($message:tt)*) => {
        Err(super::nodes::of_value(&format!($($message)*)))
    };
}
pub(super) use refuse;
