//! Sums of doubles without rounding, whatever their order, from which a value can be taken out again.
//!
//! A double is a whole number of 2^-1074, and has 2098 bits as one. A sum is such a number, in digits
//! of 32 bits from the least one that its values needed to the greatest: what was added and taken out
//! leaves nothing behind, no order of values counts, and it is rounded when asked for.

/// After so many values the digits are brought back into 32 bits.
const VALUES_MAX: u32 = 1 << 29;
const DIGIT_BITS: usize = 32;
const DIGIT: i64 = 0xffff_ffff;
/// Digits that a value has part in, and one above for what is carried out of them.
const DIGITS_OF_VALUE: usize = 4;

/// The sum of the values that are in.
#[derive(Clone, Debug, Default)]
pub(super) struct FixedSum {
    /// What the first digit counts: units of 2^(32 `base` - 1074).
    base: usize,
    /// The last digit has the sign, and room for carries only.
    digits: Vec<i64>,
    /// Values since the digits had 32 bits.
    n_loose: u32,
    n_nan: i64,
    n_above: i64,
    n_below: i64,
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
        } else if value != 0.0 {
            self.put_finite(value, if value.is_sign_negative() { -times } else { times });
        }
    }

    fn put_finite(&mut self, value: f64, times: i64) {
        let (whole, shift) = whole(value);
        self.put_units(whole, shift, times);
        self.has_one_more();
    }

    /// Adds the product of two finite values, or with `times` = -1 takes it out. Products are counted
    /// in units of 2^-2148, so a sum has either values or products.
    pub(super) fn put_product(&mut self, a: f64, b: f64, times: i64) {
        const HALF: usize = 64;
        let ((of_a, shift_a), (of_b, shift_b)) = (whole(a), whole(b));
        let product = u128::from(of_a) * u128::from(of_b);
        if product == 0 {
            return;
        }
        let times = if a.is_sign_negative() == b.is_sign_negative() { times } else { -times };
        let [low, high] = [product, product >> HALF]
            .map(|part| u64::try_from(part & u128::from(u64::MAX)).unwrap_or(u64::MAX));
        self.put_units(low, shift_a + shift_b, times);
        self.put_units(high, shift_a + shift_b + HALF, times);
        self.has_one_more();
    }

    fn put_units(&mut self, units: u64, shift: usize, times: i64) {
        let first = shift / DIGIT_BITS;
        self.make_room(first, first + DIGITS_OF_VALUE);
        let mut rest = u128::from(units) << (shift % DIGIT_BITS);
        let first = first - self.base;
        for digit in &mut self.digits[first..first + DIGITS_OF_VALUE - 1] {
            *digit += times * i64::from(low(rest));
            rest >>= DIGIT_BITS;
        }
    }

    /// Has digits from `first` to before `end`.
    fn make_room(&mut self, first: usize, end: usize) {
        if self.digits.is_empty() {
            self.base = first;
        }
        if first < self.base {
            self.digits.splice(..0, std::iter::repeat_n(0, self.base - first));
            self.base = first;
        }
        if self.base + self.digits.len() < end {
            // The digit that had the sign gets another one above it.
            self.digits.resize(end - self.base, 0);
        }
    }

    fn has_one_more(&mut self) {
        self.n_loose += 1;
        if self.n_loose == VALUES_MAX {
            self.settle();
        }
    }

    /// Brings all digits but the last into 32 bits, and the last one into the room that it has.
    fn settle(&mut self) {
        self.n_loose = 0;
        carry(&mut self.digits);
        while self.digits.last().is_some_and(|last| last.unsigned_abs() > DIGIT.unsigned_abs()) {
            self.digits.push(0);
            carry(&mut self.digits);
        }
    }

    /// Adds what another sum holds.
    pub(super) fn merge(&mut self, other: &Self) {
        self.n_nan += other.n_nan;
        self.n_above += other.n_above;
        self.n_below += other.n_below;
        if other.digits.is_empty() {
            return;
        }
        let mut other = other.clone();
        other.settle();
        self.make_room(other.base, other.base + other.digits.len() + 1);
        let first = other.base - self.base;
        for (digit, more) in self.digits[first..].iter_mut().zip(&other.digits) {
            *digit += more;
        }
        self.has_one_more();
    }

    /// The sum as bytes, for [`FixedSum::from_bytes`].
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let base = i64::try_from(self.base).unwrap_or_default();
        let mut settled = self.clone();
        settled.settle();
        let head = [self.n_nan, self.n_above, self.n_below, base];
        head.iter().chain(&settled.digits).flat_map(|number| number.to_le_bytes()).collect()
    }

    /// The sum that [`FixedSum::to_bytes`] has written; `None` for other bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else { return None };
        let mut numbers = numbers.iter().map(|bytes| i64::from_le_bytes(*bytes));
        let (n_nan, n_above, n_below) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let base = usize::try_from(numbers.next()?).ok()?;
        Some(Self { base, digits: numbers.collect(), n_loose: 0, n_nan, n_above, n_below })
    }

    /// The double next to the sum; of two, the even one.
    pub(super) fn value(&self) -> f64 {
        if self.n_nan > 0 || (self.n_above > 0 && self.n_below > 0) {
            return f64::NAN;
        }
        if self.n_above > 0 || self.n_below > 0 {
            return if self.n_above > 0 { f64::INFINITY } else { f64::NEG_INFINITY };
        }
        let mut digits = self.digits.clone();
        digits.push(0);
        carry(&mut digits);
        if digits.last().is_some_and(|last| *last >= 0) {
            return rounded(&digits, self.base);
        }
        for digit in &mut digits {
            *digit = -*digit;
        }
        carry(&mut digits);
        -rounded(&digits, self.base)
    }

    /// The mean of `n` values, also where their sum is beyond all doubles.
    pub(super) fn mean(&self, n: f64) -> f64 {
        const DIGITS_DOWN: usize = 2;
        const SCALE: f64 = 18_446_744_073_709_551_616.0;
        let sum = self.value();
        if sum.is_finite() || self.is_special() {
            return sum / n;
        }
        // What the lowest digits hold is nothing beside such a sum.
        let mut small = self.clone();
        let cut = DIGITS_DOWN.saturating_sub(small.base).min(small.digits.len());
        small.digits.drain(..cut);
        small.base = small.base.saturating_sub(DIGITS_DOWN);
        small.value() / n * SCALE
    }

    /// Whether a NaN or infinity is in.
    pub(super) fn is_special(&self) -> bool {
        self.n_nan + self.n_above + self.n_below > 0
    }

    /// Its digits of 32 bits, and whether they are those of a number below zero.
    pub(super) fn magnitude(&self) -> (bool, Vec<u32>) {
        let mut digits = self.clone();
        digits.settle();
        digits.digits.push(0);
        carry(&mut digits.digits);
        let below = digits.digits.last().is_some_and(|last| *last < 0);
        if below {
            digits.digits.iter_mut().for_each(|digit| *digit = -*digit);
            carry(&mut digits.digits);
        }
        let digits = digits.digits.into_iter();
        (below, digits.map(|digit| u32::try_from(digit).unwrap_or(u32::MAX)).collect())
    }

    /// A number of digits of 32 bits, of which the first counts 2^(32 `base`) units.
    pub(super) fn of_digits(below: bool, base: usize, digits: &[u32]) -> Self {
        let sign = if below { -1 } else { 1 };
        let mut digits: Vec<i64> = digits.iter().map(|digit| sign * i64::from(*digit)).collect();
        digits.push(0);
        Self { base, digits, ..Self::default() }
    }

    /// What the first digit counts, as a power of 2^32.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// The bytes that it holds beside itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.digits.capacity() * size_of::<i64>()
    }
}

