//! A result as a table has its columns, where each of its values has its counterpart there.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::checked::{always_fits, checked_cast};
use super::kinds::cast;

/// The plan with casts to the types of `schema`; `literals` are its columns of literals' decimals, which
/// are doubles where the table has doubles.
pub(super) fn fitted(plan: LogicalPlan, schema: &Schema, literals: &[bool]) -> Result<LogicalPlan> {
    if plan.schema().fields().len() != schema.fields().len() {
        return Ok(plan);
    }
    let mut changed = false;
    let columns = plan.schema().iter().enumerate().map(|(at, (table, field))| {
        let column = Expr::Column(Column::from((table, field)));
        let (from, to) = (field.data_type(), schema.field(at).data_type());
        if from == to || field.name() != schema.field(at).name() {
            return column;
        }
        let is_literal = literals.get(at) == Some(&true);
        let widened = match (from, to) {
            (DataType::LargeUtf8 | DataType::Utf8View, DataType::Utf8) => cast(column, to.clone()),
            // The number of a row, which is never beyond.
            (DataType::UInt64, DataType::Int64) => checked_cast(column, to.clone()),
            (from, DataType::Float64) if from.is_decimal() && is_literal => {
                cast(column, DataType::Float64)
            }
            (DataType::Int64 | DataType::UInt64, DataType::Float64) => return column,
            (from, to)
                if from.is_numeric()
                    && to.is_numeric()
                    && (from.is_decimal() && to.is_decimal() || !from.is_decimal())
                    && always_fits(from, to) =>
            {
                cast(column, to.clone())
            }
            _ => return column,
        };
        changed = true;
        widened.alias_qualified(table.cloned(), field.name())
    });
    let columns: Vec<Expr> = columns.collect();
    if !changed {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
