//! Which ORDER BY puts rows into an order: a constant does not.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, OrderBy, OrderByExpr,
    OrderByKind, Value, Visit, Visitor,
};

/// Whether the ORDER BY of a query puts its rows into an order.
pub(super) fn orders(order_by: &OrderBy) -> bool {
    match &order_by.kind {
        OrderByKind::All(_) => true,
        OrderByKind::Expressions(keys) => tell_rows_apart(keys, true),
    }
}

/// Whether one of the keys may differ from row to row. A number is the place of a column in the
/// ORDER BY of a query, and a constant like any other elsewhere.
pub(super) fn tell_rows_apart(keys: &[OrderByExpr], has_places: bool) -> bool {
    let is_place = |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..)));
    keys.iter().any(|key| has_places && is_place(&key.expr) || varies(&key.expr))
}

/// Whether an expression reads a column, or counts rows.
fn varies(expr: &Expr) -> bool {
    struct Reader;
    impl Visitor for Reader {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let reads = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
                || matches!(expr, Expr::Function(function) if function.over.is_some() || is_count(function));
            if reads { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    expr.visit(&mut Reader).is_break()
}

/// `count(*)`: all else that reads rows names a column.
fn is_count(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    let is_star =
        |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    list.args.iter().any(is_star)
}
