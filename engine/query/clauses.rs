//! Clauses that `DataFusion` 55.2 reads wrongly, or passes over, before they are planned.
//!
//! Promise: a clause has the effect that the engine has where it comes from, or is refused. `OVER (w …)`
//! has the partitions and the order of `w`; `WITH ROLLUP` and `WITH CUBE` are grouping sets;
//! `SIMILAR TO` compares the whole text (`similar`). What has no effect is a mistake.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::common::{Result, Span};
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use sqlparser::ast::{
    Expr, GroupByExpr, GroupByWithModifier, Ident, NamedWindowDefinition, NamedWindowExpr, Query,
    Select, SetExpr, VisitMut, VisitorMut, WindowSpec, WindowType,
};

use super::shapes::refusal;
use super::similar;
use crate::contract::{Reads, folded};

/// Rewrites what can be said otherwise, and refuses what has no effect.
///
/// # Errors
/// A clause has no effect, or none that is known.
pub(super) fn settled(statement: &mut Statement) -> Result<()> {
    match statement {
        Statement::Statement(sql) => {
            if let Some(fault) = Reads::of(sql.as_ref()).wrong.first() {
                let place = Span::try_from_sqlparser_span(fault.span);
                return Err(refusal(&fault.message, fault.hint, place));
            }
            settled_in(sql.as_mut())
        }
        Statement::Explain(explain) => settled(&mut explain.statement),
        _ => Ok(()),
    }
}

