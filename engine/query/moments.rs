//! What variances, covariances and regressions are computed from: exact sums of values and products.
//!
//! The differences that they consist of are computed without rounding, so nothing of them is lost
//! where the values are far from zero and close to each other, and the order of rows does not count.

use super::fixed_sum::FixedSum;
use super::near::Quad;

/// The unit of products, as a power of two.
const UNIT: i64 = -2148;
const DIGIT_BITS: i64 = 32;

/// A statistic of one column or of two: the second one, `x`, explains the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Statistic {
    VarSamp,
    VarPop,
    StddevSamp,
    StddevPop,
    CovarSamp,
    CovarPop,
    Corr,
    Slope,
    Intercept,
    R2,
    AvgX,
    AvgY,
    Sxx,
    Syy,
    Sxy,
}

impl Statistic {
    /// The statistic of a function of `DataFusion`'s, if it is one.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "var" => Self::VarSamp,
            "var_pop" => Self::VarPop,
            "stddev" => Self::StddevSamp,
            "stddev_pop" => Self::StddevPop,
            "covar_samp" => Self::CovarSamp,
            "covar_pop" => Self::CovarPop,
            "corr" => Self::Corr,
            "regr_slope" => Self::Slope,
            "regr_intercept" => Self::Intercept,
            "regr_r2" => Self::R2,
            "regr_avgx" => Self::AvgX,
            "regr_avgy" => Self::AvgY,
            "regr_sxx" => Self::Sxx,
            "regr_syy" => Self::Syy,
            "regr_sxy" => Self::Sxy,
            _ => return None,
        })
    }

    /// The name of the exact function.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::VarSamp => "exact_var",
            Self::VarPop => "exact_var_pop",
            Self::StddevSamp => "exact_stddev",
            Self::StddevPop => "exact_stddev_pop",
            Self::CovarSamp => "exact_covar_samp",
            Self::CovarPop => "exact_covar_pop",
            Self::Corr => "exact_corr",
            Self::Slope => "exact_regr_slope",
            Self::Intercept => "exact_regr_intercept",
            Self::R2 => "exact_regr_r2",
            Self::AvgX => "exact_regr_avgx",
            Self::AvgY => "exact_regr_avgy",
            Self::Sxx => "exact_regr_sxx",
            Self::Syy => "exact_regr_syy",
            Self::Sxy => "exact_regr_sxy",
        }
    }

    /// Whether it looks at two columns.
    pub(super) fn is_of_two(self) -> bool {
        !matches!(self, Self::VarSamp | Self::VarPop | Self::StddevSamp | Self::StddevPop)
    }
}

/// The rows that are in: their number and sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    n: u64,
    /// Of one column `y, yy`; of two `y, yy, x, xx, xy`.
    sums: Vec<FixedSum>,
}

/// How many sums there are of one column, and of two.
pub(super) const OF_ONE: usize = 2;
pub(super) const OF_TWO: usize = 5;

const Y: usize = 0;
const YY: usize = 1;
const X: usize = 2;
const XX: usize = 3;
const XY: usize = 4;

impl Moments {
    /// Adds a row's values, or with `times` = -1 takes them out.
    pub(super) fn put(&mut self, y: f64, x: Option<f64>, times: i64) {
        if self.sums.is_empty() {
            self.sums = vec![FixedSum::default(); if x.is_some() { OF_TWO } else { OF_ONE }];
        }
        self.n = self.n.wrapping_add_signed(times);
        let mut value = |at: usize, value: f64| {
            let sum = &mut self.sums[at];
            if times > 0 {
                sum.add(value);
            } else {
                sum.remove(value);
            }
            if value.is_finite() {
                self.sums[at + 1].put_product(value, value, times);
            }
        };
        value(Y, y);
        if let Some(x) = x {
            value(X, x);
            if x.is_finite() && y.is_finite() {
                self.sums[XY].put_product(x, y, times);
            }
        }
    }

