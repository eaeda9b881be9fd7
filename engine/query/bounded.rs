//! Functions that make a text or a list as long as their arguments say: one record could ask for more
//! memory than there is, which ends the process and not the query.
//!
//! They tell beforehand how much they would make, of one value and of all rows that they are given at
//! once, and fail where there is no room.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::growth::{Growth, Size};
use crate::error::Error;

/// The longest text, in characters, and the longest list that they may make.
pub(super) const LENGTH_MAX: usize = 16 << 20;
/// The functions that replace `DataFusion`'s of the same names.
const FUNCTIONS: &[(&str, Growth)] = &[
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("repeat", Growth::Repeat),
    ("array_repeat", Growth::Copies),
    ("array_resize", Growth::Resize),
    ("replace", Growth::Replace),
    ("array_to_string", Growth::Join),
];

/// The bytes that a function may make at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Room(usize);

impl Room {
    /// A part of the memory of queries, for as many functions at once as there are cores, with as much
    /// for what becomes of the result.
    pub(super) fn of(memory: usize) -> Self {
        const PARTS: usize = 4;
        const LEAST: usize = 8 * LENGTH_MAX;
        let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self((memory / PARTS / n_cores).max(LEAST))
    }

    /// Fails where a function would make more than there is room for.
    pub(super) fn require(self, name: &str, bytes: f64) -> Result<()> {
        #[allow(clippy::cast_precision_loss, reason = "a bound, not a sum")]
        let room = self.0 as f64;
        if bytes <= room {
            return Ok(());
        }
        let message = format!(
            "{name} would make more than {} MiB of the rows it is given at once",
            self.0 >> 20
        );
        Err(too_much(message, "raise `query.memory` (LAKE_QUERY_MEMORY), or make less of each row"))
    }
}

/// Fails where a value would be longer than any may be.
pub(super) fn require_length(name: &str, length: f64) -> Result<()> {
    #[allow(clippy::cast_precision_loss, reason = "it has few bits")]
    if length <= LENGTH_MAX as f64 {
        return Ok(());
    }
    Err(too_long(name))
}

/// The error of a value that would be longer than any may be.
pub(super) fn too_long(name: &str) -> DataFusionError {
    let hint = match name {
        "generate_series" | "range" => {
            "FROM generate_series(…) makes rows, of any number; where the number comes from a column, put a bound into the contract of its table, or leave such rows out"
        }
        _ => {
            "where the length comes from a column, put a bound into the contract of its table, or leave such rows out"
        }
    };
    too_much(format!("{name} makes nothing longer than {LENGTH_MAX}"), hint)
}

fn too_much(message: String, hint: &str) -> DataFusionError {
    DataFusionError::External(Box::new(Error::data(message).hint(hint)))
}

/// The functions, which replace `DataFusion`'s of the same names.
pub(super) fn functions(registry: &dyn FunctionRegistry, room: Room) -> Vec<ScalarUDF> {
    let found = FUNCTIONS.iter().filter_map(|(name, growth)| {
        let inner = registry.udf(name).ok()?;
        Some(ScalarUDF::from(Bounded { inner, growth: growth.clone(), room }))
    });
    let mut found: Vec<ScalarUDF> = found.collect();
    let both = registry
        .udf("regexp_replace")
        .and_then(|replace| Ok((replace, registry.udf("regexp_count")?)));
    if let Ok((inner, count)) = both {
        found.push(ScalarUDF::from(Bounded { inner, growth: Growth::Matches(count), room }));
    }
    found
}

/// A function that makes lists of whole numbers.
pub(super) fn series(inner: Arc<ScalarUDF>, room: Room) -> ScalarUDF {
    ScalarUDF::from(Bounded { inner, growth: Growth::Series, room })
}

