//! Joins with USING and NATURAL as joins with ON, before they are planned.
//!
//! Promise: an unqualified key is the merged one, `coalesce(left.k, right.k)` of a FULL join, the right
//! side's of a RIGHT join. `DataFusion` 55.2 takes the left side's in all joins, NULL for the rows that
//! only the right side has (apache/datafusion#22881); `SELECT *` keeps the key of the side whose name
//! sorts first, and a third join compares with the wrong one. A qualified key stays what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::common::{Diagnostic, Span, TableReference};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use futures::FutureExt;
use sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, ObjectName, OrderBy, OrderByKind, Query, Select, SelectItem,
    SetExpr, Statement as Sql, TableAlias, TableFactor, TableWithJoins, Value, VisitMut,
    VisitorMut, WildcardAdditionalOptions, With,
};

use super::joins::{Kind, Side, constraint, every_join, one_side, usual, wrong_as_it_is};
use super::parse;

type Result<T> = std::result::Result<T, DataFusionError>;

/// Rewrites every join with USING or NATURAL in `statement`.
///
/// # Errors
/// The columns of a side are not known, and the join would give wrong keys as it is.
pub(super) fn with_merged_keys(state: &SessionState, statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Statement(sql) if matches!(**sql, Sql::Query(_)) => {
            let mut merger = Merger { state, scopes: Vec::new() };
            match sql.visit(&mut merger) {
                ControlFlow::Break(error) => Err(error),
                ControlFlow::Continue(()) => Ok(()),
            }
        }
        Statement::Explain(explain) => with_merged_keys(state, &mut explain.statement),
        _ => Ok(()),
    }
}

/// A query that encloses the one being read: what its WITH names.
struct Scope {
    with: Option<With>,
    /// How many of its named queries were entered.
    entered: usize,
    /// Whether the last one that was entered is being read.
    inside: bool,
}

struct Merger<'a> {
    state: &'a SessionState,
    scopes: Vec<Scope>,
}

impl VisitorMut for Merger<'_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        if let Some(parent) = self.scopes.last_mut() {
            // The named queries of a WITH are visited before anything else of their query.
            let named = parent.with.as_ref().map_or(0, |with| with.cte_tables.len());
            parent.inside = parent.entered < named;
            parent.entered += 1;
        }
        self.scopes.push(Scope { with: query.with.clone(), entered: 0, inside: false });
        ControlFlow::Continue(())
    }

    /// The queries inside are done.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        if let Some(scope) = self.scopes.last_mut() {
            scope.inside = false;
        }
        let order_by = query.order_by.as_mut();
        if let Err(error) = self.body(&mut query.body, order_by) {
            return ControlFlow::Break(error);
        }
        self.scopes.pop();
        if let Some(parent) = self.scopes.last_mut() {
            parent.inside = false;
        }
        ControlFlow::Continue(())
    }
}

/// A column of `SELECT *`.
#[derive(Clone)]
struct Shown {
    name: String,
    expression: Expr,
    merged: bool,
}

