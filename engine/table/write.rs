//! Parquet files of a table, written and not yet committed.

use std::fmt;
use std::num::NonZeroU64;

use buoyant_kernel::expressions::Scalar;
use datafusion::arrow::array::RecordBatch;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::Add;
use deltalake::operations::get_num_idx_cols_and_stats_columns;
use deltalake::parquet::basic::{Compression, Encoding, ZstdLevel};
use deltalake::parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
};
use deltalake::parquet::schema::types::ColumnPath;
use indexmap::IndexMap;

use super::Table;
use super::statistics::{exact, has_inexact};
use crate::contract::{Contract, Type, TypedField};
use crate::error::Result;

/// A file is closed at about this size, in bytes before compression.
const FILE_BYTES: NonZeroU64 = NonZeroU64::new(512 << 20).unwrap();
/// Rows of a row group: what a reader holds of a column at once.
const ROW_GROUP_ROWS: usize = 262_144;

/// Files that are written and belong to no version yet.
#[derive(Debug, Default)]
pub struct Files {
    pub(super) adds: Vec<Add>,
}

impl Files {
    /// Joins the files of several writers.
    pub fn extend(&mut self, other: Self) {
        self.adds.extend(other.adds);
    }

    /// Rows in the files.
    pub fn n_rows(&self) -> u64 {
        let rows = |add: &Add| -> Option<u64> {
            let stats: serde_json::Value = serde_json::from_str(add.stats.as_deref()?).ok()?;
            stats.get("numRecords")?.as_u64()
        };
        self.adds.iter().filter_map(rows).sum()
    }

    /// Bytes of the files.
    pub fn bytes(&self) -> u64 {
        self.adds.iter().map(|add| u64::try_from(add.size).unwrap_or_default()).sum()
    }

    /// The paths below the table's folder.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.adds.iter().map(|add| add.path.as_str())
    }
}

/// Writes rows of one table into files.
pub struct Writer {
    table: String,
    fields: Vec<TypedField>,
    inner: DeltaWriter,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({})", self.table)
    }
}

impl Table {
    /// A writer for rows of the contract's schema.
    pub fn writer(&self, contract: &Contract) -> Result<Writer> {
        let (n_indexed, stats_columns) = get_num_idx_cols_and_stats_columns(
            Some(self.state()?.table_config()),
            std::collections::HashMap::new(),
        );
        let config = WriterConfig::new(
            contract.schema(),
            contract.partition_by.clone(),
            Some(parquet_properties(contract)),
            Some(FILE_BYTES),
            Some(8192),
            n_indexed,
            stats_columns,
        );
        let inner = DeltaWriter::new(self.delta.object_store(), config);
        Ok(Writer { table: self.name.to_string(), fields: contract.fields(), inner })
    }

    /// Deletes files that lost their race or broke a check.
    pub async fn discard(&self, files: Files) {
        use object_store::ObjectStoreExt;
        let store = self.delta.object_store();
        for add in files.adds {
            let path = object_store::path::Path::parse(&add.path).unwrap_or_default();
            // What cannot be deleted belongs to no version: maintenance finds it later.
            if let Err(cause) = store.delete(&path).await {
                tracing::warn!(table = %self.name, file = %add.path, %cause, "an unused file stays behind");
            }
        }
    }
}

impl Writer {
    /// Writes rows, splitting them into the folders that they belong to.
    pub async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let written = self.inner.write(rows).await;
        written.map_err(|cause| {
            super::translate(format!("cannot write files of {}", self.table), cause)
        })
    }

    /// Writes rows that all have the date `days` in the partition column `column`.
    pub async fn write_day(&mut self, rows: RecordBatch, column: &str, days: i32) -> Result<()> {
        let values: IndexMap<String, Scalar> =
            std::iter::once((column.to_owned(), Scalar::Date(days))).collect();
        let written = self.inner.write_partition(rows, &values).await;
        written.map_err(|cause| {
            super::translate(format!("cannot write files of {}", self.table), cause)
        })
    }

    /// Closes the files.
    pub async fn close(self) -> Result<Files> {
        let adds = self.inner.close().await;
        let mut adds = adds.map_err(|cause| {
            super::translate(format!("cannot write files of {}", self.table), cause)
        })?;
        if has_inexact(&self.fields) {
            for add in &mut adds {
                add.stats = add.stats.as_deref().and_then(|text| exact(text, &self.fields));
            }
        }
        Ok(Files { adds })
    }

    /// Gives up: nothing is left behind but what closed files maintenance will find.
    pub async fn abort(self) {
        if let Err(cause) = self.inner.abort().await {
            tracing::warn!(table = %self.table, %cause, "an upload could not be aborted");
        }
    }
}

fn parquet_properties(contract: &Contract) -> WriterProperties {
    // Other engines read gold most, and every one of them reads Snappy; zstd(1) costs the same
    // and is smaller by a third.
    let zstd = || ZstdLevel::try_new(1).map_or(Compression::SNAPPY, Compression::ZSTD);
    let compression = if contract.name.layer == "gold" { Compression::SNAPPY } else { zstd() };
    let mut builder = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(format!("lake {}", env!("CARGO_PKG_VERSION")));
    for field in contract.fields() {
        builder = column_properties(builder, &field, &[]);
    }
    for name in contract.list("lake.distinct") {
        let path = ColumnPath::from(name.split('.').map(str::to_owned).collect::<Vec<_>>());
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    builder.build()
}

/// Integers and times are written as differences: they grow slowly within a file.
fn column_properties(
    mut builder: WriterPropertiesBuilder,
    field: &TypedField,
    above: &[String],
) -> WriterPropertiesBuilder {
    let mut path = above.to_vec();
    path.push(field.name.clone());
    match &field.data_type {
        Type::Struct(fields) => {
            for inner in fields {
                builder = column_properties(builder, inner, &path);
            }
            builder
        }
        Type::BigInt | Type::Timestamp if above.is_empty() => {
            let path = ColumnPath::from(path);
            builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
        }
        _ => builder,
    }
}
