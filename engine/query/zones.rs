//! The zones that a query names: each is known, and has the one name that readers of times know.
//!
//! Promise: no zone is taken for UTC because nobody knows it. `DataFusion` 55.2 does so where only the
//! zone of a moment changes, as in `ts AT TIME ZONE 'europe/paris'` and `from_unixtime(0, 'Mars')`.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, Span};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::parser::Statement;
use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, Value, ValueWithSpan, VisitMut,
    VisitorMut,
};

use super::shapes::refusal;
use crate::zone;

/// Gives every zone in a statement its one name.
///
/// # Errors
/// There is no such zone, or it is no text.
pub(super) fn named(statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Statement(sql) => named_in(sql.as_mut()),
        Statement::Explain(explain) => named(&mut explain.statement),
        _ => Ok(()),
    }
}

/// As [`named`], for a part of a statement.
pub(super) fn named_in(sql: &mut impl VisitMut) -> Result<()> {
    match sql.visit(&mut Names) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Names;

impl VisitorMut for Names {
    type Break = DataFusionError;

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<DataFusionError> {
        let named = match expr {
            ast::Expr::AtTimeZone { time_zone, .. } => at_time_zone(time_zone),
            ast::Expr::Function(function) => from_unixtime(function),
            _ => Ok(()),
        };
        named.map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

fn at_time_zone(zone: &mut ast::Expr) -> Result<()> {
    while let ast::Expr::Nested(inner) = zone {
        *zone = std::mem::replace(inner.as_mut(), ast::Expr::value(Value::Null));
    }
    match zone {
        ast::Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name), span }) => {
            rename(name, Span::try_from_sqlparser_span(*span))
        }
        other => Err(refusal(
            "the zone of AT TIME ZONE is a text, the same for all rows",
            "write it as in AT TIME ZONE 'Europe/Paris', or one zone for each branch of a CASE",
            Span::try_from_sqlparser_span(other.span()),
        )),
    }
}

fn from_unixtime(function: &mut ast::Function) -> Result<()> {
    if !function.name.to_string().eq_ignore_ascii_case("from_unixtime") {
        return Ok(());
    }
    let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
    match list.args.get_mut(1) {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(name),
            span,
        })))) => rename(name, Span::try_from_sqlparser_span(*span)),
        _ => Ok(()),
    }
}

fn rename(name: &mut String, span: Option<Span>) -> Result<()> {
    *name = zone::canonical(name).map_err(|hint| unknown(name, &hint, span))?;
    Ok(())
}

fn unknown(name: &str, hint: &str, span: Option<Span>) -> DataFusionError {
    refusal(&format!("`{name}` is not a time zone"), hint, span)
}

/// Zones in types that a query asks for in other ways, such as `arrow_cast`.
pub(super) fn require_known(expr: &Expr, schema: &DFSchema) -> Result<()> {
    expr.apply(|part| {
        match part {
            Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => {
                known(field.data_type())?;
            }
            Expr::ScalarFunction(call) if names_a_type(call.name()) => {
                known(&part.get_type(schema)?)?;
            }
            _ => {}
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })
    .map(drop)
}

fn names_a_type(function: &str) -> bool {
    matches!(function, "arrow_cast" | "arrow_try_cast" | "from_unixtime")
}

fn known(data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Timestamp(_, Some(name)) => match zone::canonical(name) {
            Ok(canonical) if *canonical == **name || name.starts_with(['+', '-']) => Ok(()),
            Ok(canonical) => Err(unknown(name, &format!("did you mean '{canonical}'?"), None)),
            Err(hint) => Err(unknown(name, &hint, None)),
        },
        DataType::List(of) | DataType::LargeList(of) => known(of.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| known(field.data_type())),
        _ => Ok(()),
    }
}