    /// Adds the rows of another part.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.sums.is_empty() {
            self.sums = vec![FixedSum::default(); other.sums.len()];
        }
        self.n = self.n.wrapping_add(other.n);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| sum.merge(more));
    }

    /// Adds rows whose sums are those of a few doubles each.
    pub(super) fn merge_near(&mut self, n: u64, sums: &[Quad]) {
        if self.sums.is_empty() {
            self.sums = vec![FixedSum::default(); sums.len()];
        }
        self.n = self.n.wrapping_add(n);
        for (at, (sum, parts)) in self.sums.iter_mut().zip(sums).enumerate() {
            let is_of_values = at == Y || at == X;
            for part in parts.iter().filter(|part| **part != 0.0) {
                if is_of_values {
                    sum.add(*part);
                } else {
                    sum.put_product(*part, 1.0, 1);
                }
            }
        }
    }

    /// The rows as bytes, for [`Moments::from_bytes`].
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.n.to_le_bytes().to_vec();
        for sum in &self.sums {
            let sum = sum.to_bytes();
            bytes.extend((sum.len() as u64).to_le_bytes());
            bytes.extend(sum);
        }
        bytes
    }

    /// The rows that [`Moments::to_bytes`] has written; `None` for other bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (n, mut bytes) = bytes.split_first_chunk::<8>()?;
        let mut sums = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (sum, rest) = rest.split_at_checked(length)?;
            sums.push(FixedSum::from_bytes(sum)?);
            bytes = rest;
        }
        Some(Self { n: u64::from_le_bytes(*n), sums })
    }

    /// The bytes that it holds beside itself.
    pub(super) fn heap_bytes(&self) -> usize {
        let sums: usize = self.sums.iter().map(FixedSum::heap_bytes).sum();
        sums + self.sums.capacity() * size_of::<FixedSum>()
    }

    /// The statistic of the rows, NULL where they are too few, or all alike where that counts.
    pub(super) fn value(&self, statistic: Statistic) -> Option<f64> {
        use Statistic as S;
        let least = match statistic {
            S::VarSamp
            | S::StddevSamp
            | S::CovarSamp
            | S::Corr
            | S::Slope
            | S::Intercept
            | S::R2 => 2,
            _ => 1,
        };
        if statistic == S::Corr && self.n > 0 {
            let nans = [Y, X].map(|at| self.sums[at].value().is_nan());
            match nans {
                [true, true] => return Some(f64::NAN),
                [false, false] => {}
                _ => return None,
            }
        }
        if self.n < least {
            return None;
        }
        if self.sums.iter().any(FixedSum::is_special) && !matches!(statistic, S::AvgX | S::AvgY) {
            return Some(f64::NAN);
        }
        let n = Scaled::of(as_double(self.n));
        let fewer = Scaled::of(as_double(self.n - 1));
        let mean = |at: usize| Some(self.sums[at].mean(as_double(self.n)));
        let of = |a, b, ab| self.spread(a, b, ab);
        match statistic {
            S::VarSamp => Some(of(Y, Y, YY).by(n.times(fewer)).value()),
            S::VarPop => Some(of(Y, Y, YY).by(n.times(n)).value()),
            S::StddevSamp => Some(of(Y, Y, YY).by(n.times(fewer)).root().value()),
            S::StddevPop => Some(of(Y, Y, YY).by(n.times(n)).root().value()),
            S::CovarSamp => Some(of(Y, X, XY).by(n.times(fewer)).value()),
            S::CovarPop => Some(of(Y, X, XY).by(n.times(n)).value()),
            S::Sxx => Some(of(X, X, XX).by(n).value()),
            S::Syy => Some(of(Y, Y, YY).by(n).value()),
            S::Sxy => Some(of(Y, X, XY).by(n).value()),
            S::AvgX => mean(X),
            S::AvgY => mean(Y),
            S::Slope => self.slope().map(Scaled::value),
            S::Intercept => Some(mean(Y)? - self.slope()?.value() * mean(X)?),
            S::Corr | S::R2 => {
                let (xx, yy, xy) = (of(X, X, XX), of(Y, Y, YY), of(Y, X, XY));
                if xx.part == 0.0 || yy.part == 0.0 {
                    return None;
                }
                let corr = xy.by(xx.root()).by(yy.root()).value().clamp(-1.0, 1.0);
                let r2 = || xy.times(xy).by(xx).by(yy).value().min(1.0);
                Some(if statistic == S::Corr { corr } else { r2() })
            }
        }
    }

    fn slope(&self) -> Option<Scaled> {
        let xx = self.spread(X, X, XX);
        (xx.part != 0.0).then(|| self.spread(Y, X, XY).by(xx))
    }

    /// `n * sum(a b) - sum(a) * sum(b)`, rounded once.
    fn spread(&self, a: usize, b: usize, ab: usize) -> Scaled {
        let halves = [self.n & 0xffff_ffff, self.n >> 32];
        let halves = halves.map(|half| u32::try_from(half).unwrap_or(u32::MAX));
        let n = FixedSum::of_digits(false, 0, &halves);
        let mut all = product(&n, &self.sums[ab], false);
        all.merge(&product(&self.sums[a], &self.sums[b], true));
        Scaled::of_units(&all)
    }
}

