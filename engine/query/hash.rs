//! What a result contains, whatever the order of its rows.
//!
//! A row is hashed by arrow's row encoding, which says of every value, nested ones too, whether it
//! is NULL. `DataFusion`'s own hashes leave NULLs out, so a value that moves from one column to the
//! next would go unnoticed.

use std::hash::BuildHasher;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::hash_utils::QualityRandomState;
use datafusion::error::Result;

/// The two hashes of a row are made with these seeds.
const SEEDS: [u64; 2] = [0x6c61_6b65, 0x726f_7773];

/// A hash of a bag of rows: equal bags have equal hashes, in any order and any batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentHash {
    n_rows: u64,
    sums: [u64; 2],
}

impl ContentHash {
    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// A column has a type that cannot be compared.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let fields = rows.schema_ref().fields().iter();
        let fields = fields.map(|field| SortField::new(field.data_type().clone())).collect();
        let encoded = RowConverter::new(fields)?.convert_columns(rows.columns())?;
        for (sum, seed) in self.sums.iter_mut().zip(SEEDS) {
            let state = QualityRandomState::with_seed(seed);
            let hashes = encoded.iter().map(|row| state.hash_one(row.as_ref()));
            *sum = hashes.fold(*sum, u64::wrapping_add);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray, StructArray};

    use super::*;

    fn hash(columns: Vec<(&str, ArrayRef)>) -> ContentHash {
        let mut hash = ContentHash::default();
        hash.add(
            &RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(name, column)| (name, column, true)),
            )
            .unwrap(),
        )
        .unwrap();
        hash
    }

    fn ints(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn pair(a: ArrayRef, b: ArrayRef) -> ContentHash {
        hash(vec![("a", a), ("b", b)])
    }

    fn nested(a: ArrayRef, b: ArrayRef) -> ContentHash {
        let fields = RecordBatch::try_from_iter_with_nullable([("a", a, true), ("b", b, true)]);
        hash(vec![("s", Arc::new(StructArray::from(fields.unwrap())))])
    }

    #[test]
    fn a_value_that_moves_into_the_next_column_is_another_content() {
        let (five, null) = (ints(&[Some(5)]), ints(&[None]));
        assert_ne!(pair(five.clone(), null.clone()), pair(null.clone(), five.clone()));
        assert_ne!(nested(five.clone(), null.clone()), nested(null.clone(), five.clone()));
        assert_ne!(pair(null.clone(), null.clone()), pair(ints(&[Some(0)]), null.clone()));
        let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        assert_ne!(pair(text(Some("x")), text(None)), pair(text(None), text(Some("x"))));
        assert_ne!(pair(text(Some("")), text(None)), pair(text(None), text(None)));
    }

    #[test]
    fn a_struct_of_nothing_but_nulls_is_not_a_struct_that_is_null() {
        use datafusion::arrow::buffer::NullBuffer;
        let null = ints(&[None]);
        let of = RecordBatch::try_from_iter_with_nullable([("a", null, true)]).unwrap();
        let there = StructArray::from(of);
        let gone = StructArray::new(
            there.fields().clone(),
            there.columns().to_vec(),
            Some(NullBuffer::from(vec![false])),
        );
        assert_ne!(hash(vec![("s", Arc::new(there))]), hash(vec![("s", Arc::new(gone))]));
    }

    #[test]
    fn order_and_batches_do_not_matter_and_copies_do() {
        let whole = pair(ints(&[Some(1), None, Some(3)]), ints(&[None, Some(2), Some(3)]));
        let mut parts = pair(ints(&[Some(3), Some(1)]), ints(&[Some(3), None]));
        parts.merge(pair(ints(&[None]), ints(&[Some(2)])));
        assert_eq!(whole, parts);
        let mut twice = parts;
        twice.merge(pair(ints(&[None]), ints(&[Some(2)])));
        assert_ne!(whole, twice);
        assert_eq!(twice.n_rows(), 4);
    }
}
