//! Which ORDER BY puts rows into an order: a constant does not, and neither does what all rows of a
//! group, a partition or a result have in common.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, Join, JoinConstraint, JoinOperator, OrderBy, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::names::folded;

/// An expression of a SELECT's list, with its name if it has one.
type Item = Option<(Option<String>, Expr)>;

/// What rows of a SELECT have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    /// Expressions of one value, in one spelling.
    fixed: BTreeSet<String>,
    /// Expressions that are equal in each row.
    equal: Vec<(String, String)>,
    /// How the SELECT names its tables.
    tables: Vec<String>,
    /// The expressions of its list, with their names; `None` for a star.
    items: Arc<Vec<Item>>,
}

impl Common {
    /// What all rows of a SELECT have in common.
    pub(super) fn of(select: &Select) -> Self {
        let items = select.projection.iter().map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some((None, expr.clone())),
            SelectItem::ExprWithAlias { expr, alias } => Some((Some(folded(alias)), expr.clone())),
            _ => None,
        });
        let mut common = Self { items: Arc::new(items.collect()), ..Self::default() };
        let mut conditions: Vec<&Expr> = select.selection.iter().collect();
        for table in &select.from {
            common.tables.extend(name(&table.relation));
            common.tables.extend(table.joins.iter().filter_map(|join| name(&join.relation)));
            // A later RIGHT or FULL JOIN adds rows for which no condition before it holds.
            let adds_rows = |join: &Join| inner(join).is_none() && !keeps_left(join);
            if !table.joins.iter().any(adds_rows) {
                let constraints = table.joins.iter().filter_map(inner);
                conditions.extend(constraints.filter_map(|constraint| match constraint {
                    JoinConstraint::On(on) => Some(on),
                    _ => None,
                }));
            }
        }
        while let Some(condition) = conditions.pop() {
            match condition {
                Expr::Nested(inner) => conditions.push(inner),
                Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                    conditions.extend([left.as_ref(), right.as_ref()]);
                }
                Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                    common.equal.push((spelled(left), spelled(right)));
                    for (side, other) in [(left, right), (right, left)] {
                        if !varies(side) {
                            common.fix(other);
                        }
                    }
                }
                Expr::IsNull(of) => common.fix(of),
                _ => {}
            }
        }
        common
    }

    /// The same for rows that also agree in some expressions.
    pub(super) fn with<'a>(&self, exprs: impl IntoIterator<Item = &'a Expr>) -> Self {
        let mut common = self.clone();
        exprs.into_iter().for_each(|expr| common.fix(expr));
        loop {
            let known = common.fixed.len();
            for (a, b) in common.equal.clone() {
                for (one, other) in [(&a, &b), (&b, &a)] {
                    if common.fixed.contains(one) {
                        common.fixed.insert(other.clone());
                    }
                }
            }
            if common.fixed.len() == known {
                return common;
            }
        }
    }

    /// The same for the rows of a group of a SELECT.
    pub(super) fn grouped(&self, select: &Select) -> Self {
        match &select.group_by {
            GroupByExpr::All(more) if more.is_empty() => {
                let items = self.items.iter().flatten().map(|(_, expr)| expr);
                let plain = |expr: &&Expr| {
                    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
                };
                self.with(items.filter(plain))
            }
            GroupByExpr::Expressions(keys, more) if more.is_empty() => {
                let sets = |key: &Expr| {
                    matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_))
                };
                if keys.iter().any(sets) {
                    return self.clone();
                }
                self.with(keys.iter().filter_map(|key| self.placed(key)))
            }
            _ => self.clone(),
        }
    }

    /// Whether one of the keys may differ from row to row. A number is the place of a column in the
    /// ORDER BY of a query, and a constant like any other elsewhere.
    pub(super) fn tell_apart(&self, keys: &[OrderByExpr], has_places: bool) -> bool {
        let common = self.with([]);
        keys.iter().any(|key| {
            if !has_places {
                return common.differs(&key.expr);
            }
            match self.placed(&key.expr) {
                Some(expr) => common.differs(expr),
                // A column of a star or of a union.
                None => true,
            }
        })
    }

    /// What a place or a name of the SELECT's list stands for; other expressions for themselves.
    fn placed<'a>(&'a self, key: &'a Expr) -> Option<&'a Expr> {
        match key {
            Expr::Value(value) => match &value.value {
                Value::Number(place, _) => {
                    let at = place.parse::<usize>().ok()?.checked_sub(1)?;
                    self.items.get(at)?.as_ref().map(|(_, expr)| expr)
                }
                _ => Some(key),
            },
            Expr::Identifier(ident) => {
                let named = self
                    .items
                    .iter()
                    .flatten()
                    .find(|(name, _)| name.as_ref().is_some_and(|name| *name == folded(ident)));
                Some(named.map_or(key, |(_, expr)| expr))
            }
            _ => Some(key),
        }
    }

    fn fix(&mut self, expr: &Expr) {
        let text = spelled(expr);
        // A column may be written with its table or without.
        match expr {
            Expr::Identifier(_) => {
                let full = self.tables.iter().map(|table| format!("{table}.{text}"));
                self.fixed.extend(full);
            }
            Expr::CompoundIdentifier(parts) => {
                if let [table, column] = parts.as_slice()
                    && self.tables.contains(&folded(table))
                {
                    self.fixed.insert(folded(column));
                }
            }
            _ => {}
        }
        self.fixed.insert(text);
    }

    fn differs(&self, expr: &Expr) -> bool {
        struct Cut<'a>(&'a BTreeSet<String>);
        impl VisitorMut for Cut<'_> {
            type Break = ();

            fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                if self.0.contains(&expr.to_string()) {
                    *expr = Expr::Value(Value::Null.into());
                }
                ControlFlow::Continue(())
            }
        }
        if self.fixed.is_empty() {
            return varies(expr);
        }
        let mut expr = in_one_spelling(expr);
        let _ = VisitMut::visit(&mut expr, &mut Cut(&self.fixed));
        varies(&expr)
    }
}