fn as_double(n: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "no group has 2^53 rows")]
    let double = n as f64;
    double
}

/// The product of two numbers, or with `negated` the number below zero beside it.
fn product(a: &FixedSum, b: &FixedSum, negated: bool) -> FixedSum {
    let ((a_below, a_digits), (b_below, b_digits)) = (a.magnitude(), b.magnitude());
    let mut digits = vec![0_u32; a_digits.len() + b_digits.len()];
    let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    for (at, one) in a_digits.iter().enumerate() {
        let mut over = 0_u64;
        for (digit, other) in digits[at..].iter_mut().zip(&b_digits) {
            let all = u64::from(*one) * u64::from(*other) + u64::from(*digit) + over;
            *digit = low(all);
            over = all >> DIGIT_BITS;
        }
        digits[at + b_digits.len()] = low(over);
    }
    FixedSum::of_digits((a_below != b_below) != negated, a.base() + b.base(), &digits)
}

/// A number beyond the range of doubles: `part` is zero or has a size from 1 to 2, times 2^`power`.
#[derive(Clone, Copy, Debug)]
struct Scaled {
    part: f64,
    power: i64,
}

impl Scaled {
    fn of(number: f64) -> Self {
        Self { part: number, power: 0 }.settled()
    }

    /// A sum of products.
    fn of_units(sum: &FixedSum) -> Self {
        const DIGITS: usize = 4;
        let (below, digits) = sum.magnitude();
        let Some(top) = digits.iter().rposition(|digit| *digit != 0) else {
            return Self { part: 0.0, power: 0 };
        };
        let first = (top + 1).saturating_sub(DIGITS);
        let leading = digits[first..=top].iter().rev();
        let leading = leading.fold(0_u128, |all, digit| (all << DIGIT_BITS) | u128::from(*digit));
        let more = digits[..first].iter().any(|digit| *digit != 0);
        #[allow(clippy::cast_precision_loss, reason = "this is the one rounding")]
        let size = (leading | u128::from(more)) as f64;
        let places = i64::try_from(sum.base() + first).unwrap_or_default();
        let part = if below { -size } else { size };
        Self { part, power: UNIT + DIGIT_BITS * places }.settled()
    }

    /// The same number with a part from 1 to 2.
    fn settled(self) -> Self {
        const EXPONENT: u64 = 0x7ff << 52;
        const ONE: u64 = 1023 << 52;
        let bits = self.part.to_bits();
        if self.part == 0.0 {
            return self;
        }
        let exponent = i64::try_from((bits & EXPONENT) >> 52).unwrap_or_default() - 1023;
        Self { part: f64::from_bits((bits & !EXPONENT) | ONE), power: self.power + exponent }
    }

