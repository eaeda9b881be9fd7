//! How large what was parsed is for those who plan it: terms in a row, parts, and depth.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, ObjectName, ObjectNamePart, Query, Select, Spanned, Visit, Visitor};
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Span};

use super::error_at;

/// Operators that work on each other's results, as in `a + b + c`. Planning calls itself for each,
/// and takes time by their square.
const TERMS_MAX: usize = 2000;
/// SELECTs and tables that are read. What a WITH names is planned anew wherever it is read, so that
/// names which read each other twice double at each step.
const PARTS_MAX: usize = 1000;
/// Tables of one FROM. Time goes by their square.
const TABLES_MAX: usize = 100;
/// Queries within expressions within queries, and a WITH within a WITH. Time doubles at each.
const DEPTH_MAX: usize = 12;

/// Whether what was parsed is small enough to be planned.
///
/// # Errors
/// It is not; the message ends with the place.
pub fn bounded(sql: &impl Visit) -> Result<(), ParserError> {
    match sql.visit(&mut Walk::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break((message, place)) => Err(error_at(&message, place)),
    }
}

/// A query that encloses what is visited.
#[derive(Default)]
struct Scope {
    /// The names of its WITH, in the order in which their queries are visited, before all others.
    names: Vec<String>,
    n_entered: usize,
    /// Parts of what has a name.
    known: BTreeMap<String, usize>,
    parts: usize,
}

#[derive(Default)]
struct Walk {
    scopes: Vec<Scope>,
    terms: usize,
    subqueries: usize,
    withs: usize,
}

type Flow = ControlFlow<(String, Location)>;

impl Walk {
    fn add(&mut self, parts: usize, span: impl FnOnce() -> Span) -> Flow {
        let Some(scope) = self.scopes.last_mut() else { return ControlFlow::Continue(()) };
        scope.parts = scope.parts.saturating_add(parts);
        if scope.parts <= PARTS_MAX {
            return ControlFlow::Continue(());
        }
        let message = format!(
            "the query reads more than {PARTS_MAX} tables and queries, each name of a WITH anew wherever it is read: store what is read often in a table of its own"
        );
        ControlFlow::Break((message, span().start))
    }

    fn too_deep(what: &str, place: Location) -> Flow {
        let message = format!(
            "more than {DEPTH_MAX} {what} within each other: name them in one WITH, one after the other"
        );
        ControlFlow::Break((message, place))
    }
}

impl Visitor for Walk {
    type Break = (String, Location);

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        if let Some(parent) = self.scopes.last_mut() {
            parent.n_entered += 1;
        }
        let mut scope = Scope::default();
        if let Some(with) = &query.with {
            self.withs += 1;
            if self.withs > DEPTH_MAX {
                return Self::too_deep("WITH", with.with_token.0.span.start);
            }
            let names = with.cte_tables.iter().map(|cte| cte.alias.name.value.to_lowercase());
            scope.names = names.collect();
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> Flow {
        self.withs -= usize::from(query.with.is_some());
        let parts = self.scopes.pop().map_or(0, |scope| scope.parts);
        let Some(parent) = self.scopes.last_mut() else { return ControlFlow::Continue(()) };
        if let Some(name) = parent.names.get(parent.n_entered - 1) {
            parent.known.insert(name.clone(), parts);
            return ControlFlow::Continue(());
        }
        self.add(parts, || query.span())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        let joined = select.from.iter().map(|from| from.joins.len());
        if select.from.len() + joined.sum::<usize>() > TABLES_MAX {
            let message = format!("more than {TABLES_MAX} tables in one FROM: join some in a WITH");
            return ControlFlow::Break((message, select.select_token.0.span.start));
        }
        self.add(1, || select.select_token.0.span)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Flow {
        let name = match relation.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => name.value.to_lowercase(),
            _ => return self.add(1, || relation.span()),
        };
        let known = self.scopes.iter().rev().find_map(|scope| scope.known.get(&name).copied());
        self.add(known.unwrap_or(1), || relation.span())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        if is_subquery(expr) {
            self.subqueries += 1;
            if self.subqueries > DEPTH_MAX {
                return Self::too_deep("subqueries", first(expr));
            }
        }
        self.terms += 1;
        if self.terms <= TERMS_MAX {
            return ControlFlow::Continue(());
        }
        let message = format!(
            "an expression has more than {TERMS_MAX} terms in a row: write a long OR as IN (…), and a long sum in parts"
        );
        ControlFlow::Break((message, first(expr)))
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> Flow {
        self.terms -= 1;
        self.subqueries -= usize::from(is_subquery(expr));
        ControlFlow::Continue(())
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. })
}

/// Where an expression begins. It may be too deep to be asked.
fn first(expr: &Expr) -> Location {
    let mut expr = expr;
    loop {
        expr = match expr {
            Expr::BinaryOp { left, .. } => left,
            Expr::Cast { expr, .. }
            | Expr::Nested(expr)
            | Expr::UnaryOp { expr, .. }
            | Expr::IsNull(expr)
            | Expr::IsNotNull(expr)
            | Expr::InSubquery { expr, .. }
            | Expr::Between { expr, .. }
            | Expr::Like { expr, .. }
            | Expr::Collate { expr, .. } => expr,
            Expr::AtTimeZone { timestamp, .. } => timestamp,
            Expr::Subquery(query) | Expr::Exists { subquery: query, .. } => {
                return start(&query.body);
            }
            Expr::Value(value) => return value.span.start,
            Expr::Identifier(name) => return name.span.start,
            Expr::CompoundIdentifier(names) => {
                return names.first().map_or_else(Location::empty, |name| name.span.start);
            }
            Expr::Function(function) => return function.name.span().start,
            _ => return Location::empty(),
        };
    }
}

/// Where a query's first SELECT begins.
fn start(body: &sqlparser::ast::SetExpr) -> Location {
    use sqlparser::ast::SetExpr;
    let mut body = body;
    loop {
        body = match body {
            SetExpr::Select(select) => return select.select_token.0.span.start,
            SetExpr::SetOperation { left, .. } => left,
            SetExpr::Query(query) => &query.body,
            _ => return Location::empty(),
        };
    }
}
