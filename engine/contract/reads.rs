//! What a piece of SQL reads and calls, and what in it no table may depend on.
//!
//! A stored result must follow from its inputs alone: not from the clock, not from chance, not from
//! the order in which rows arrived. What can be seen of that in the SQL itself is found here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Distinct, Expr, Function, FunctionArgumentClause, FunctionArguments,
    LimitClause, NamedWindowExpr, ObjectName, OrderByExpr, PipeOperator, Query, Select, SelectItem,
    SetExpr, Spanned, TableFactor, Value, Visit, Visitor, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowSpec, WindowType,
};
use sqlparser::tokenizer::Span;

use super::TableName;
use super::names::{Named, folded, table_named};
use super::orders::{Common, orders};
use crate::syntax;

/// Window functions whose value depends on the order of the rows.
const ORDERED_WINDOWS: &[&str] = &[
    "row_number",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
    "array_agg",
    "string_agg",
    "listagg",
];

/// Aggregates whose value depends on the order of the rows.
const ORDERED_AGGREGATES: &[&str] =
    &["array_agg", "string_agg", "listagg", "first_value", "last_value", "nth_value", "any_value"];

const UNSHARED_ORDER: &str = "add an ORDER BY that no two rows share";

/// Something that is wrong at a place.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

/// What a piece of SQL reads, each with the place where it stands first.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Tables of layers.
    pub(crate) tables: BTreeMap<TableName, Span>,
    /// Names of one word that stand for tables and are no CTE.
    pub(crate) alone: BTreeMap<String, Span>,
    /// Functions, as the planner looks them up.
    pub(crate) functions: BTreeMap<String, Span>,
    /// The first query inside, for an expression.
    pub(crate) query: Option<Span>,
    /// Whether a column is read.
    pub(crate) columns: bool,
    /// Comparisons that are never true.
    pub(crate) null_comparisons: Vec<Fault>,
    /// What is wrong in every query.
    pub(crate) wrong: Vec<Fault>,
    /// What is wrong where the result is stored: it depends on the order of the rows.
    pub(crate) unsteady: Vec<Fault>,
}

impl Reads {
    /// Reads a statement or an expression.
    pub(crate) fn of(sql: &impl Visit) -> Self {
        let mut walk = Walk::default();
        let _ = sql.visit(&mut walk);
        let Walk { mut reads, ctes, .. } = walk;
        reads.alone.retain(|name, _| !ctes.contains(name));
        reads
    }
}

/// The functions that an expression calls, as the planner looks them up; none if it is no expression.
pub(crate) fn functions_of(expression: &str) -> Vec<String> {
    let parsed = syntax::parse(expression, |parser| parser.parse_expr());
    parsed.map_or_else(|_| Vec::new(), |expr| Reads::of(&expr).functions.into_keys().collect())
}

#[derive(Default)]
struct Walk {
    reads: Reads,
    ctes: BTreeSet<String>,
    /// Queries of which only is asked whether they have a row: which row does not matter.
    exists: Vec<*const Query>,
    /// Named windows of all SELECTs: what their rows are partitioned by, and whether they have an order.
    windows: BTreeMap<String, (Vec<Expr>, bool)>,
    /// What the rows of each SELECT around the place have in common, and those of each of its groups.
    selects: Vec<(Common, Common)>,
}

