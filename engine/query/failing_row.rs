//! Which row an error of arithmetic is about: looked for once a query has ended, so that no query that
//! ends well has to carry the keys of its rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::checked::written_of;
use super::checked_sum::shown_keys;
use super::origin::Origin;
use crate::contract::TableName;
use crate::error::{Error, Kind};

/// Columns of a table that tell its rows apart, and may be shown.
#[derive(Debug)]
pub struct RowKey {
    /// The table.
    pub table: TableName,
    /// Its columns.
    pub columns: Vec<String>,
}

/// The error of a query with ` where key = value` of the first row that it is about, if it is one of
/// arithmetic in rows and these can be told.
pub(super) async fn with_place(frame: DataFrame, keys: &[RowKey], error: Error) -> Error {
    if error.kind() != Kind::Data {
        return error;
    }
    let message = error.to_string();
    match place(frame, keys, &message).await {
        Ok(Some(place)) => {
            let placed = Error::data(format!("{message}{place}"));
            match error.hint_text() {
                Some(hint) => placed.hint(hint),
                None => placed,
            }
        }
        // That the row is not found is no fault of the query.
        _ => error,
    }
}

async fn place(frame: DataFrame, keys: &[RowKey], message: &str) -> Result<Option<String>> {
    let (state, plan) = frame.into_parts();
    let Some((call, input)) = failed(&plan, message)? else { return Ok(None) };
    let columns = key_columns(&input, keys)?;
    if columns.is_empty() {
        return Ok(None);
    }
    let fails = ScalarUDF::from(Fails {
        signature: Signature::any(call.args.len(), Volatility::Immutable),
        inner: call.func,
    });
    let plan = LogicalPlanBuilder::from(input)
        .filter(fails.call(call.args))?
        .project(columns.into_iter().map(Expr::Column))?
        .limit(0, Some(1))?
        .build()?;
    let rows = DataFrame::new(state, plan).collect().await?;
    let found = rows.iter().find(|rows| rows.num_rows() > 0);
    Ok(found.map(|rows| {
        let columns = rows.schema_ref().fields().iter().zip(rows.columns());
        let known = columns.filter(|(_, values)| values.is_valid(0));
        let (names, values): (Vec<_>, Vec<_>) =
            known.map(|(field, values)| (field.name().clone(), Arc::clone(values))).unzip();
        if names.is_empty() { String::new() } else { shown_keys(&names, &values, 0) }
    }))
}

/// The operation that a message is about, and the rows that it was computed of. What is computed for
/// some rows only, behind a condition, is none.
fn failed(plan: &LogicalPlan, message: &str) -> Result<Option<(ScalarFunction, LogicalPlan)>> {
    let mut found = None;
    plan.apply(|node| {
        let inputs = node.inputs();
        let [input] = inputs.as_slice() else { return Ok(TreeNodeRecursion::Continue) };
        for expr in node.expressions() {
            expr.apply(|part| {
                Ok(match part {
                    Expr::Case(_) => TreeNodeRecursion::Jump,
                    Expr::BinaryExpr(pair) if matches!(pair.op, Operator::And | Operator::Or) => {
                        TreeNodeRecursion::Jump
                    }
                    Expr::ScalarFunction(call) => {
                        let is_it = written_of(call)
                            .is_some_and(|written| message.contains(&format!("`{written}`")));
                        if is_it {
                            found = Some((call.clone(), (*input).clone()));
                            return Ok(TreeNodeRecursion::Stop);
                        }
                        TreeNodeRecursion::Continue
                    }
                    _ => TreeNodeRecursion::Continue,
                })
            })?;
        }
        let goes_on = found.is_none();
        Ok(if goes_on { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(found)
}

/// The columns of a plan that are keys of tables as these have them.
fn key_columns(plan: &LogicalPlan, keys: &[RowKey]) -> Result<Vec<Column>> {
    let schema = plan.schema();
    let mut found: Vec<Column> = Vec::new();
    for key in keys {
        for name in &key.columns {
            let held = Origin { table: &key.table, columns: &[name.as_str()] }.held_by(plan)?;
            let own = schema.columns().into_iter().zip(held);
            let own = own.filter(|(column, held)| *held && column.name == *name);
            found.extend(own.map(|(column, _)| column).next());
        }
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Whether an operation fails for a row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fails {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Fails {
    fn name(&self) -> &'static str {
        "row_fails"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let inner = |args: ScalarFunctionArgs| {
            let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
            let data_type = self.inner.return_type(&types)?;
            let field = args.return_field.as_ref().clone().with_data_type(data_type);
            self.inner
                .invoke_with_args(ScalarFunctionArgs { return_field: Arc::new(field), ..args })
        };
        if inner(args.clone()).is_ok() {
            return Ok(ColumnarValue::Array(Arc::new(BooleanArray::from(vec![false; n_rows]))));
        }
        let of_row = |row: usize| {
            let one = args.args.iter().map(|arg| match arg {
                ColumnarValue::Array(values) => ColumnarValue::Array(values.slice(row, 1)),
                ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
            });
            inner(ScalarFunctionArgs { args: one.collect(), number_rows: 1, ..args.clone() })
        };
        let fails: BooleanArray = (0..n_rows).map(|row| Some(of_row(row).is_err())).collect();
        Ok(ColumnarValue::Array(Arc::new(fails)))
    }
}
