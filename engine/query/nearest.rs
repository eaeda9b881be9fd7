//! A decimal as the double that is nearest to it; arrow's cast rounds twice where it has many digits.

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

/// The name of the function that does it.
pub(super) const NEAREST: &str = "nearest_double";

/// Whole numbers up to it are doubles, so are powers of ten up to the next one: their quotient is
/// rounded once.
const WHOLE_MAX: u128 = 1 << 53;
const POWER_MAX: u8 = 22;

/// Decimals as doubles of `to`.
pub(super) fn nearest(decimals: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    match decimals {
        ColumnarValue::Array(decimals) => Ok(ColumnarValue::Array(of_array(decimals, to)?)),
        ColumnarValue::Scalar(decimal) => {
            let double = of_array(&decimal.to_array()?, to)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&double, 0)?))
        }
    }
}

fn of_array(decimals: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let doubles: Float64Array = match decimals.data_type() {
        DataType::Decimal128(_, scale) => {
            let decimals = decimals.as_primitive::<Decimal128Type>();
            decimals.unary(|units| of_units(units, *scale))
        }
        DataType::Decimal256(_, scale) => {
            let decimals = decimals.as_primitive::<Decimal256Type>();
            decimals.unary(|units| match units.to_i128() {
                Some(units) => of_units(units, *scale),
                None => of_text(&units, *scale),
            })
        }
        _ => return Ok(cast(decimals, to)?),
    };
    // A FLOAT is rounded from the double, as by a cast of one.
    Ok(cast(&doubles, to)?)
}

fn of_units(units: i128, scale: i8) -> f64 {
    match u8::try_from(scale) {
        #[allow(clippy::cast_precision_loss, reason = "it has 53 bits")]
        Ok(places @ ..=POWER_MAX) if units.unsigned_abs() <= WHOLE_MAX => {
            units as f64 / POWERS[usize::from(places)]
        }
        _ => of_text(&units, scale),
    }
}

/// The parser of doubles rounds once, whatever the digits.
fn of_text(units: &impl std::fmt::Display, scale: i8) -> f64 {
    format!("{units}e{}", -i16::from(scale)).parse().unwrap_or(f64::NAN)
}

const POWERS: [f64; POWER_MAX as usize + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_becomes_the_double_of_its_digits() {
        for (units, scale, expected) in [
            (0_i128, 2, 0.0),
            (123, 2, 1.23),
            (-9_007_199_254_740_993, 0, -9_007_199_254_740_992.0),
            (1_234_567_890_123_456_789, 2, 12_345_678_901_234_568.0),
            (99_999_999_999_999_999, 3, 100_000_000_000_000.0),
            (1, 38, 1e-38),
            (i128::MAX, 0, 2_f64.powi(127)),
        ] {
            assert_eq!(of_units(units, scale).to_bits(), f64::to_bits(expected), "{units}");
        }
    }
}