/// Whether the ORDER BY of a query puts its rows into an order. DISTINCT ON orders the rows that agree
/// in its expressions.
pub(super) fn orders(order_by: &OrderBy, query: &Query, on: &[Expr]) -> bool {
    let common = match query.body.as_ref() {
        SetExpr::Select(select) => Common::of(select),
        _ => Common::default(),
    };
    let on: Vec<&Expr> = on.iter().filter_map(|key| common.placed(key)).collect();
    match &order_by.kind {
        OrderByKind::All(_) => true,
        OrderByKind::Expressions(keys) => common.with(on).tell_apart(keys, true),
    }
}

/// The constraint of an inner join.
fn inner(join: &Join) -> Option<&JoinConstraint> {
    match &join.join_operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => Some(on),
        _ => None,
    }
}

fn keeps_left(join: &Join) -> bool {
    matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_))
}

/// What a FROM item is called.
fn name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. } => Some(folded(&alias.name)),
        TableFactor::Table { name, .. } => name.0.last()?.as_ident().map(folded),
        _ => None,
    }
}

/// An expression as text, the same however it is written.
fn spelled(expr: &Expr) -> String {
    in_one_spelling(expr).to_string()
}

fn in_one_spelling(expr: &Expr) -> Expr {
    struct Speller;
    impl VisitorMut for Speller {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            while let Expr::Nested(inner) = expr {
                *expr = std::mem::replace(inner, Expr::Value(Value::Null.into()));
            }
            match expr {
                Expr::Identifier(ident) => *ident = Ident::new(folded(ident)),
                Expr::CompoundIdentifier(parts) => {
                    for part in parts {
                        *part = Ident::new(folded(part));
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = expr.clone();
    let _ = VisitMut::visit(&mut expr, &mut Speller);
    expr
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
