//! Chance, always from a seed.
//!
//! Every viewer, visit and fault has its own stream of random numbers, so that one more draw in one
//! place changes nothing anywhere else.

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};
use rand_pcg::Pcg64Mcg;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    Catalogue = 1,
    Adverts,
    Viewer,
    Visit,
    Delivery,
    Fault,
}

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Dice(Pcg64Mcg);

impl Dice {
    /// The stream number `index` for one use, under the seed of the whole run.
    pub(super) fn new(seed: u64, purpose: Use, index: u64) -> Self {
        let mixed = mix(mix(mix(seed) ^ purpose as u64) ^ index);
        Self(Pcg64Mcg::seed_from_u64(mixed))
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.random()
    }

    /// True with probability `rate` (0 to 1).
    pub(super) fn chance(&mut self, rate: f64) -> bool {
        self.0.random::<f64>() < rate
    }

    /// A number from `low` up to, and without, `high`; `low` if there is none between.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        if high <= low { low } else { self.0.random_range(low..high) }
    }

    /// A position in a list of `len` items, 0 for an empty list.
    pub(super) fn index(&mut self, len: usize) -> usize {
        if len == 0 { 0 } else { self.0.random_range(0..len) }
    }

    /// A share from 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        self.0.random()
    }

    /// A waiting time of this mean: most are short, a few are long.
    pub(super) fn wait(&mut self, mean_ms: i64) -> i64 {
        let draw: f64 = Exp1.sample(&mut self.0);
        (draw * mean_ms as f64) as i64
    }

    /// An exponential number of mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        Exp1.sample(&mut self.0)
    }

    /// A log-normal number: half of them are below `median`.
    pub(super) fn spread(&mut self, median: f64, sigma: f64) -> f64 {
        let draw: f64 = StandardNormal.sample(&mut self.0);
        median * (draw * sigma).exp()
    }

    /// A draw from a distribution.
    pub(super) fn sample<T>(&mut self, distribution: &impl Distribution<T>) -> T {
        distribution.sample(&mut self.0)
    }

    /// One item of a list that is not empty, each as likely as its weight.
    pub(super) fn pick<T: Copy>(&mut self, items: &[(u32, T)]) -> T {
        let total: u32 = items.iter().map(|item| item.0).sum();
        let mut left = self.0.random_range(0..total.max(1));
        for (weight, item) in items {
            if left < *weight {
                return *item;
            }
            left -= weight;
        }
        items[items.len() - 1].1
    }

    /// One item of a list that is not empty, each as likely as the other.
    pub(super) fn any<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// A version-7 UUID for this moment (epoch ms).
    pub(super) fn uuid(&mut self, at_ms: i64) -> u128 {
        let bits: u128 = (u128::from(self.bits()) << 64) | u128::from(self.bits());
        let time = (at_ms.max(0) as u128) << 80;
        let random = bits & ((1 << 80) - 1) & !(0xF << 76) & !(0b11 << 62);
        time | (0x7 << 76) | (0b10 << 62) | random
    }
}

/// Spreads the bits of a number (the finaliser of `SplitMix64`).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
