//! `json_valid(text)`: whether a text is one JSON value, as a JSON column of a contract holds them.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde::de::IgnoredAny;

/// The function.
pub(super) fn json_valid() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
    ScalarUDF::from(JsonValid { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonValid {
    signature: Signature,
}

impl ScalarUDFImpl for JsonValid {
    fn name(&self) -> &'static str {
        "json_valid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = arrays[0].as_string::<i32>();
        let valid: BooleanArray = texts.iter().map(|text| text.map(is_json)).collect();
        Ok(ColumnarValue::Array(Arc::new(valid)))
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_value_is_one_and_half_of_one_is_none() {
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        for text in ["{}", " [1, null] ", "1.5e400", "\"a\"", "null", "{\"a\":{}}", deep.as_str()] {
            assert!(is_json(text), "{text}");
        }
        for text in ["", "{a:1,", "{\"a\":}", "1 2", "'a'", "nul", "[1,]", "{} x"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
