//! Functions that give their argument as it is, and hide from the optimizer what it knows of it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::shapes::Result;

/// A value that may be NULL.
pub(super) fn or_null(value: Expr) -> Expr {
    call("or_null", Signature::any(1, Volatility::Immutable), vec![value])
}

/// A value that may differ from row to row: a function of constants counts as one, so that the second
/// argument is a function of nothing.
pub(super) fn varying(value: Expr) -> Expr {
    let anything = call("anything", Signature::nullary(Volatility::Volatile), vec![]);
    call("varying", Signature::any(2, Volatility::Volatile), vec![value, anything])
}

fn call(name: &'static str, signature: Signature, arguments: Vec<Expr>) -> Expr {
    ScalarUDF::from(Opaque { name, signature }).call(arguments)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Opaque {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Opaque {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Boolean))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let nothing = ColumnarValue::Scalar(ScalarValue::Boolean(None));
        Ok(args.args.into_iter().next().unwrap_or(nothing))
    }
}
