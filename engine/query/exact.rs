//! Whole numbers as doubles, where a comparison or a choice between both needs them: exact, or an error.
//!
//! A double has 53 bits: beyond 9007199254740992 not every whole number is one, and what is rounded
//! would equal its neighbours.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

use super::written::written;
use crate::error::Error;

/// A BIGINT as a double of the same value.
pub(super) fn exact(number: Expr) -> Expr {
    if let Expr::Literal(ScalarValue::Int64(Some(whole)), _) = &number
        && let Some(double) = exact_double(*whole)
    {
        return lit(double);
    }
    let function = ScalarUDF::from(Exact {
        written: written(&number),
        signature: Signature::any(1, Volatility::Immutable),
    });
    function.call(vec![number])
}

/// The double of the same value, if there is one.
fn exact_double(whole: i64) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "it is compared with what it was")]
    let double = whole as f64;
    #[allow(clippy::cast_possible_truncation, reason = "a double made of 64 bits")]
    let back = double as i128;
    (back == i128::from(whole)).then_some(double)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    /// The text that its error shows.
    written: String,
    signature: Signature,
}

impl ScalarUDFImpl for Exact {
    fn name(&self) -> &'static str {
        "checked_double"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Float64, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Array(numbers) => {
                Ok(ColumnarValue::Array(Arc::new(self.doubles(numbers)?)))
            }
            ColumnarValue::Scalar(number) => {
                let double = self.doubles(&number.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&double, 0)?))
            }
        }
    }
}

impl Exact {
    fn doubles(&self, numbers: &dyn Array) -> Result<Float64Array> {
        let doubles = cast(numbers, &DataType::Float64)?.as_primitive::<Float64Type>().clone();
        let is_exact = |row: usize| {
            #[allow(clippy::cast_possible_truncation, reason = "a double made of 64 bits")]
            let back = doubles.value(row) as i128;
            match numbers.as_primitive_opt::<Int64Type>() {
                Some(numbers) => i128::from(numbers.value(row)) == back,
                None => numbers
                    .as_primitive_opt::<UInt64Type>()
                    .is_none_or(|numbers| i128::from(numbers.value(row)) == back),
            }
        };
        if (0..numbers.len()).all(|row| numbers.is_null(row) || is_exact(row)) {
            return Ok(doubles);
        }
        Err(self.rounds())
    }

    fn rounds(&self) -> DataFusionError {
        let message = format!(
            "`{}` meets doubles, and is beyond 9007199254740992, where doubles are rounded",
            self.written
        );
        let hint = "make both of one type: CAST(… AS DECIMAL(38, 6)) of the double keeps all digits of the integer, CAST(… AS DOUBLE) of the integer rounds it";
        DataFusionError::External(Box::new(Error::data(message).hint(hint)))
    }
}