impl Merger<'_> {
    fn body(&self, body: &mut SetExpr, order_by: Option<&mut OrderBy>) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.select(select, order_by),
            // The order of a UNION is that of its result, which has no tables.
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, None)?;
                self.body(right, None)
            }
            _ => Ok(()),
        }
    }

    fn select(&self, select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<()> {
        let joins = || select.from.iter().flat_map(every_join);
        if !joins().any(|join| constraint(join).is_some()) {
            return Ok(());
        }
        let star = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
        let wrong = joins().find(|join| wrong_as_it_is(join, star)).cloned();
        let mut from = select.from.clone();
        let mut shown = Vec::new();
        for table in &mut from {
            match self.chain(table) {
                Ok(columns) => shown.extend(columns),
                // An inner join is right as it is.
                Err(cause) => return wrong.map_or(Ok(()), |join| Err(refusal(&join, cause))),
            }
        }
        let mut names = Names { merger: self, merged: merged(&shown), hidden: Vec::new() };
        select.projection = projection(&select.projection, &shown, &names.merged)?;
        select.from = Vec::new();
        let _ = select.visit(&mut names);
        select.from = from;
        if let Some(order_by) = order_by
            && let OrderByKind::Expressions(keys) = &mut order_by.kind
        {
            // A name of the result goes before a name of the tables.
            for output in select.projection.iter().filter_map(output_name) {
                names.merged.remove(&output);
            }
            for key in keys {
                let _ = key.visit(&mut names);
            }
        }
        Ok(())
    }

    /// The columns of joined tables, whose USING becomes ON.
    fn chain(&self, table: &mut TableWithJoins) -> Result<Vec<Shown>> {
        let mut left = self.factor(&mut table.relation)?;
        for join in &mut table.joins {
            let mut right = self.factor(&mut join.relation)?;
            let one_side = one_side(&join.join_operator);
            if let Some((kind, constraint)) = usual(&mut join.join_operator) {
                if let Some(keys) = keys(constraint, &left, &right) {
                    *constraint = JoinConstraint::On(merge(kind, &keys, &mut left, &mut right)?);
                } else if let JoinConstraint::On(on) = constraint {
                    let both = [left.as_slice(), right.as_slice()].concat();
                    let mut names =
                        Names { merger: self, merged: merged(&both), hidden: Vec::new() };
                    let _ = on.visit(&mut names);
                }
            }
            match one_side {
                Some(Side::Left) => {}
                Some(Side::Right) => left = right,
                None => left.extend(right),
            }
        }
        Ok(left)
    }

    fn factor(&self, factor: &mut TableFactor) -> Result<Vec<Shown>> {
        if let TableFactor::NestedJoin { table_with_joins, alias } = factor {
            let alias = alias.clone();
            let shown = self.chain(table_with_joins)?;
            if alias.is_none() {
                return Ok(shown);
            }
            *factor = derived(table_with_joins, &shown, alias)?;
        }
        self.columns(TableWithJoins { relation: factor.clone(), joins: vec![] })
    }

    /// The columns of `SELECT * FROM table`, as its plan has them.
    fn columns(&self, table: TableWithJoins) -> Result<Vec<Shown>> {
        let mut query = select_star()?;
        let SetExpr::Select(select) = query.body.as_mut() else { return Err(unknown()) };
        select.from = vec![table];
        for scope in self.scopes.iter().rev() {
            let Some(mut with) = scope.with.clone() else { continue };
            if scope.inside {
                // A named query sees those before it, and itself if it is recursive.
                with.cte_tables.truncate(scope.entered - usize::from(!with.recursive));
            }
            if with.cte_tables.is_empty() {
                continue;
            }
            if query.with.is_some() {
                let body = SetExpr::Query(query);
                query = select_star()?;
                query.body = Box::new(body);
            }
            query.with = Some(with);
        }
        let statement = Statement::Statement(Box::new(Sql::Query(query)));
        // Tables are in memory: their names are found at once.
        let plan = self.state.statement_to_plan(statement).now_or_never().ok_or_else(unknown)??;
        let columns = plan.schema().iter().map(|(table, field)| {
            let mut parts: Vec<Ident> = table.map(parts).unwrap_or_default();
            parts.push(Ident::with_quote('"', field.name()));
            let expression = match parts.as_slice() {
                [name] => Expr::Identifier(name.clone()),
                _ => Expr::CompoundIdentifier(parts),
            };
            Shown { name: field.name().clone(), expression, merged: false }
        });
        Ok(columns.collect())
    }
}

/// Joined tables under one name, as a subquery with their columns.
fn derived(
    table: &TableWithJoins,
    shown: &[Shown],
    alias: Option<TableAlias>,
) -> Result<TableFactor> {
    let mut query = select_star()?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = star(shown, &WildcardAdditionalOptions::default())?;
        select.from = vec![table.clone()];
    }
    Ok(TableFactor::Derived { lateral: false, subquery: query, alias, sample: None })
}

fn parts(table: &TableReference) -> Vec<Ident> {
    table.to_vec().iter().map(|part| Ident::with_quote('"', part)).collect()
}

/// A query to put tables and columns into.
fn select_star() -> Result<Box<Query>> {
    parse::part("SELECT * FROM t", |parser| parser.parse_query())
}

fn expression(text: &str) -> Result<Expr> {
    parse::part(text, |parser| parser.parse_expr())
}

/// The keys of USING or NATURAL; nothing for other constraints.
fn keys(constraint: &JoinConstraint, left: &[Shown], right: &[Shown]) -> Option<Vec<String>> {
    match constraint {
        JoinConstraint::Using(names) => {
            names.iter().map(|name| name.0.first()?.as_ident().map(normal)).collect()
        }
        JoinConstraint::Natural => {
            let known: BTreeSet<&str> = left.iter().map(|column| column.name.as_str()).collect();
            let common = right.iter().filter(|column| known.contains(column.name.as_str()));
            Some(common.map(|column| column.name.clone()).collect())
        }
        _ => None,
    }
}

/// The condition of a join on `keys`; the merged columns stay on the left, where `SELECT *` has them.
fn merge(kind: Kind, keys: &[String], left: &mut [Shown], right: &mut Vec<Shown>) -> Result<Expr> {
    let mut conditions = Vec::new();
    for key in keys {
        let place = |side: &[Shown]| {
            let mut places = (0..side.len()).filter(|at| side[*at].name == *key);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                _ => Err(DataFusionError::Plan(format!("`{key}` is not one column of each side"))),
            }
        };
        let (here, there) = (place(left)?, place(right)?);
        let other = right.remove(there).expression;
        let own = &mut left[here];
        conditions.push(format!("{} = {other}", own.expression));
        own.merged = true;
        own.expression = match kind {
            Kind::Inner | Kind::Left => own.expression.clone(),
            Kind::Right => other,
            Kind::Full => {
                let both = format!("coalesce({}, {other})", own.expression);
                expression(&both)?
            }
        };
    }
    if conditions.is_empty() {
        return Ok(Expr::Value(Value::Boolean(true).into()));
    }
    expression(&conditions.join(" AND "))
}