/// A function of `DataFusion`'s that fails where it would make too much.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    room: Room,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Size { longest, bytes } = self.growth.size(&args)?;
        require_length(self.name(), longest)?;
        self.room.require(self.name(), bytes)?;
        self.inner.invoke_with_args(args)
    }
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
    fn a_length_beyond_memory_ends_the_query_and_not_the_process() {
        for sql in [
            "SELECT lpad('x', 9223372036854775807, 'y')",
            "SELECT rpad('x', n) FROM (VALUES (1), (4000000000)) AS t(n)",
            "SELECT repeat('long', 9000000)",
            "SELECT array_repeat(1, 9223372036854775807)",
            "SELECT generate_series(1, 400000000)",
            "SELECT array_length(range(n)) FROM (VALUES (1), (4000000000)) AS t(n)",
            "SELECT range(0, -9223372036854775807, -1)",
            "SELECT regexp_replace(repeat('x', 20000), 'x', repeat('y', 20000), 'g')",
            "SELECT replace(repeat('x', 20000), 'x', repeat('y', 20000))",
            "SELECT array_to_string(range(20000), repeat('y', 20000))",
        ] {
            let error = run(sql).unwrap_err();
            // What a query says of constants alone is found while it is planned, with its help apart.
            let has_way_out = error.contains("hint") || error.contains("during planning");
            assert!(error.contains("longer than 16777216") && has_way_out, "{error}");
        }
    }

    #[test]
    fn all_rows_at_once_have_a_bound_too() {
        let rows = "(SELECT value AS n FROM generate_series(1, 4000))";
        for sql in [
            "repeat('x', 1000000 + n)",
            "lpad('x', 1000000 + n, 'y')",
            "generate_series(n, 1000000)",
            "array_repeat(range(1000), n)",
            "array_repeat(array_repeat(n, 1000), 1000)",
            "regexp_replace(repeat('x', n), 'x', repeat('y', 1000), 'g')",
            "replace(repeat('x', n), 'x', repeat('y', 1000))",
        ] {
            let error = run(&format!("SELECT max({sql} IS NULL) FROM {rows}")).unwrap_err();
            assert!(error.contains("MiB of the rows"), "{sql}: {error}");
        }
    }

    #[test]
    fn what_has_room_is_made_as_before() {
        for (sql, expected) in [
            ("lpad('x', 3, 'y')", "yyx"),
            ("repeat('ab', 2)", "abab"),
            ("length(rpad('x', 1000000))", "1000000"),
            ("repeat(NULL, 3) IS NULL", "true"),
            ("array_repeat(7, 2)", "[7, 7]"),
            ("array_repeat([1, 2], 2)", "[[1, 2], [1, 2]]"),
            ("lpad('x', -1) = ''", "true"),
            ("range(3)", "[0, 1, 2]"),
            ("generate_series(5, 1, -2)", "[5, 3, 1]"),
            ("range(1, NULL) IS NULL", "true"),
            ("array_length(range(1000000))", "1000000"),
            ("regexp_replace('a-b-c', '-', '+', 'g')", "a+b+c"),
            ("length(regexp_replace(repeat('ab', 100000), '(a)', '\\1\\1', 'g'))", "300000"),
            (
                "length(regexp_replace(repeat('ab', 1000000), 'x', repeat('y', 1000), 'g'))",
                "2000000",
            ),
            ("replace('a-b', '-', '')", "ab"),
            ("length(replace(repeat('ab', 1000000), 'x', repeat('y', 1000)))", "2000000"),
            ("array_to_string([1, NULL, 3], '-', '?')", "1-?-3"),
            ("array_resize([1], 3, 0)", "[1, 0, 0]"),
        ] {
            assert_eq!(run(&format!("SELECT {sql}")).as_deref(), Ok(expected), "{sql}");
        }
        let many = "SELECT sum(array_length(generate_series(1, n))) FROM (SELECT value AS n FROM generate_series(1, 2000))";
        assert_eq!(run(many).unwrap(), "2001000");
    }
}