/// A finite value's size as a whole number, and by how many bits it is shifted to be units of 2^-1074.
fn whole(value: f64) -> (u64, usize) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match usize::try_from((bits >> 52) & 0x7ff).unwrap_or(0) {
        0 => (fraction, 0),
        exponent => (fraction | (1 << 52), exponent - 1),
    }
}

fn low(number: u128) -> u32 {
    u32::try_from(number & u128::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// Brings all digits but the last into 32 bits; the last one keeps the sign.
fn carry(digits: &mut [i64]) {
    let Some((last, digits)) = digits.split_last_mut() else { return };
    let mut over = 0;
    for digit in digits {
        let all = *digit + over;
        over = all >> DIGIT_BITS;
        *digit = all & DIGIT;
    }
    *last += over;
}

/// The double next to a number that is not negative, in units of 2^(32 `base` - 1074).
fn rounded(digits: &[i64], base: usize) -> f64 {
    let Some(top) = digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
    let top = base + top;
    let first = top.saturating_sub(2);
    let digit = |at: usize| at.checked_sub(base).map_or(0, |at| digits[at].unsigned_abs());
    let leading = (first..=top).rev();
    let leading = leading.fold(0_u128, |sum, at| (sum << DIGIT_BITS) | u128::from(digit(at)));
    let below = digits.iter().take(first.saturating_sub(base)).any(|digit| *digit != 0);
    let bits = 128 - leading.leading_zeros() as usize;
    if first == 0 && bits <= 53 {
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
    let exponent = (first * DIGIT_BITS + drop) as u64;
    if exponent > 2045 {
        return f64::INFINITY;
    }
    // A carry out of the fraction is one more in the exponent, up to infinity.
    f64::from_bits((exponent << 52) + kept + u64::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> FixedSum {
        let mut sum = FixedSum::default();
        for value in values {
            sum.add(*value);
        }
        sum
    }

    fn sum(values: &[f64]) -> f64 {
        of(values).value()
    }

    #[test]
    fn one_value_is_its_own_sum() {
        let ends = [f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX, f64::MIN, -0.1, 1e16, 3e-310];
        for value in ends.into_iter().chain((0..2046).map(|n| f64::from_bits((n << 52) | 0xabc))) {
            assert_eq!(sum(&[value]).to_bits(), value.to_bits());
            let written = FixedSum::from_bytes(&of(&[-value]).to_bytes()).unwrap();
            assert_eq!(written.value().to_bits(), (-value).to_bits());
        }
    }

    #[test]
    fn a_sum_is_rounded_once_to_the_even_neighbour() {
        let is = |values: &[f64], expected: f64| {
            assert_eq!(sum(values).to_bits(), expected.to_bits(), "{values:?}");
        };
        is(&[], 0.0);
        is(&[-0.0, -0.0], 0.0);
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
        is(&[1e-310, 2e-310, -1e-310], 2e-310);
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

    #[test]
    fn parts_make_the_whole_whatever_they_are() {
        let values = [1e300, -1e-300, 7.25, -3e40, 0.1, 1e16, 5e-324, -1e300, 3e40, 1e308];
        let whole = sum(&values);
        for n in 0..values.len() {
            let mut merged = of(&values[n..]);
            merged.merge(&FixedSum::from_bytes(&of(&values[..n]).to_bytes()).unwrap());
            assert_eq!(merged.value().to_bits(), whole.to_bits(), "{n}");
        }
        assert_eq!(FixedSum::from_bytes(&[1, 2, 3]).map(|sum| sum.value()), None);
    }

    #[test]
    fn the_mean_of_great_values_is_one_of_them() {
        assert_eq!(of(&[f64::MAX, f64::MAX]).mean(2.0).to_bits(), f64::MAX.to_bits());
        assert_eq!(of(&[1.0, 2.0]).mean(2.0).to_bits(), 1.5_f64.to_bits());
        assert!(of(&[f64::MAX, f64::INFINITY]).mean(2.0).is_infinite());
    }
}
