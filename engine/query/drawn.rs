//! A named query that draws random values has one result, however often it is read.
//!
//! `DataFusion` puts a WITH in the place of each of its names, and draws again in each
//! (apache/datafusion#10337). So it may be read once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::parser::Statement;
use sqlparser::ast::{
    Expr, ObjectName, Query, Statement as Sql, Visit, Visitor, visit_expressions, visit_relations,
};

use super::shapes::refusal;

/// Refuses a statement that reads a named query of random values twice.
pub(super) fn require_once(
    state: &SessionState,
    statement: &Statement,
) -> Result<(), DataFusionError> {
    match statement {
        Statement::Statement(sql) if matches!(**sql, Sql::Query(_)) => {
            match sql.visit(&mut Queries { state }) {
                ControlFlow::Break(name) => Err(refusal(
                    &format!(
                        "`{name}` draws random values and is read more than once: each time it \
                         would have others (apache/datafusion#10337)"
                    ),
                    "read it once, or store its rows with a model of hashed keys first",
                    None,
                )),
                ControlFlow::Continue(()) => Ok(()),
            }
        }
        Statement::Explain(explain) => require_once(state, &explain.statement),
        _ => Ok(()),
    }
}

struct Queries<'a> {
    state: &'a SessionState,
}

impl Visitor for Queries<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        let read = reads(query);
        let mut drawn = BTreeSet::new();
        for named in &with.cte_tables {
            let inside = reads(&named.query);
            if draws(self.state, &named.query) || inside.keys().any(|name| drawn.contains(name)) {
                let name = named.alias.name.value.to_lowercase();
                if read.get(&name).is_some_and(|times| *times > 1) {
                    return ControlFlow::Break(named.alias.name.value.clone());
                }
                drawn.insert(name);
            }
        }
        ControlFlow::Continue(())
    }
}

/// How often a query reads each name.
fn reads(query: &Query) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    let _ = visit_relations(query, |relation: &ObjectName| {
        let name = relation.to_string().to_lowercase();
        *times.entry(name).or_insert(0) += 1;
        ControlFlow::<()>::Continue(())
    });
    times
}

/// Whether a query calls a function that gives another value each time.
fn draws(state: &SessionState, query: &Query) -> bool {
    let drawn = visit_expressions(query, |expr: &Expr| {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let name = call.name.to_string().to_lowercase();
        let function = state.scalar_functions().get(&name);
        let draws = function.is_some_and(|f| f.signature().volatility == Volatility::Volatile);
        if draws { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drawn.is_break()
}
