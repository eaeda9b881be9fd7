//! What a result contains, whatever the order of its rows.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::error::Result;

/// A hash of a bag of rows: equal bags have equal hashes, in any order and any batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentHash {
    n_rows: u64,
    sums: [u64; 2],
}

impl ContentHash {
    /// Adds the rows of a batch.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        for (sum, seed) in self.sums.iter_mut().zip([0x6c61_6b65_u64, 0x726f_7773]) {
            let state = RandomState::with_seed(seed);
            let mut hashes = vec![0; rows.num_rows()];
            create_hashes(rows.columns(), &state, &mut hashes)?;
            *sum = hashes.iter().fold(*sum, |sum, hash| sum.wrapping_add(*hash));
        }
        self.n_rows += rows.num_rows() as u64;
        Ok(())
    }

    /// Joins the hashes of two bags.
    pub fn merge(&mut self, other: Self) {
        self.n_rows += other.n_rows;
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum = sum.wrapping_add(more);
        }
    }

    /// Rows seen.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{:016x}{:016x}", self.n_rows, self.sums[0], self.sums[1])
    }
}
