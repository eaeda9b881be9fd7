//! Functions of lists that are asked about NULL, which has no type of a list: the answer is NULL.
//!
//! `DataFusion` plans such a call, and fails when it runs.

use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

/// The functions, each with how many of its first arguments are lists.
const FUNCTIONS: &[(&str, usize)] = &[
    ("array_dims", 1),
    ("array_empty", 1),
    ("array_has_all", 2),
    ("array_has_any", 2),
    ("array_length", 1),
    ("array_pop_back", 1),
    ("array_pop_front", 1),
    ("array_position", 1),
    ("array_positions", 1),
    ("array_resize", 1),
    ("array_slice", 1),
    ("array_to_string", 1),
    ("empty", 1),
];

/// The call, or the NULL that it gives.
pub(super) fn answered(call: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    let known = FUNCTIONS.iter().find(|(name, _)| *name == call.func.name());
    let n_lists = known.map_or(0, |(_, n_lists)| *n_lists);
    for list in call.args.iter().take(n_lists) {
        if list.get_type(schema)?.is_null() {
            let data_type = Expr::ScalarFunction(call).get_type(schema)?;
            return Ok(Expr::Literal(ScalarValue::try_new_null(&data_type)?, None));
        }
    }
    Ok(Expr::ScalarFunction(call))
}

#[cfg(test)]
mod tests {
    use super::super::testing::cells;
    use super::super::{Limits, Query};

    fn run(sql: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
        cells(runtime.block_on(query.collect(sql)))
    }

    #[test]
    fn a_function_of_a_list_gives_null_for_null() {
        for call in [
            "array_length(NULL)",
            "array_length(NULL, 1)",
            "list_length(NULL)",
            "array_dims(NULL)",
            "array_empty(NULL)",
            "empty(NULL)",
            "array_has_all([1], NULL)",
            "array_has_any(NULL, NULL)",
            "array_position(NULL, 1)",
            "array_indexof(NULL, 'a')",
            "array_positions(NULL, NULL)",
            "array_pop_back(NULL)",
            "array_resize(NULL, 1)",
            "array_slice(NULL, 1, 1)",
            "array_join(NULL, ',')",
            "cardinality(NULL)",
        ] {
            let is_null = run(&format!("SELECT {call} IS NULL"));
            assert_eq!(is_null.as_deref(), Ok("true"), "{call}");
            let rows = "FROM (VALUES (NULL), (NULL)) t(x)";
            let sql = format!("SELECT {} IS NULL {rows}", call.replacen("NULL", "x", 1));
            assert_eq!(run(&sql).as_deref(), Ok("true, true"), "{sql}");
        }
    }

    #[test]
    fn a_function_of_a_list_gives_what_it_gave_for_lists() {
        for (call, value) in [
            ("array_length([1, 2])", "2"),
            ("array_length([NULL])", "1"),
            ("array_position([NULL, 1], 1)", "2"),
            ("array_to_string(['a', 'b'], ',')", "a,b"),
            ("array_has_all([1, 2], [2])", "true"),
            ("array_slice([1, 2, 3], 2, 3)", "[2, 3]"),
            ("array_append(NULL, 1)", "[1]"),
        ] {
            assert_eq!(run(&format!("SELECT {call}")).as_deref(), Ok(value), "{call}");
        }
    }
}