/// Rewrites a part of a statement.
///
/// # Errors
/// As [`settled`].
pub(super) fn settled_in(sql: &mut impl VisitMut) -> Result<()> {
    match sql.visit(&mut Clauses::default()) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The named windows of a SELECT, which begin with no other one.
type Windows = BTreeMap<String, WindowSpec>;

#[derive(Default)]
struct Clauses {
    /// Of the SELECTs around the place that is looked at, the innermost last.
    windows: Vec<Windows>,
}

impl VisitorMut for Clauses {
    type Break = DataFusionError;

    /// The order of a query names windows of its SELECT, which is visited by itself.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        let windows = match query.body.as_mut() {
            SetExpr::Select(select) => windows(select),
            _ => Ok(Windows::new()),
        };
        self.enter(windows)
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<DataFusionError> {
        self.windows.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        if let Err(error) = grouped(select) {
            return ControlFlow::Break(error);
        }
        self.enter(windows(select))
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<DataFusionError> {
        self.windows.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        let done = match expr {
            Expr::Function(function) => match &mut function.over {
                Some(WindowType::WindowSpec(spec)) => {
                    let none = Windows::new();
                    inherit(spec, self.windows.last().unwrap_or(&none))
                }
                _ => Ok(()),
            },
            Expr::SimilarTo { .. } => similar::as_regex(expr),
            _ => Ok(()),
        };
        done.map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

impl Clauses {
    fn enter(&mut self, windows: Result<Windows>) -> ControlFlow<DataFusionError> {
        match windows {
            Ok(windows) => {
                self.windows.push(windows);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// The windows that a SELECT names, after each was made whole.
fn windows(select: &mut Select) -> Result<Windows> {
    let mut windows = Windows::new();
    for NamedWindowDefinition(name, definition) in &mut select.named_window {
        let spec = match definition {
            NamedWindowExpr::WindowSpec(spec) => {
                inherit(spec, &windows)?;
                spec.clone()
            }
            NamedWindowExpr::NamedWindow(other) => named(other, &windows)?.clone(),
        };
        windows.insert(folded(name), spec);
    }
    Ok(windows)
}

fn named<'a>(name: &Ident, windows: &'a Windows) -> Result<&'a WindowSpec> {
    windows.get(&folded(name)).ok_or_else(|| {
        let known = windows.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let help = if known.is_empty() {
            "name it behind the conditions, as in WINDOW w AS (PARTITION BY a ORDER BY b)"
                .to_owned()
        } else {
            format!("the windows that stand before it are {known}")
        };
        let place = Span::try_from_sqlparser_span(name.span);
        refusal(&format!("there is no window `{}`", name.value), &help, place)
    })
}

/// Gives a window what the one has that it begins with, as the SQL standard has it.
fn inherit(spec: &mut WindowSpec, windows: &Windows) -> Result<()> {
    let Some(name) = &spec.window_name else { return Ok(()) };
    let base = named(name, windows)?;
    let what = if !spec.partition_by.is_empty() {
        Some("PARTITION BY is that of the window that it begins with")
    } else if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        Some("the window that it begins with has an ORDER BY already")
    } else if base.window_frame.is_some() {
        Some("a window with a frame is taken as it is")
    } else {
        None
    };
    if let Some(what) = what {
        let place = Span::try_from_sqlparser_span(name.span);
        let message = format!("`({} …)` cannot be: {what}", name.value);
        let help =
            format!("write OVER {0} for the window `{0}` itself, or the whole one", name.value);
        return Err(refusal(&message, &help, place));
    }
    spec.partition_by.clone_from(&base.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    spec.window_name = None;
    Ok(())
}

/// Writes `WITH ROLLUP` and `WITH CUBE` as the grouping sets that they mean.
fn grouped(select: &mut Select) -> Result<()> {
    let place = Span::try_from_sqlparser_span(select.select_token.0.span);
    let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) =
        &mut select.group_by;
    let sets: fn(Vec<Vec<Expr>>) -> Expr = match modifiers.as_slice() {
        [] => return Ok(()),
        [GroupByWithModifier::Rollup] => Expr::Rollup,
        [GroupByWithModifier::Cube] => Expr::Cube,
        _ => {
            return Err(refusal(
                "WITH TOTALS and more than one WITH have no effect behind GROUP BY",
                "write GROUP BY GROUPING SETS ((a, b), ()) for a row of totals",
                place,
            ));
        }
    };
    let GroupByExpr::Expressions(keys, modifiers) = &mut select.group_by else {
        return Err(refusal(
            "GROUP BY ALL WITH … is not supported",
            "name the columns, as in GROUP BY ROLLUP (a, b)",
            place,
        ));
    };
    modifiers.clear();
    let keys = std::mem::take(keys).into_iter().map(|key| vec![key]).collect();
    select.group_by = GroupByExpr::Expressions(vec![sets(keys)], Vec::new());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::cells;
    use super::super::{Limits, Query};

    /// Two groups of two rows: `g`, `id`, `n`.
    const ROWS: &str =
        "(VALUES ('a', 1, 1), ('a', 2, 2), ('b', 3, 4), ('b', 4, 8)) AS t (g, id, n)";

    fn run(sql: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
        cells(runtime.block_on(query.collect(&sql.replace("ROWS_OF_TEST", ROWS))))
    }

    #[test]
    fn a_window_that_begins_with_another_one_has_its_partitions_and_its_order() {
        for query in [
            "sum(n) OVER w FROM ROWS_OF_TEST WINDOW w AS (PARTITION BY g ORDER BY id)",
            "sum(n) OVER (w) FROM ROWS_OF_TEST WINDOW w AS (PARTITION BY g ORDER BY id)",
            "sum(n) OVER (w ORDER BY id) FROM ROWS_OF_TEST WINDOW w AS (PARTITION BY g)",
            "sum(n) OVER (W ROWS UNBOUNDED PRECEDING) FROM ROWS_OF_TEST
                WINDOW w AS (PARTITION BY g ORDER BY id)",
            "sum(n) OVER x FROM ROWS_OF_TEST WINDOW w AS (PARTITION BY g), x AS (w ORDER BY id)",
            "sum(n) OVER (x) FROM ROWS_OF_TEST WINDOW w AS (PARTITION BY g ORDER BY id), x AS w",
        ] {
            let sql = format!("SELECT id, {query} ORDER BY id");
            assert_eq!(run(&sql).as_deref(), Ok("1 1, 2 3, 3 4, 4 12"), "{query}");
        }
        let ordered = "SELECT id FROM ROWS_OF_TEST WINDOW w AS (PARTITION BY g)
            ORDER BY sum(n) OVER (w ORDER BY id DESC), id";
        assert_eq!(run(ordered).as_deref(), Ok("2, 1, 4, 3"));
        // Each SELECT has windows of its own.
        let inner = "SELECT sum(s) OVER (w) FROM (SELECT sum(n) OVER (w) AS s FROM ROWS_OF_TEST
            WINDOW w AS (PARTITION BY g)) WINDOW w AS () LIMIT 1";
        assert_eq!(run(inner).as_deref(), Ok("30"));
    }

    #[test]
    fn a_window_that_cannot_be_made_whole_is_refused() {
        for (query, what) in [
            ("sum(n) OVER (v) FROM ROWS_OF_TEST WINDOW w AS (ORDER BY id)", "no window `v`"),
            ("sum(n) OVER (v) FROM ROWS_OF_TEST", "no window `v`"),
            (
                "sum(n) OVER (w ORDER BY n) FROM ROWS_OF_TEST WINDOW w AS (ORDER BY id)",
                "an ORDER BY already",
            ),
            (
                "sum(n) OVER (w PARTITION BY g) FROM ROWS_OF_TEST WINDOW w AS (ORDER BY id)",
                "PARTITION BY is that of",
            ),
            (
                "sum(n) OVER (w) FROM ROWS_OF_TEST WINDOW w AS (ORDER BY id ROWS 1 PRECEDING)",
                "with a frame",
            ),
        ] {
            let refused = run(&format!("SELECT {query}")).unwrap_err();
            assert!(refused.contains(what), "{query}: {refused}");
        }
    }

    #[test]
    fn with_rollup_and_with_cube_are_grouping_sets() {
        for (query, wanted) in [
            ("g, sum(n) FROM ROWS_OF_TEST GROUP BY g WITH ROLLUP", "a 3, b 12, NULL 15"),
            ("g, sum(n) FROM ROWS_OF_TEST GROUP BY ROLLUP (g)", "a 3, b 12, NULL 15"),
            (
                "g, n > 2, count(*) FROM ROWS_OF_TEST GROUP BY g, n > 2 WITH CUBE",
                "a false 2, a NULL 2, b true 2, b NULL 2, NULL false 2, NULL true 2, NULL NULL 4",
            ),
        ] {
            let order = if query.contains("n > 2") { "1, 2" } else { "1" };
            let order = order.replace(',', " NULLS LAST,");
            let sql = format!("SELECT {query} ORDER BY {order} NULLS LAST");
            assert_eq!(run(&sql).as_deref(), Ok(wanted), "{query}");
        }
        let totals = run("SELECT g, sum(n) FROM ROWS_OF_TEST GROUP BY g WITH TOTALS");
        assert!(totals.is_err_and(|refused| refused.contains("WITH TOTALS")));
    }

    #[test]
    fn a_clause_without_effect_is_refused() {
        for query in [
            "count(*) FROM ROWS_OF_TEST PREWHERE id > 2",
            "count(*) FROM a.b TABLESAMPLE BERNOULLI (0)",
            "count(*) FROM a.b PARTITION (p0)",
            "count(*) FROM ROWS_OF_TEST START WITH id = 1 CONNECT BY PRIOR id = 7",
            "n FROM ROWS_OF_TEST FOR UPDATE",
            "n FROM ROWS_OF_TEST SETTINGS max_threads = 1",
            "* ILIKE 'g%' FROM ROWS_OF_TEST",
        ] {
            let refused = run(&format!("SELECT {query}")).unwrap_err();
            let is_told = refused.contains("no effect") || refused.contains("TABLESAMPLE");
            assert!(is_told, "{query}: {refused}");
        }
        for query in ["* EXCLUDE (n) FROM ROWS_OF_TEST WHERE id = 1", "'a', 1"] {
            assert_eq!(run(&format!("SELECT {query}")).as_deref(), Ok("a 1"), "{query}");
        }
    }
}
