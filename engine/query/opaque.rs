//! Functions that give their argument as it is, and hide from the optimizer what it knows of it.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::shapes::Result;

/// A value that may be NULL.
pub(super) fn or_null(value: Expr) -> Expr {
    call("or_null", Volatility::Immutable, value)
}

/// A value that may differ from row to row.
pub(super) fn varying(value: Expr) -> Expr {
    call("varying", Volatility::Volatile, value)
}

fn call(name: &'static str, volatility: Volatility, value: Expr) -> Expr {
    let function = Opaque { name, signature: Signature::any(1, volatility) };
    ScalarUDF::from(function).call(vec![value])
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
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args[0].clone())
    }
}