impl Visitor for Walk {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let span = query.span();
        self.reads.query.get_or_insert(span);
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.extend(ctes.map(|cte| folded(&cte.alias.name)));
        if !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
        {
            self.passed_over(span, "FOR, SETTINGS or FORMAT behind a query");
        }
        self.pipes(query, span);
        let on = match query.body.as_ref() {
            SetExpr::Select(select) => match &select.distinct {
                Some(Distinct::On(on)) => Some(on.as_slice()),
                _ => None,
            },
            _ => None,
        };
        let order_by = query.order_by.as_ref();
        if order_by.is_some_and(|order_by| orders(order_by, query, on.unwrap_or_default())) {
            return ControlFlow::Continue(());
        }
        let without = without_order(order_by.is_some());
        let limited = query.fetch.is_some()
            || match &query.limit_clause {
                Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                    limit.is_some() || offset.is_some()
                }
                Some(LimitClause::OffsetCommaLimit { .. }) => true,
                None => false,
            };
        if limited && !self.exists.contains(&std::ptr::from_ref(query)) {
            self.unsteady(
                span,
                format!("LIMIT {without} keeps whichever rows come first"),
                UNSHARED_ORDER,
            );
        }
        if on.is_some() {
            self.unsteady(
                span,
                format!("DISTINCT ON {without} keeps whichever rows come first"),
                UNSHARED_ORDER,
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.prewhere.is_some()
            || select.select_modifiers.is_some()
            || select.value_table_mode.is_some()
            || !select.connect_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.optimizer_hints.is_empty()
        {
            self.passed_over(
                select.select_token.0.span,
                "a hint, PREWHERE, CONNECT BY, DISTRIBUTE BY or SELECT AS in this SELECT",
            );
        }
        for item in &select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item
                && options.opt_ilike.is_some()
            {
                self.passed_over(options.wildcard_token.0.span, "ILIKE behind `*`");
            }
        }
        let common = Common::of(select);
        let grouped = common.grouped(select);
        self.selects.push((common, grouped));
        for definition in &select.named_window {
            let window = match &definition.1 {
                NamedWindowExpr::WindowSpec(spec) => self.window_of(spec),
                NamedWindowExpr::NamedWindow(other) => {
                    self.windows.get(&folded(other)).cloned().unwrap_or_default()
                }
            };
            self.windows.insert(folded(&definition.0), window);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                self.ignored(factor, name);
                let span = name.span();
                match table_named(name) {
                    Named::Table(table) => {
                        self.reads.tables.entry(table).or_insert(span);
                    }
                    Named::Alone(alone) => {
                        self.reads.alone.entry(alone).or_insert(span);
                    }
                    Named::Nothing(message) => {
                        self.wrong(span, message, "a table is named layer.table");
                    }
                }
            }
            TableFactor::Derived { sample: Some(_), subquery, .. } => self.sampled(subquery.span()),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.reads.columns = true,
            Expr::Function(function) => self.function(function),
            Expr::Exists { subquery, .. } => self.exists.push(std::ptr::from_ref(subquery)),
            Expr::BinaryOp { left, op, right } if is_null(left) || is_null(right) => {
                use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
                if matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
                    let message = format!("`{op} NULL` is never true and never false");
                    let hint = "write IS NULL or IS NOT NULL";
                    self.reads.null_comparisons.push(Fault { span: expr.span(), message, hint });
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Walk {
    fn wrong(&mut self, span: Span, message: String, hint: &'static str) {
        self.reads.wrong.push(Fault { span, message, hint });
    }

    fn unsteady(&mut self, span: Span, message: String, hint: &'static str) {
        self.reads.unsteady.push(Fault { span, message, hint });
    }

    /// Words behind a table's name that the planner passes over.
    fn ignored(&mut self, factor: &TableFactor, name: &ObjectName) {
        let TableFactor::Table {
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
            ..
        } = factor
        else {
            return;
        };
        if sample.is_some() {
            self.sampled(name.span());
        }
        if version.is_some() {
            self.wrong(
                name.span(),
                format!("a query reads {name} as it is now, not as it was"),
                "leave the version out; `lake sql --version` reads an old one",
            );
        }
        let more = *with_ordinality
            || !(with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty())
            || json_path.is_some();
        if more {
            self.wrong(
                name.span(),
                format!("what stands behind {name} has no effect"),
                "leave it out: a table has no hints, no partitions and no ordinality here",
            );
        }
    }

    /// What the parser takes from other databases, and the planner does not look at.
    fn passed_over(&mut self, span: Span, what: &str) {
        self.wrong(span, format!("{what} has no effect"), "leave it out, or write plain SQL");
    }

    fn pipes(&mut self, query: &Query, span: Span) {
        let mut ordered =
            query.order_by.as_ref().is_some_and(|order_by| orders(order_by, query, &[]));
        for operator in &query.pipe_operators {
            match operator {
                PipeOperator::OrderBy { exprs } => {
                    ordered |= Common::default().tell_apart(exprs, true);
                }
                PipeOperator::Limit { .. } if !ordered => self.unsteady(
                    span,
                    "LIMIT without ORDER BY keeps whichever rows come first".to_owned(),
                    UNSHARED_ORDER,
                ),
                PipeOperator::TableSample { .. } => self.sampled(span),
                _ => {}
            }
        }
    }

    fn sampled(&mut self, span: Span) {
        self.wrong(
            span,
            "TABLESAMPLE is not supported: a sample is left to chance".to_owned(),
            "choose rows by a condition on their key",
        );
    }

    fn function(&mut self, function: &Function) {
        let span = function.name.span();
        let Named::Alone(name) = table_named(&function.name) else { return };
        match &function.over {
            None if ORDERED_AGGREGATES.contains(&name.as_str()) && !self.has_order(function) => {
                let without = without_order(keys_of(function).next().is_some());
                self.unsteady(
                    span,
                    format!("{name} {without} depends on the order in which rows come"),
                    "write the order inside of the parentheses, as in array_agg(x ORDER BY y)",
                );
            }
            Some(window) => self.window(&name, window, span),
            None => {}
        }
        self.reads.functions.entry(name).or_insert(span);
    }

    fn window(&mut self, name: &str, window: &WindowType, span: Span) {
        let (ordered, has_keys, frame) = match window {
            WindowType::WindowSpec(spec) => {
                (self.window_of(spec).1, !spec.order_by.is_empty(), spec.window_frame.as_ref())
            }
            WindowType::NamedWindow(window) => {
                let named = self.windows.get(&folded(window));
                (named.is_some_and(|(_, ordered)| *ordered), false, None)
            }
        };
        let by_order = ORDERED_WINDOWS.contains(&name) || frame.is_some_and(counts_rows);
        if by_order && !ordered {
            let without = without_order(has_keys);
            self.unsteady(
                span,
                format!("{name} over a window {without} depends on the order in which rows come"),
                "add an ORDER BY to the window that no two rows share",
            );
        }
    }

    /// What a window is partitioned by, and whether its rows have an order.
    fn window_of(&self, spec: &WindowSpec) -> (Vec<Expr>, bool) {
        let base = spec.window_name.as_ref().and_then(|name| self.windows.get(&folded(name)));
        let (partition, ordered) = match base {
            Some((partition, ordered)) if spec.partition_by.is_empty() => {
                (partition.clone(), *ordered)
            }
            base => (spec.partition_by.clone(), base.is_some_and(|(_, ordered)| *ordered)),
        };
        let common = self.selects.last().map(|(common, _)| common.clone()).unwrap_or_default();
        let ordered = ordered || common.with(&partition).tell_apart(&spec.order_by, false);
        (partition, ordered)
    }

    /// Whether an aggregate has an order of its own among the rows of a group.
    fn has_order(&self, function: &Function) -> bool {
        let grouped = self.selects.last().map(|(_, grouped)| grouped.clone()).unwrap_or_default();
        keys_of(function).any(|keys| grouped.tell_apart(keys, false))
    }
}

/// The words for an order that there is not.
fn without_order(has_keys: bool) -> &'static str {
    if has_keys { "whose ORDER BY is the same for all its rows" } else { "without ORDER BY" }
}

/// Whether a frame takes some of a partition's rows by their number.
fn counts_rows(frame: &WindowFrame) -> bool {
    let whole = matches!(frame.start_bound, WindowFrameBound::Preceding(None))
        && matches!(frame.end_bound, Some(WindowFrameBound::Following(None)));
    !whole && !matches!(frame.units, WindowFrameUnits::Range)
}

/// The orders that a call has inside of its parentheses and behind them.
fn keys_of(function: &Function) -> impl Iterator<Item = &[OrderByExpr]> {
    let clauses = match &function.args {
        FunctionArguments::List(list) => list.clauses.as_slice(),
        _ => &[],
    };
    let inside = clauses.iter().filter_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) => Some(keys.as_slice()),
        _ => None,
    });
    inside.chain([function.within_group.as_slice()]).filter(|keys| !keys.is_empty())
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Null))
}

#[cfg(test)]
mod tests;
