//! Functions that make a text or a list as long as a number says: one number could ask for more
//! memory than there is, which ends the process and not the query.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::nodes::refuse;

/// The longest text, in characters, and the longest list that they may make.
const LENGTH_MAX: i64 = 16 << 20;
/// The functions, each with the place of the argument that says how long.
const FUNCTIONS: &[(&str, usize)] =
    &[("lpad", 1), ("rpad", 1), ("repeat", 1), ("array_repeat", 1), ("array_resize", 1)];

/// The functions, which replace `DataFusion`'s of the same names.
pub(super) fn functions(registry: &dyn FunctionRegistry) -> Vec<ScalarUDF> {
    let found = FUNCTIONS.iter().filter_map(|(name, length)| {
        let inner = registry.udf(name).ok()?;
        Some(ScalarUDF::from(Bounded { inner, length: *length }))
    });
    found.collect()
}

/// A function of `DataFusion`'s that fails where it would make too much.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    length: usize,
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
        if let Some(length) = args.args.get(self.length) {
            let length = cast(&length.to_array(1)?, &DataType::Int64)?;
            let most = length.as_primitive::<Int64Type>().iter().flatten().max().unwrap_or(0);
            if most > LENGTH_MAX {
                return refuse!("{} makes nothing longer than {LENGTH_MAX}", self.name());
            }
            self.require_room(&args, most)?;
        }
        self.inner.invoke_with_args(args)
    }
}

impl Bounded {
    /// `repeat` makes so many times a text, which may be long itself.
    fn require_room(&self, args: &ScalarFunctionArgs, most: i64) -> Result<()> {
        let Some(text) = args.args.first().filter(|_| self.name() == "repeat") else {
            return Ok(());
        };
        let text = cast(&text.to_array(1)?, &DataType::Utf8)?;
        let longest = text.as_string::<i32>().iter().flatten().map(str::len).max().unwrap_or(0);
        let longest = i64::try_from(longest).unwrap_or(i64::MAX);
        if longest.saturating_mul(most) > LENGTH_MAX && text.len() > text.null_count() {
            return refuse!("{} makes no text longer than {LENGTH_MAX}", self.name());
        }
        Ok(())
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
        ] {
            let error = run(sql).unwrap_err();
            assert!(error.contains("longer than 16777216"), "{sql}: {error}");
        }
    }

    #[test]
    fn what_has_room_is_made_as_before() {
        assert_eq!(run("SELECT lpad('x', 3, 'y')").unwrap(), "yyx");
        assert_eq!(run("SELECT repeat('ab', 2)").unwrap(), "abab");
        assert_eq!(run("SELECT length(rpad('x', 1000000))").unwrap(), "1000000");
        assert_eq!(run("SELECT repeat(NULL, 3) IS NULL").unwrap(), "true");
        assert_eq!(run("SELECT array_repeat(7, 2)").unwrap(), "[7, 7]");
        assert_eq!(run("SELECT lpad('x', -1) = ''").unwrap(), "true");
    }
}
