//! Quotients of decimals, rounded half away from zero, as `DataFusion` rounds decimals in casts.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, AsArray, Datum, PrimitiveArray,
};
use datafusion::arrow::compute::kernels::numeric::div;
use datafusion::arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Decimal256Type, DecimalType,
};
use datafusion::arrow::error::ArrowError;

/// Divides; arrow's quotient of decimals is cut behind its last digit.
pub(super) fn divided(left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
    let cut = div(left, right)?;
    match cut.data_type() {
        DataType::Decimal128(..) => rounded::<Decimal128Type>(&cut, left, right),
        DataType::Decimal256(..) => rounded::<Decimal256Type>(&cut, left, right),
        _ => Ok(cut),
    }
}

fn scale(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => i32::from(*scale),
        _ => 0,
    }
}

fn rounded<T: DecimalType>(
    cut: &ArrayRef,
    left: &dyn Datum,
    right: &dyn Datum,
) -> Result<ArrayRef, ArrowError> {
    let ((left, one_left), (right, one_right)) = (left.get(), right.get());
    let power = scale(cut.data_type()) - scale(left.data_type()) + scale(right.data_type());
    let ten = T::Native::usize_as(10);
    let (left_by, right_by) = if power >= 0 {
        (ten.pow_checked(power.unsigned_abs())?, T::Native::ONE)
    } else {
        (T::Native::ONE, ten.pow_checked(power.unsigned_abs())?)
    };
    let (lefts, rights) = (left.as_primitive::<T>(), right.as_primitive::<T>());
    let cut = cut.as_primitive::<T>();
    let values = (0..cut.len()).map(|row| {
        if cut.is_null(row) {
            return None;
        }
        // Neither overflows, since the kernel has computed both.
        let dividend = lefts.value(if one_left { 0 } else { row }).mul_wrapping(left_by);
        let divisor = rights.value(if one_right { 0 } else { row }).mul_wrapping(right_by);
        Some(to_nearest::<T>(cut.value(row), dividend, divisor))
    });
    let values: PrimitiveArray<T> = values.collect();
    Ok(Arc::new(values.with_data_type(cut.data_type().clone())))
}

/// The quotient that was cut, or the next one away from zero, if the rest is at least half a divisor.
fn to_nearest<T: DecimalType>(
    cut: T::Native,
    dividend: T::Native,
    divisor: T::Native,
) -> T::Native {
    let zero = T::Native::ZERO;
    let below_zero = |n: T::Native| if n.is_lt(zero) { n } else { n.neg_wrapping() };
    let (rest, whole) = (below_zero(dividend.mod_wrapping(divisor)), below_zero(divisor));
    if rest.is_zero() || rest.is_gt(whole.sub_wrapping(rest)) {
        return cut;
    }
    let one = T::Native::ONE;
    if dividend.is_lt(zero) == divisor.is_lt(zero) {
        cut.add_wrapping(one)
    } else {
        cut.sub_wrapping(one)
    }
}