/// The merged columns that an unqualified name means.
fn merged(shown: &[Shown]) -> BTreeMap<String, Expr> {
    let unique =
        |name: &str| shown.iter().filter(|column| column.name == name).take(2).count() == 1;
    shown
        .iter()
        .filter(|column| column.merged && unique(&column.name))
        .map(|column| (column.name.clone(), column.expression.clone()))
        .collect()
}

/// The select list with `*` written out and merged names replaced, each under the name it had.
fn projection(
    items: &[SelectItem],
    shown: &[Shown],
    merged: &BTreeMap<String, Expr>,
) -> Result<Vec<SelectItem>> {
    let mut all = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(options) => all.extend(star(shown, options)?),
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => match merged.get(&normal(ident)) {
                Some(expression) => all.push(named(&normal(ident), expression.clone())),
                None => all.push(item.clone()),
            },
            _ => all.push(item.clone()),
        }
    }
    Ok(all)
}

fn star(shown: &[Shown], options: &WildcardAdditionalOptions) -> Result<Vec<SelectItem>> {
    if options.opt_ilike.is_some() || options.opt_rename.is_some() || options.opt_alias.is_some() {
        let message = "`*` of a join with USING cannot be renamed: write its columns out";
        return Err(DataFusionError::Plan(message.to_owned()));
    }
    let mut left_out = BTreeSet::new();
    if let Some(except) = &options.opt_except {
        left_out.insert(normal(&except.first_element));
        left_out.extend(except.additional_elements.iter().map(normal));
    }
    if let Some(exclude) = &options.opt_exclude {
        use sqlparser::ast::ExcludeSelectItem::{Multiple, Single};
        let names: Vec<&ObjectName> = match exclude {
            Single(name) => vec![name],
            Multiple(names) => names.iter().collect(),
        };
        let last = |name: &ObjectName| name.0.last().and_then(|part| part.as_ident()).map(normal);
        left_out.extend(names.into_iter().filter_map(last));
    }
    if let Some(missing) = left_out.iter().find(|name| shown.iter().all(|c| c.name != **name)) {
        return Err(DataFusionError::Plan(format!("there is no column `{missing}` to leave out")));
    }
    let replaced = |name: &str| {
        let mut items = options.opt_replace.iter().flat_map(|replace| &replace.items);
        items.find(|item| normal(&item.column_name) == name).map(|item| item.expr.clone())
    };
    let kept = shown.iter().filter(|column| !left_out.contains(&column.name));
    let items = kept.map(|column| match replaced(&column.name) {
        Some(expr) => {
            SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', &column.name) }
        }
        None => named(&column.name, column.expression.clone()),
    });
    Ok(items.collect())
}

/// An expression that keeps the name of its column; a plain column has it.
fn named(name: &str, expression: Expr) -> SelectItem {
    match expression {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => SelectItem::UnnamedExpr(expression),
        expr => SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) },
    }
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normal(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(normal(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(normal),
        _ => None,
    }
}

fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Replaces merged names in expressions, also in subqueries whose own tables have no such column.
struct Names<'a> {
    merger: &'a Merger<'a>,
    merged: BTreeMap<String, Expr>,
    /// What the tables of each subquery around the place hide; `None`: everything.
    hidden: Vec<Option<BTreeSet<String>>>,
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut tables = Vec::new();
        tables_of(&query.body, &mut tables);
        let mut own = Some(BTreeSet::new());
        for mut table in tables {
            match (self.merger.chain(&mut table), &mut own) {
                (Ok(columns), Some(names)) => names.extend(columns.into_iter().map(|c| c.name)),
                _ => own = None,
            }
        }
        self.hidden.push(own);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.hidden.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr {
            let name = normal(ident);
            let hides =
                |own: &Option<BTreeSet<String>>| own.as_ref().is_none_or(|own| own.contains(&name));
            if let Some(merged) = self.merged.get(&name)
                && !self.hidden.iter().any(hides)
            {
                *expr = merged.clone();
            }
        }
        ControlFlow::Continue(())
    }
}

fn tables_of(body: &SetExpr, tables: &mut Vec<TableWithJoins>) {
    match body {
        SetExpr::Select(select) => tables.extend(select.from.iter().cloned()),
        SetExpr::SetOperation { left, right, .. } => {
            tables_of(left, tables);
            tables_of(right, tables);
        }
        _ => {}
    }
}

fn unknown() -> DataFusionError {
    DataFusionError::Plan("the columns of a joined table are not known".to_owned())
}

fn refusal(join: &Join, cause: DataFusionError) -> DataFusionError {
    let span = match constraint(join) {
        Some((_, JoinConstraint::Using(names))) => {
            let first = names.first().and_then(|name| name.0.first()?.as_ident().cloned());
            first.and_then(|ident| Span::try_from_sqlparser_span(ident.span))
        }
        _ => None,
    };
    let message = "this join would give NULL for keys that only one side has \
                   (apache/datafusion#22881), and the columns of its sides cannot be told here";
    let diagnostic = Diagnostic::new_error(message, span).with_help(
        "write ON l.k = r.k instead of USING (k), and coalesce(l.k, r.k) AS k in the SELECT",
        None,
    );
    cause.with_diagnostic(diagnostic)
}
