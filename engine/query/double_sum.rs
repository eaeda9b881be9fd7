//! Sums of doubles that take little room and time, and are exact all the same.
//!
//! Two doubles hold a sum and what was rounded off it, as long as that has room in 106 bits or so: the
//! error of an addition is a double itself, and is computed with a few additions (Knuth's two-sum).
//! What has no room there goes into a [`FixedSum`], which few groups of rows ever need.

use super::fixed_sum::FixedSum;

/// Values that are added at once, to look once whether all additions were exact.
const CHUNK: usize = 64;
/// Sums that grow beside each other, since an addition waits for the one before it.
const LANES: usize = 4;

/// A number that is the sum of two doubles.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    pub(super) high: f64,
    pub(super) low: f64,
}

/// `a + b`, and the error of it.
#[inline]
pub(super) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

impl Pair {
    /// The sum with a value, and what has no room: zero, of either sign, if it is exact.
    #[inline]
    fn with(self, value: f64) -> (Self, f64) {
        let (high, error) = two_sum(self.high, value);
        let (low, lost) = two_sum(self.low, error);
        (Self { high, low }, lost)
    }

    /// Adds a value, if the sum has room for it. NaN, infinity and what overflows have none.
    #[inline]
    pub(super) fn add(&mut self, value: f64) -> bool {
        let (sum, lost) = self.with(value);
        let fits = lost == 0.0;
        if fits {
            *self = sum;
        }
        fits
    }

    /// The double next to the number.
    pub(super) fn value(self) -> f64 {
        self.high + self.low
    }

    /// Moves the number into a sum that has room for all.
    pub(super) fn pour_into(&mut self, sum: &mut FixedSum) {
        sum.add(self.high);
        sum.add(self.low);
        *self = Self::default();
    }
}

/// The sum of the values that are in.
#[derive(Clone, Debug, Default)]
pub(super) struct DoubleSum {
    pair: Pair,
    rest: Option<Box<FixedSum>>,
}

impl DoubleSum {
    /// A sum of its parts.
    pub(super) fn of_parts(pair: Pair, rest: Option<FixedSum>) -> Self {
        Self { pair, rest: rest.map(Box::new) }
    }

    /// Adds a value.
    pub(super) fn add(&mut self, value: f64) {
        if !self.pair.add(value) {
            let rest = self.rest.get_or_insert_default();
            self.pair.pour_into(rest);
            rest.add(value);
        }
    }

    /// Takes out a value that was added.
    pub(super) fn remove(&mut self, value: f64) {
        if !self.pair.add(-value) {
            let rest = self.rest.get_or_insert_default();
            self.pair.pour_into(rest);
            rest.remove(value);
        }
    }

    /// Adds many values.
    pub(super) fn add_all(&mut self, values: &[f64]) {
        let mut lanes = [Pair::default(); LANES];
        let (chunks, last) = values.as_chunks::<CHUNK>();
        for chunk in chunks {
            if let Some(sums) = with_all(lanes, chunk) {
                lanes = sums;
                continue;
            }
            let rest = self.rest.get_or_insert_default();
            for lane in &mut lanes {
                lane.pour_into(rest);
            }
            for value in chunk {
                rest.add(*value);
            }
        }
        for value in lanes.iter().flat_map(|lane| [lane.high, lane.low]).chain(last.iter().copied())
        {
            self.add(value);
        }
    }

    /// The double next to the sum.
    pub(super) fn value(&self) -> f64 {
        self.in_full().map_or_else(|| self.pair.value(), |sum| sum.value())
    }

    /// The mean of the values, of which there are `n`.
    pub(super) fn mean(&self, n: f64) -> f64 {
        match self.in_full() {
            Some(sum) => sum.mean(n),
            None if self.pair.value().is_finite() => self.pair.value() / n,
            None => {
                let mut sum = FixedSum::default();
                { self.pair }.pour_into(&mut sum);
                sum.mean(n)
            }
        }
    }

    fn in_full(&self) -> Option<FixedSum> {
        let mut sum = self.rest.as_deref()?.clone();
        { self.pair }.pour_into(&mut sum);
        Some(sum)
    }

    /// Its parts: the pair, and the bytes of the rest.
    pub(super) fn parts(&self) -> (Pair, Option<Vec<u8>>) {
        (self.pair, self.rest.as_ref().map(|rest| rest.to_bytes()))
    }

