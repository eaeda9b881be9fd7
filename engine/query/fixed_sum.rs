//! Sums of doubles without rounding, from which a value can be taken out again without a rest.
//!
//! A double is a whole number of 2^-1074, and has 2098 bits as one. A sum is such a number, in digits
//! of 32 bits, so that what was added and taken out leaves nothing behind; it is rounded when asked for.

/// Digits of 32 bits: those of the greatest double, and room for 2^31 such values and the sign.
const N_DIGITS: usize = 68;
/// After so many values the digits are brought back into 32 bits.
const VALUES_MAX: u32 = 1 << 30;
const DIGIT_BITS: usize = 32;
const DIGIT: i64 = 0xffff_ffff;

/// The sum of the values that are in.
#[derive(Clone, Debug)]
pub(super) struct FixedSum {
    digits: Box<[i64; N_DIGITS]>,
    /// Values since the digits had 32 bits.
    n_loose: u32,
    n_nan: i64,
    n_above: i64,
    n_below: i64,
}

impl Default for FixedSum {
    fn default() -> Self {
        let digits = Box::new([0; N_DIGITS]);
        Self { digits, n_loose: 0, n_nan: 0, n_above: 0, n_below: 0 }
    }
}

impl FixedSum {
    /// Adds a value.
    pub(super) fn add(&mut self, value: f64) {
        self.put(value, 1);
    }

    /// Takes out a value that was added.
    pub(super) fn remove(&mut self, value: f64) {
        self.put(value, -1);
    }

    fn put(&mut self, value: f64, times: i64) {
        if value.is_nan() {
            self.n_nan += times;
        } else if value == f64::INFINITY {
            self.n_above += times;
        } else if value == f64::NEG_INFINITY {
            self.n_below += times;
        } else {
            self.put_finite(value, if value.is_sign_negative() { -times } else { times });
        }
    }

    fn put_finite(&mut self, value: f64, times: i64) {
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let exponent = usize::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        let (whole, shift) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | (1 << 52), exponent - 1),
        };
        let mut rest = u128::from(whole) << (shift % DIGIT_BITS);
        for digit in &mut self.digits[shift / DIGIT_BITS..shift / DIGIT_BITS + 3] {
            *digit += times * i64::from(low(rest));
            rest >>= DIGIT_BITS;
        }
        self.n_loose += 1;
        if self.n_loose == VALUES_MAX {
            carry(&mut self.digits);
            self.n_loose = 0;
        }
    }

    /// The double next to the sum; of two, the even one.
    pub(super) fn value(&self) -> f64 {
        if self.n_nan > 0 || (self.n_above > 0 && self.n_below > 0) {
            return f64::NAN;
        }
        if self.n_above > 0 || self.n_below > 0 {
            return if self.n_above > 0 { f64::INFINITY } else { f64::NEG_INFINITY };
        }
        let mut digits = *self.digits;
        carry(&mut digits);
        if digits[N_DIGITS - 1] >= 0 {
            return rounded(&digits);
        }
        for digit in &mut digits {
            *digit = -*digit;
        }
        carry(&mut digits);
        -rounded(&digits)
    }
}

fn low(number: u128) -> u32 {
    u32::try_from(number & u128::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// Brings all digits but the last into 32 bits; the last one keeps the sign.
fn carry(digits: &mut [i64; N_DIGITS]) {
    let mut over = 0;
    for digit in &mut digits[..N_DIGITS - 1] {
        let all = *digit + over;
        over = all >> DIGIT_BITS;
        *digit = all & DIGIT;
    }
    digits[N_DIGITS - 1] += over;
}

/// The double next to a number that is not negative, in units of 2^-1074.
fn rounded(digits: &[i64; N_DIGITS]) -> f64 {
    let Some(top) = digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
    let base = top.saturating_sub(2);
    let leading = digits[base..=top].iter().rev();
    let leading =
        leading.fold(0_u128, |sum, digit| (sum << DIGIT_BITS) | u128::from(digit.unsigned_abs()));
    let below = digits[..base].iter().any(|digit| *digit != 0);
    let bits = 128 - leading.leading_zeros() as usize;
    if base == 0 && bits <= 53 {
        // The bits of small doubles are their number of units.
        return f64::from_bits(u64::try_from(leading).unwrap_or(u64::MAX));
    }
    let drop = bits - 53;
    let kept = u64::try_from(leading >> drop).unwrap_or(u64::MAX);
    let (rest, half) = match drop {
        0 => (0, 1),
        _ => (leading & ((1 << drop) - 1), 1 << (drop - 1)),
    };
    let up = rest > half || (rest == half && (below || kept % 2 == 1));
    let exponent = (base * DIGIT_BITS + drop) as u64;
    if exponent > 2045 {
        return f64::INFINITY;
    }
    // A carry out of the fraction is one more in the exponent, up to infinity.
    f64::from_bits((exponent << 52) + kept + u64::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = FixedSum::default();
        for value in values {
            sum.add(*value);
        }
        sum.value()
    }

    #[test]
    fn one_value_is_its_own_sum() {
        let ends = [f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX, f64::MIN, -0.1, 1e16, 3e-310];
        for value in ends.into_iter().chain((0..2046).map(|n| f64::from_bits((n << 52) | 0xabc))) {
            assert_eq!(sum(&[value]).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn a_sum_is_rounded_once_to_the_even_neighbour() {
        let is = |values: &[f64], expected: f64| {
            assert_eq!(sum(values).to_bits(), expected.to_bits(), "{values:?}");
        };
        is(&[0.1, 0.2], 0.1 + 0.2);
        is(&[1e16, 1.0], 1e16);
        is(&[1e16, 1.0, 1.0], 1e16 + 2.0);
        is(&[1e16, 2.0, 1.0], 1e16 + 4.0);
        is(&[1e16, 1.0, 1e-300], 1e16 + 2.0);
        is(&[1e16, 1.0, -1e16], 1.0);
        is(&[-1e16, -1.0, 1e16], -1.0);
        is(&[f64::MAX, f64::MAX], f64::INFINITY);
        is(&[f64::MAX, f64::MAX, -f64::MAX], f64::MAX);
        is(&[1.0, -1.0], 0.0);
    }

    #[test]
    fn what_is_taken_out_leaves_no_rest() {
        let mut sum = FixedSum::default();
        for value in [1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e16, 0.1] {
            sum.add(value);
        }
        assert!(sum.value().is_nan());
        sum.remove(f64::NAN);
        assert!(sum.value().is_nan());
        sum.remove(f64::INFINITY);
        assert_eq!(sum.value().to_bits(), f64::NEG_INFINITY.to_bits());
        sum.remove(f64::NEG_INFINITY);
        sum.remove(1e300);
        sum.remove(-1e16);
        assert_eq!(sum.value().to_bits(), 0.1_f64.to_bits());
    }
}
