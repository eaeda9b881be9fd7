//! What a piece of SQL reads and calls, and what in it no table may depend on.
//!
//! A stored result must follow from its inputs alone: not from the clock, not from chance, not from
//! the order in which rows arrived. What can be seen of that in the SQL itself is found here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Distinct, Expr, Function, FunctionArgumentClause, FunctionArguments,
    LimitClause, NamedWindowExpr, ObjectName, PipeOperator, Query, Select, SelectItem, SetExpr,
    Spanned, TableFactor, Value, Visit, Visitor, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowSpec, WindowType,
};
use sqlparser::tokenizer::Span;

use super::TableName;
use super::names::{Named, folded, table_named};
use super::orders::{orders, tell_rows_apart};
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
    /// Named windows that have an order, of all SELECTs.
    ordered_windows: BTreeSet<String>,
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
        if query.order_by.as_ref().is_some_and(orders) {
            return ControlFlow::Continue(());
        }
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
                "LIMIT without ORDER BY keeps whichever rows come first".to_owned(),
                UNSHARED_ORDER,
            );
        }
        if let SetExpr::Select(select) = query.body.as_ref()
            && matches!(select.distinct, Some(Distinct::On(_)))
        {
            self.unsteady(
                span,
                "DISTINCT ON without ORDER BY keeps whichever rows come first".to_owned(),
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
        for definition in &select.named_window {
            let ordered = match &definition.1 {
                NamedWindowExpr::WindowSpec(spec) => self.is_ordered(spec),
                NamedWindowExpr::NamedWindow(other) => {
                    self.ordered_windows.contains(&folded(other))
                }
            };
            if ordered {
                self.ordered_windows.insert(folded(&definition.0));
            }
        }
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
        let mut ordered = query.order_by.as_ref().is_some_and(orders);
        for operator in &query.pipe_operators {
            match operator {
                PipeOperator::OrderBy { exprs } => ordered |= tell_rows_apart(exprs, true),
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
            None if ORDERED_AGGREGATES.contains(&name.as_str()) && !has_order(function) => {
                self.unsteady(
                    span,
                    format!("{name} without ORDER BY depends on the order in which rows come"),
                    "write the order inside of the parentheses, as in array_agg(x ORDER BY y)",
                );
            }
            Some(window) => self.window(&name, window, span),
            None => {}
        }
        self.reads.functions.entry(name).or_insert(span);
    }

    fn window(&mut self, name: &str, window: &WindowType, span: Span) {
        let (ordered, frame) = match window {
            WindowType::WindowSpec(spec) => (self.is_ordered(spec), spec.window_frame.as_ref()),
            WindowType::NamedWindow(window) => {
                (self.ordered_windows.contains(&folded(window)), None)
            }
        };
        let by_order = ORDERED_WINDOWS.contains(&name) || frame.is_some_and(counts_rows);
        if by_order && !ordered {
            self.unsteady(
                span,
                format!(
                    "{name} over a window without ORDER BY depends on the order in which rows come"
                ),
                "add an ORDER BY to the window that no two rows share",
            );
        }
    }

    fn is_ordered(&self, spec: &WindowSpec) -> bool {
        let base = spec.window_name.as_ref();
        tell_rows_apart(&spec.order_by, false)
            || base.is_some_and(|name| self.ordered_windows.contains(&folded(name)))
    }
}

/// Whether a frame takes some of a partition's rows by their number.
fn counts_rows(frame: &WindowFrame) -> bool {
    let whole = matches!(frame.start_bound, WindowFrameBound::Preceding(None))
        && matches!(frame.end_bound, Some(WindowFrameBound::Following(None)));
    !whole && !matches!(frame.units, WindowFrameUnits::Range)
}

fn has_order(function: &Function) -> bool {
    let inside = match &function.args {
        FunctionArguments::List(list) => {
            list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(keys) if tell_rows_apart(keys, false)))
        }
        _ => false,
    };
    inside || tell_rows_apart(&function.within_group, false)
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(sql: &str) -> Reads {
        Reads::of(&syntax::parse(sql, |parser| parser.parse_statements()).unwrap())
    }

    #[test]
    fn tables_are_found_wherever_they_stand() {
        let sql = "WITH c AS (SELECT * FROM a.one), d AS (SELECT * FROM c)
            SELECT (SELECT max(x) FROM \"a\".\"two\"), y FROM d, LATERAL (SELECT 1 FROM A.Three) l
            JOIN lake.a.four ON EXISTS (SELECT 1 FROM a.five WHERE z IN (SELECT q FROM a.six))
            UNION ALL (SELECT 1, 2 FROM (a.seven JOIN a.eight USING (k)) ORDER BY (SELECT max(n) FROM a.nine))";
        let found: Vec<String> = reads(sql).tables.keys().map(|name| name.table.clone()).collect();
        assert_eq!(found, ["eight", "five", "four", "nine", "one", "seven", "six", "three", "two"]);
    }

    #[test]
    fn a_cte_hides_a_table_of_one_word_and_no_other() {
        let found =
            reads("WITH orders AS (SELECT 1 AS a) SELECT a FROM ORDERS, bronze.orders, others");
        assert_eq!(found.tables.len(), 1);
        assert_eq!(found.alone.keys().collect::<Vec<_>>(), ["others"]);
        assert!(reads("SELECT * FROM generate_series(1, 3)").alone.is_empty());
    }

    #[test]
    fn what_depends_on_the_order_of_rows_is_found() {
        for sql in [
            "SELECT a FROM s.t LIMIT 1",
            "SELECT a FROM s.t OFFSET 3",
            "SELECT a FROM s.t FETCH FIRST 1 ROW ONLY",
            "SELECT (SELECT a FROM s.t LIMIT 1)",
            "SELECT DISTINCT ON (a) a, b FROM s.t",
            "SELECT row_number() OVER () FROM s.t",
            "SELECT lag(a) OVER (PARTITION BY b) FROM s.t",
            "SELECT sum(a) OVER (ROWS 1 PRECEDING) FROM s.t",
            "SELECT row_number() OVER w FROM s.t WINDOW w AS (PARTITION BY a)",
            "SELECT array_agg(a) FROM s.t",
            "SELECT STRING_AGG(DISTINCT a, ',') FROM s.t",
            "SELECT first_value(a) FROM s.t GROUP BY b",
            "SELECT a FROM s.t |> WHERE a > 1 |> LIMIT 3",
            "SELECT row_number() OVER (ORDER BY 'x') FROM s.t",
            "SELECT row_number() OVER (PARTITION BY b ORDER BY 1) FROM s.t",
            "SELECT lag(a) OVER (ORDER BY NULL, lower('X') DESC) FROM s.t",
            "SELECT ntile(2) OVER (ORDER BY 1 + 1) FROM s.t",
            "SELECT row_number() OVER (ORDER BY (SELECT 1)) FROM s.t",
            "SELECT row_number() OVER w FROM s.t WINDOW w AS (ORDER BY true)",
            "SELECT first_value(a ORDER BY 1) FROM s.t",
            "SELECT array_agg(a ORDER BY DATE '2026-01-01') FROM s.t",
            "SELECT a FROM s.t ORDER BY 'x' LIMIT 1",
            "SELECT DISTINCT ON (a) a, b FROM s.t ORDER BY NULL",
            "SELECT a FROM s.t |> ORDER BY 'x' |> LIMIT 3",
        ] {
            assert_eq!(reads(sql).unsteady.len(), 1, "{sql}");
        }
    }

    #[test]
    fn what_depends_on_rows_alone_is_left_in_peace() {
        for sql in [
            "SELECT a FROM s.t ORDER BY a LIMIT 1",
            "SELECT a FROM s.t WHERE EXISTS (SELECT 1 FROM s.u WHERE u.a = t.a LIMIT 1)",
            "SELECT DISTINCT ON (a) a, b FROM s.t ORDER BY a, b",
            "SELECT row_number() OVER (ORDER BY a), rank() OVER (PARTITION BY b) FROM s.t",
            "SELECT sum(a) OVER (), count(*) OVER (PARTITION BY b) FROM s.t",
            "SELECT sum(a) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM s.t",
            "SELECT lead(a) OVER w FROM s.t WINDOW w AS (PARTITION BY a ORDER BY b)",
            "SELECT a FROM s.t |> ORDER BY a |> LIMIT 3",
            "SELECT a FROM s.t ORDER BY 1 LIMIT 3",
            "SELECT a FROM s.t ORDER BY ALL LIMIT 3",
            "SELECT b FROM s.t GROUP BY b ORDER BY count(*) LIMIT 3",
            "SELECT row_number() OVER (ORDER BY 'x', lower(a)) FROM s.t",
            "SELECT row_number() OVER (ORDER BY -t.a), lag(a) OVER (ORDER BY CASE WHEN b THEN 1 END) FROM s.t",
            "SELECT row_number() OVER (ORDER BY row_number() OVER (ORDER BY a)) FROM s.t",
            "SELECT lead(a) OVER (w ROWS 1 PRECEDING) FROM s.t WINDOW w AS (ORDER BY b)",
            "SELECT array_agg(a ORDER BY b), first_value(a ORDER BY a) FILTER (WHERE b > 1) FROM s.t",
        ] {
            assert!(reads(sql).unsteady.is_empty(), "{sql}: {:?}", reads(sql).unsteady);
        }
    }

    #[test]
    fn words_that_the_planner_passes_over_are_wrong() {
        for sql in [
            "SELECT a FROM s.t TABLESAMPLE BERNOULLI (10)",
            "SELECT a FROM (SELECT a FROM s.t) TABLESAMPLE (10 PERCENT)",
            "SELECT a FROM s.t PARTITION (p)",
            "SELECT a FROM s.t WITH ORDINALITY",
            "SELECT a FROM s.t FOR UPDATE",
            "SELECT a FROM s.t PREWHERE a > 1",
            "SELECT a FROM s.t DISTRIBUTE BY a",
            "SELECT a FROM x.s.t",
        ] {
            assert_eq!(reads(sql).wrong.len(), 1, "{sql}: {:?}", reads(sql).wrong);
        }
        assert!(reads("SELECT a FROM s.t AS t (b) JOIN s.u USING (c)").wrong.is_empty());
    }
}