    /// Adds the rest of another sum.
    pub(super) fn merge_rest(&mut self, rest: &FixedSum) {
        self.rest.get_or_insert_default().merge(rest);
    }

    /// The bytes that it holds beside itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| size_of::<FixedSum>() + rest.heap_bytes())
    }
}

/// The sums with a chunk of values, if all additions were exact.
fn with_all(mut lanes: [Pair; LANES], chunk: &[f64; CHUNK]) -> Option<[Pair; LANES]> {
    let mut lost = 0;
    for values in chunk.as_chunks::<LANES>().0 {
        for (lane, value) in lanes.iter_mut().zip(values) {
            let (sum, error) = lane.with(*value);
            *lane = sum;
            // All bits but the sign: those of a NaN are some, too.
            lost |= error.to_bits() << 1;
        }
    }
    (lost == 0).then_some(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values whose sums `fractions.Fraction` of Python says: `float(sum(map(Fraction, values)))`.
    const KNOWN: &[(&[f64], f64)] = &[
        (&[0.1; 10], 1.0),
        (&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 2.8),
        (&[1e16, 1.0, -1e16], 1.0),
        (&[1e16, 1.0, 1.0, -1e16, 1e-20], 2.0),
        (&[1e100, 1.0, -1e100, 1e-100], 1.0),
        (&[1e308, 1e308, -1e308], 1e308),
        (&[1e308, 1e308, -1e308, -1e308, 3.5], 3.5),
        (&[5e-324, 5e-324, 1e-310, -1e-310], 1e-323),
        (&[9_007_199_254_740_992.0, 1.0, 1e-9], 9_007_199_254_740_994.0),
        (&[-0.0, -0.0], 0.0),
        (&[1e300, 1e-300, -1e300], 1e-300),
        (&[f64::INFINITY, 1.0], f64::INFINITY),
        (&[f64::NEG_INFINITY, 1e308, 1e308], f64::NEG_INFINITY),
        (&[f64::MAX, f64::MAX], f64::INFINITY),
    ];

    fn sum(values: &[f64]) -> DoubleSum {
        let mut sum = DoubleSum::default();
        sum.add_all(values);
        sum
    }

    #[test]
    fn sums_are_those_of_fractions_in_every_order() {
        for (values, expected) in KNOWN {
            let mut values = values.to_vec();
            for _ in 0..values.len() {
                values.rotate_left(1);
                let mut one_by_one = DoubleSum::default();
                for value in &values {
                    one_by_one.add(*value);
                }
                for sum in [one_by_one, sum(&values)] {
                    assert_eq!(sum.value().to_bits(), expected.to_bits(), "{values:?}");
                }
            }
        }
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
        assert!(sum(&[f64::NAN, 1.0]).value().is_nan());
    }

    /// Doubles of all sizes, from a generator of Lehmer's.
    fn values(n: usize, exponents: u64) -> Vec<f64> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state = state.wrapping_mul(0xda94_2042_e4dd_58b5) ^ (state >> 29);
            let exponent = 1023 - exponents / 2 + (state >> 20) % exponents;
            f64::from_bits((state << 63) | (exponent << 52) | (state >> 12))
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    #[test]
    fn many_values_have_one_sum_in_every_order_and_in_every_parts() {
        for exponents in [2, 40, 120, 2000] {
            let mut all = values(3000, exponents);
            let mut exact = FixedSum::default();
            for value in &all {
                exact.add(*value);
            }
            let expected = exact.value().to_bits();
            for turn in [0, 1, 100, 1777] {
                all.rotate_left(turn);
                assert_eq!(sum(&all).value().to_bits(), expected, "{exponents}");
                let mut merged = sum(&all[turn..]);
                let (pair, rest) = sum(&all[..turn]).parts();
                merged.add(pair.high);
                merged.add(pair.low);
                if let Some(rest) = rest {
                    merged.merge_rest(&FixedSum::from_bytes(&rest).unwrap());
                }
                assert_eq!(merged.value().to_bits(), expected, "{exponents}");
                for value in &all[..2000] {
                    merged.remove(*value);
                }
                let left = sum(&all[2000..]).value().to_bits();
                assert_eq!(merged.value().to_bits(), left, "{exponents}");
            }
        }
    }
}
