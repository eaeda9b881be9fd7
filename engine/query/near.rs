//! Sums of values and products in a few doubles each, exact as long as they have room there.
//!
//! Four doubles hold a sum of some 200 bits, which is enough for squares of usual numbers and takes a
//! few additions a row. What has no room goes into [`Moments`], which few groups of rows ever need.

use super::double_sum::two_sum;
use super::moments::Moments;

/// A number that is the sum of four doubles.
pub(super) type Quad = [f64; 4];

/// The rows that are in, or have left: `N` sums, of one column `y, yy`, of two `y, yy, x, xx, xy`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near<const N: usize> {
    pub(super) n: u64,
    pub(super) sums: [Quad; N],
}

impl<const N: usize> Default for Near<N> {
    fn default() -> Self {
        Self { n: 0, sums: [[0.0; 4]; N] }
    }
}

/// Adds a value; what has no room is lost, and is zero if the sum is exact.
#[inline]
fn add(sum: &mut Quad, value: f64) -> f64 {
    let mut lost = value;
    for part in sum {
        (*part, lost) = two_sum(*part, lost);
    }
    lost
}

/// A product and the error of it, which is a double as well, unless a number is extreme.
#[inline]
fn two_product(a: f64, b: f64) -> Option<(f64, f64)> {
    const SPLIT: f64 = 134_217_729.0;
    const LARGE: f64 = 1e290;
    const SMALL: f64 = 1e-290;
    let product = a * b;
    if a == 0.0 || b == 0.0 {
        return Some((0.0, 0.0));
    }
    let is_usual = product.abs() > SMALL && product.abs() < LARGE;
    if !(is_usual && a.abs() < LARGE && b.abs() < LARGE) {
        return None;
    }
    let halves = |number: f64| {
        let large = SPLIT * number;
        let high = large - (large - number);
        (high, number - high)
    };
    let ((ah, al), (bh, bl)) = (halves(a), halves(b));
    Some((product, ((ah * bh - product) + ah * bl + al * bh) + al * bl))
}

impl<const N: usize> Near<N> {
    /// Adds a row, or with `sign` = -1 takes it out, if there is room for it.
    #[inline]
    pub(super) fn put(&mut self, y: f64, x: Option<f64>, sign: f64) -> bool {
        let mut new = *self;
        let fits = new.put_all(y, x, sign).is_some_and(|lost| lost == 0.0);
        if fits {
            new.n = if sign > 0.0 { new.n.wrapping_add(1) } else { new.n.wrapping_sub(1) };
            *self = new;
        }
        fits
    }

    /// What was lost, without its sign.
    #[inline]
    fn put_all(&mut self, y: f64, x: Option<f64>, sign: f64) -> Option<f64> {
        let mut lost = 0.0;
        let mut product = |sum: &mut Quad, a: f64, b: f64| {
            let (product, error) = two_product(a, b)?;
            lost += add(sum, sign * product).abs() + add(sum, sign * error).abs();
            Some(())
        };
        product(&mut self.sums[1], y, y)?;
        if let Some(x) = x.filter(|_| N > 2) {
            product(&mut self.sums[3], x, x)?;
            product(&mut self.sums[4], x, y)?;
            lost += add(&mut self.sums[2], sign * x).abs();
        }
        Some(lost + add(&mut self.sums[0], sign * y).abs())
    }

    /// Adds the rows of another part, if there is room for them.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        let mut new = *self;
        new.n = new.n.wrapping_add(other.n);
        let mut lost = 0.0;
        for (sum, more) in new.sums.iter_mut().zip(&other.sums) {
            for part in more.iter().filter(|part| **part != 0.0) {
                lost += add(sum, *part).abs();
            }
        }
        let fits = lost == 0.0;
        if fits {
            *self = new;
        }
        fits
    }

    /// Moves the rows to where there is room for all.
    pub(super) fn pour_into(&mut self, all: &mut Moments) {
        all.merge_near(self.n, &self.sums);
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::moments::Statistic;
    use super::*;

    /// Rows of usual numbers, from a generator of Lehmer's.
    fn rows(n: usize) -> Vec<(f64, f64)> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(0xda94_2042_e4dd_58b5);
            f64::from(u32::try_from(state >> 32).unwrap()) * 0.37 - 1e8
        };
        std::iter::repeat_with(|| (next(), next())).take(n).collect()
    }

    #[test]
    fn near_sums_are_those_of_all_digits() {
        let rows = rows(1000);
        let (mut near, mut exact) = (Near::<5>::default(), Moments::default());
        for (y, x) in &rows {
            assert!(near.put(*y, Some(*x), 1.0));
            exact.put(*y, Some(*x), 1);
        }
        for (y, x) in &rows[..500] {
            assert!(near.put(*y, Some(*x), -1.0));
            exact.put(*y, Some(*x), -1);
        }
        let mut other = Near::<5>::default();
        assert!(other.put(0.1, Some(0.2), 1.0) && near.merge(&other));
        exact.put(0.1, Some(0.2), 1);
        let mut poured = Moments::default();
        near.pour_into(&mut poured);
        for statistic in [Statistic::VarSamp, Statistic::Corr, Statistic::Slope, Statistic::Sxy] {
            let [near, exact] = [&poured, &exact].map(|of| of.value(statistic).map(f64::to_bits));
            assert_eq!(near, exact, "{statistic:?}");
        }
    }

    #[test]
    fn what_has_no_room_is_refused_and_changes_nothing() {
        let mut near = Near::<2>::default();
        assert!(near.put(1.0, None, 1.0));
        for value in [f64::NAN, f64::INFINITY, 1e200, 1e-200] {
            assert!(!near.put(value, None, 1.0), "{value}");
        }
        assert!(near.put(0.0, None, 1.0));
        let mut all = Moments::default();
        near.pour_into(&mut all);
        assert_eq!(all.value(Statistic::VarPop), Some(0.25));
    }
}
