//! Conditions that the optimizer decides as if nothing were NULL: hidden from it.
//!
//! `g ~ '.*'` becomes `g IS NOT NULL`, which is false where the condition is NULL
//! (apache/datafusion#24379), so that `NOT (g ~ '.*')` keeps rows. `n IN (1) AND n IN (2)` becomes false,
//! and `n NOT IN (1) OR n NOT IN (2)` true (#24246).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Cast, InList};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};

use super::opaque::or_null;

/// A pattern that means the same, and is not taken for one that matches everything.
pub(super) fn kept_pattern(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_regex(op) && is_constant(&right) => {
            let right = Box::new(in_group(*right, schema)?);
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::ScalarFunction(mut call)
            if call.name() == "regexp_like" && call.args.get(1).is_some_and(is_constant) =>
        {
            let pattern = std::mem::take(&mut call.args[1]);
            call.args[1] = in_group(pattern, schema)?;
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn is_regex(op: Operator) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    matches!(op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch)
}

/// Whether a pattern is, or may become, the text `.*`.
fn is_constant(pattern: &Expr) -> bool {
    match pattern {
        Expr::Literal(text, _) => text.try_as_str().flatten() == Some(".*"),
        pattern => pattern.column_refs().is_empty() && !pattern.contains_outer(),
    }
}

fn in_group(pattern: Expr, schema: &DFSchema) -> Result<Expr> {
    let data_type = pattern.get_type(schema)?;
    if let Expr::Literal(text, metadata) = &pattern
        && let Some(text) = text.try_as_str().flatten()
    {
        let grouped = ScalarValue::Utf8(Some(format!("(?:{text})"))).cast_to(&data_type)?;
        return Ok(Expr::Literal(grouped, metadata.clone()));
    }
    let joined = |left: Expr, right: Expr| {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::StringConcat, Box::new(right)))
    };
    let text = Expr::Cast(Cast::new(Box::new(pattern), DataType::Utf8));
    let grouped = joined(joined(lit("(?:"), text), lit(")"));
    Ok(Expr::Cast(Cast::new(Box::new(grouped), data_type)))
}

/// Of the lists in one condition that are about the same value, all but the first one are about a value
/// that the optimizer does not know to be the same.
pub(super) fn kept_lists(expr: Expr) -> Result<Transformed<Expr>> {
    let is_root = |expr: &Expr| {
        matches!(expr, Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }))
    };
    expr.transform_down(|expr| {
        if !is_root(&expr) {
            return Ok(Transformed::no(expr));
        }
        let mut seen = Vec::new();
        let expr = within(expr, &mut seen)?;
        Ok(Transformed::new(expr, true, TreeNodeRecursion::Jump))
    })
}

fn within(expr: Expr, seen: &mut Vec<Expr>) -> Result<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ Operator::And, right }) => {
            let left = Box::new(within(*left, seen)?);
            let right = Box::new(within(*right, seen)?);
            Ok(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
            let mut parts = Vec::new();
            alternatives(expr, &mut parts);
            // `n = 1 OR n = 2` becomes one list: known as one here, too.
            let before = seen.clone();
            let mut own: Vec<Expr> = Vec::new();
            let mut built: Option<Expr> = None;
            for part in parts {
                let part = match compared(&part) {
                    Some(column) if before.contains(&column) => hidden(part),
                    Some(column) => {
                        own.push(column);
                        part
                    }
                    None => within(part, seen)?,
                };
                built = Some(match built {
                    Some(built) => built.or(part),
                    None => part,
                });
            }
            for column in &own {
                if own.iter().filter(|other| *other == column).count() > 1 && !seen.contains(column)
                {
                    seen.push(column.clone());
                }
            }
            Ok(built.unwrap_or_else(|| lit(false)))
        }
        Expr::Not(inner) => Ok(Expr::Not(Box::new(within(*inner, seen)?))),
        Expr::InList(list) => {
            if seen.contains(&list.expr) {
                return Ok(hidden(Expr::InList(list)));
            }
            seen.push((*list.expr).clone());
            Ok(Expr::InList(list))
        }
        expr => Ok(kept_lists(expr)?.data),
    }
}

fn alternatives(expr: Expr, parts: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            alternatives(*left, parts);
            alternatives(*right, parts);
        }
        expr => parts.push(expr),
    }
}

/// The column that a condition compares with one constant.
fn compared(expr: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(_), Expr::Literal(..)) => Some((**left).clone()),
        (Expr::Literal(..), Expr::Column(_)) => Some((**right).clone()),
        _ => None,
    }
}

fn hidden(expr: Expr) -> Expr {
    match expr {
        Expr::InList(InList { expr, list, negated }) => {
            Expr::InList(InList { expr: Box::new(or_null(*expr)), list, negated })
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let hide = |side: Box<Expr>| match *side {
                column @ Expr::Column(_) => Box::new(or_null(column)),
                other => Box::new(other),
            };
            Expr::BinaryExpr(BinaryExpr { left: hide(left), op, right: hide(right) })
        }
        expr => expr,
    }
}
