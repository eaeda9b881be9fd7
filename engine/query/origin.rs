//! Which columns of a result hold values of a table's columns, in whatever form.
//!
//! What only says that there is a value, how long it is, or whether it is like another, does not
//! hold it. Where a node of the plan is of a kind that is not known here, all of its columns do.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, JoinType, LogicalPlan};

use crate::contract::TableName;

/// Functions that say how long a text is.
const LENGTHS: &[&str] = &["octet_length", "bit_length", "character_length", "length"];

/// Columns of one table.
pub(super) struct Origin<'a> {
    pub(super) table: &'a TableName,
    pub(super) columns: &'a [&'a str],
}

impl Origin<'_> {
    /// For each column of a plan whether it holds values of these.
    pub(super) fn held_by(&self, plan: &LogicalPlan) -> Result<Vec<bool>> {
        let inputs = plan.inputs();
        let below: Vec<Vec<bool>> =
            inputs.iter().map(|input| self.held_by(input)).collect::<Result<_>>()?;
        let all_below = || below.iter().flatten().copied();
        let exprs = |exprs: Vec<&Expr>| -> Result<Vec<bool>> {
            let schema = inputs[0].schema();
            exprs.into_iter().map(|expr| self.is_held_by(expr, schema, &below[0])).collect()
        };
        let held = match plan {
            LogicalPlan::TableScan(scan) => {
                let is_it = scan.table_name.schema() == Some(self.table.layer.as_str())
                    && scan.table_name.table() == self.table.table;
                let names = scan.projected_schema.fields().iter().map(|field| field.name());
                names.map(|name| is_it && self.columns.contains(&name.as_str())).collect()
            }
            LogicalPlan::Projection(projection) => exprs(projection.expr.iter().collect())?,
            LogicalPlan::Aggregate(node) => {
                exprs(node.group_expr.iter().chain(&node.aggr_expr).collect())?
            }
            LogicalPlan::Window(window) => {
                let own = exprs(window.window_expr.iter().collect())?;
                all_below().chain(own).collect()
            }
            LogicalPlan::Union(_) => {
                let columns = 0..plan.schema().fields().len();
                columns.map(|at| below.iter().any(|held| held.get(at) == Some(&true))).collect()
            }
            LogicalPlan::Join(join) => match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => below[0].clone(),
                JoinType::RightSemi | JoinType::RightAnti => below[1].clone(),
                JoinType::LeftMark => below[0].iter().copied().chain([false]).collect(),
                _ => all_below().collect(),
            },
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(Distinct::All(_))
            | LogicalPlan::Repartition(_)
            | LogicalPlan::SubqueryAlias(_) => below[0].clone(),
            _ => Vec::new(),
        };
        let n = plan.schema().fields().len();
        Ok(if held.len() == n { held } else { vec![all_below().any(|held| held); n] })
    }

    fn is_held_by(&self, expr: &Expr, schema: &DFSchema, below: &[bool]) -> Result<bool> {
        if matches!(expr.get_type(schema), Ok(DataType::Boolean)) {
            return Ok(false);
        }
        match expr {
            Expr::Column(column) => {
                let at = schema.maybe_index_of_column(column);
                Ok(at.is_none_or(|at| below[at]))
            }
            Expr::ScalarSubquery(query) => {
                Ok(self.held_by(&query.subquery)?.into_iter().any(|held| held))
            }
            Expr::ScalarFunction(function) if LENGTHS.contains(&function.name()) => Ok(false),
            Expr::AggregateFunction(function) if function.func.name() == "count" => Ok(false),
            Expr::WindowFunction(function) if function.fun.name() == "count" => Ok(false),
            expr => {
                let mut is_held = false;
                expr.apply_children(|child| {
                    is_held |= self.is_held_by(child, schema, below)?;
                    Ok(TreeNodeRecursion::Continue)
                })?;
                Ok(is_held)
            }
        }
    }
}
