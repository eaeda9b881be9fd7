//! What a result contains, whatever the order of its rows; and results that wait for a commit.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::datasource::TableProvider;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};

use crate::table::Files;

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

/// Written files as a table, their folders' partition values included.
pub(super) fn staged(
    root: &url::Url,
    files: &Files,
    schema: &SchemaRef,
    partition_by: &[String],
) -> Result<Arc<dyn TableProvider>> {
    let mut urls = Vec::new();
    for path in files.paths() {
        let url = root.join(path).map_err(|cause| DataFusionError::External(Box::new(cause)))?;
        urls.push(ListingTableUrl::parse(url)?);
    }
    let is_partition = |field: &Field| partition_by.contains(field.name());
    let inside: Vec<Arc<Field>> = schema.fields().iter().filter(|field| !is_partition(field)).cloned().collect();
    let outside = partition_by.iter().filter_map(|name| {
        let field = schema.field_with_name(name).ok()?;
        Some((name.clone(), field.data_type().clone()))
    });
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(outside.collect());
    if urls.is_empty() {
        let empty = datafusion::datasource::MemTable::try_new(Arc::clone(schema), vec![vec![]])?;
        return Ok(Arc::new(empty));
    }
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(Arc::new(Schema::new(inside)));
    Ok(Arc::new(ListingTable::try_new(config)?))
}
