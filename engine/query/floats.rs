//! Casts to FLOAT and DOUBLE end where other casts do: at a number that the type does not hold.
//!
//! Arrow makes infinity of such a number.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::compute::{cast, nullif};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Whether a number of one type may be beyond those of a floating one.
pub(super) fn may_be_beyond(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal256, Float16, Float32, Float64};
    match to {
        Float64 => from.is_string(),
        Float32 => from.is_string() || matches!(from, Float64 | Decimal256(..)),
        Float16 => from.is_string() || from.is_numeric(),
        _ => false,
    }
}

/// The rows whose number became infinity, if any did.
pub(super) fn beyond(from: &ArrayRef, to: &ArrayRef) -> Result<Option<BooleanArray>> {
    let made = cast(to, &DataType::Float64)?;
    let made = made.as_primitive::<Float64Type>();
    if !made.iter().flatten().any(f64::is_infinite) {
        return Ok(None);
    }
    let was_infinite: Vec<bool> = if from.data_type().is_string() {
        // `inf`, `-Infinity`: a number of digits has no such letter.
        let texts = cast(from, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        texts.iter().map(|text| text.is_some_and(|text| text.contains(['n', 'N']))).collect()
    } else {
        let numbers = cast(from, &DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        numbers.iter().map(|number| number.is_some_and(f64::is_infinite)).collect()
    };
    let beyond: BooleanArray = made
        .iter()
        .zip(was_infinite)
        .map(|(made, was)| Some(made.is_some_and(f64::is_infinite) && !was))
        .collect();
    Ok((beyond.true_count() > 0).then_some(beyond))
}

/// Whether a constant becomes infinity by a cast.
pub(super) fn is_beyond(value: &ScalarValue, to: &DataType) -> Result<bool> {
    if !may_be_beyond(&value.data_type(), to) {
        return Ok(false);
    }
    Ok(beyond(&value.to_array()?, &value.cast_to(to)?.to_array()?)?.is_some())
}

/// `TRY_CAST(value AS to)`, which gives NULL for such a number.
pub(super) fn try_cast(value: Expr, to: DataType, name: String) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(TryCast { to, name, signature }).call(vec![value])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TryCast {
    to: DataType,
    /// The name of its column.
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for TryCast {
    fn name(&self) -> &'static str {
        "try_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.name.clone())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = matches!(args.args[0], ColumnarValue::Scalar(_));
        let values = args.args[0].to_array(if is_scalar { 1 } else { args.number_rows })?;
        let mut made = cast(&values, &self.to)?;
        if let Some(beyond) = beyond(&values, &made)? {
            made = nullif(&made, &beyond)?;
        }
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?));
        }
        Ok(ColumnarValue::Array(made))
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
    fn a_number_beyond_a_floating_type_ends_the_query_and_is_null_in_try_cast() {
        let from = "FROM (VALUES (1e39, '1e39', '1e400'), (1.5e0, '1.5', '1.5')) t(x, s, huge)";
        for (value, to) in [
            ("1e39", "FLOAT"),
            ("-1e39", "REAL"),
            ("'1e39'", "FLOAT"),
            ("'1e400'", "DOUBLE"),
            ("x", "FLOAT"),
            ("s", "FLOAT"),
            ("huge", "DOUBLE"),
        ] {
            let error = run(&format!("SELECT CAST({value} AS {to}) {from}")).unwrap_err();
            // Of a constant it is found while the query is planned, with its help apart.
            let has_way_out = error.contains("TRY_CAST") || error.contains("during planning");
            assert!(error.contains("out of its range") && has_way_out, "{error}");
            let tried = run(&format!("SELECT TRY_CAST({value} AS {to}) {from}"));
            let second = if value.contains('1') { "NULL" } else { "1.5" };
            assert_eq!(tried, Ok(format!("NULL, {second}")), "{value}");
        }
        assert!(run("SELECT 1e400").is_err());
    }

    #[test]
    fn infinity_and_what_fits_are_cast_as_before() {
        for (expression, value) in [
            ("CAST(1.5e0 AS FLOAT)", "1.5"),
            ("CAST('inf' AS DOUBLE)", "inf"),
            ("CAST('-Infinity' AS FLOAT)", "-inf"),
            ("CAST(CAST('inf' AS DOUBLE) AS FLOAT)", "inf"),
            ("TRY_CAST('inf' AS DOUBLE)", "inf"),
            ("TRY_CAST('x' AS DOUBLE)", "NULL"),
            ("CAST(3e38 AS FLOAT)", "3e38"),
            ("CAST(1e-60 AS FLOAT)", "0.0"),
        ] {
            assert_eq!(run(&format!("SELECT {expression}")).as_deref(), Ok(value), "{expression}");
        }
    }
}