    fn by(self, other: Self) -> Self {
        Self { part: self.part / other.part, power: self.power - other.power }.settled()
    }

    fn times(self, other: Self) -> Self {
        Self { part: self.part * other.part, power: self.power + other.power }.settled()
    }

    fn root(self) -> Self {
        let odd = self.power.rem_euclid(2);
        let part = if odd == 1 { 2.0 * self.part } else { self.part };
        Self { part: part.sqrt(), power: (self.power - odd) / 2 }.settled()
    }

    fn value(self) -> f64 {
        // A step that no exponent of a double leaves, so that only the last one rounds.
        const STEP: i64 = 900;
        let mut value = self.part;
        let mut power = self.power.clamp(-4 * STEP, 4 * STEP);
        while power != 0 {
            let step = power.clamp(-STEP, STEP);
            value *= 2_f64.powi(i32::try_from(step).unwrap_or_default());
            power -= step;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_one(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        for value in values {
            moments.put(*value, None, 1);
        }
        moments
    }

    #[track_caller]
    fn is(moments: &Moments, statistic: Statistic, expected: Option<f64>) {
        let found = moments.value(statistic);
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        assert_eq!(bits(found), bits(expected), "{statistic:?}: {found:?}, not {expected:?}");
    }

    #[test]
    fn variances_are_those_of_fractions() {
        use Statistic::{StddevPop, StddevSamp, VarPop, VarSamp};
        let far = of_one(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        is(&far, VarSamp, Some(30.0));
        is(&far, VarPop, Some(22.5));
        is(&far, StddevPop, Some(22.5_f64.sqrt()));
        is(&of_one(&[0.1; 10]), VarSamp, Some(0.0));
        is(&of_one(&[1e200, -1e200]), StddevPop, Some(1e200));
        is(&of_one(&[1e200, -1e200]), VarPop, Some(f64::INFINITY));
        is(&of_one(&[5e-324, 0.0]), StddevPop, Some(0.0));
        is(&of_one(&[1e-200, 3e-200]), StddevPop, Some(1e-200));
        is(&of_one(&[1.5]), StddevSamp, None);
        is(&of_one(&[1.5]), VarPop, Some(0.0));
        is(&Moments::default(), VarPop, None);
        assert!(of_one(&[1.0, f64::INFINITY]).value(VarPop).is_some_and(f64::is_nan));
    }

    #[test]
    fn what_was_taken_out_or_came_in_parts_leaves_nothing() {
        let mut moved = of_one(&[1e150, f64::NAN, 1.0, 2.0]);
        moved.put(f64::NAN, None, -1);
        moved.put(1e150, None, -1);
        is(&moved, Statistic::VarSamp, Some(0.5));
        let part = Moments::from_bytes(&of_one(&[4.0, 7.0]).to_bytes()).unwrap();
        let mut merged = of_one(&[13.0, 16.0]);
        merged.merge(&part);
        is(&merged, Statistic::VarSamp, Some(30.0));
    }

    #[test]
    fn two_columns_have_a_line_between_them() {
        use Statistic::{AvgX, Corr, CovarSamp, Intercept, R2, Slope, Sxy};
        let mut line = Moments::default();
        for (y, x) in [(3.0, 1.0), (5.0, 2.0), (7.0, 3.0)] {
            line.put(y, Some(x), 1);
        }
        is(&line, Slope, Some(2.0));
        is(&line, Intercept, Some(1.0));
        is(&line, Corr, Some(1.0));
        is(&line, R2, Some(1.0));
        is(&line, CovarSamp, Some(2.0));
        is(&line, AvgX, Some(2.0));
        is(&line, Sxy, Some(4.0));
        let mut flat = Moments::default();
        for (y, x) in [(3.0, 1.0), (3.0, 2.0)] {
            flat.put(y, Some(x), 1);
        }
        is(&flat, Corr, None);
        is(&flat, Slope, Some(0.0));
    }
}
