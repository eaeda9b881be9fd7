//! Parquet files of a table, written and not yet committed.
//!
//! An open file holds megabytes, whatever is in it, and each folder has its own. So only the first
//! folders have their files open; rows of the others are put aside until their folder's turn comes.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use buoyant_kernel::expressions::Scalar;
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::error::ArrowError;
use deltalake::DeltaResult;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::Add;
use deltalake::operations::get_num_idx_cols_and_stats_columns;
use deltalake::parquet::basic::{Compression, Encoding, ZstdLevel};
use deltalake::parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
};
use deltalake::parquet::schema::types::ColumnPath;
use indexmap::IndexMap;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::task::JoinSet;

use super::Table;
use super::aside::{Aside, Scratch};
use super::nans::Nans;
use super::split::Folders;
use super::statistics::{exact, has_inexact};
use crate::contract::{Contract, Type, TypedField};
use crate::error::{Error, Result};

/// A file is closed at about this size, in bytes before compression.
const FILE_BYTES: NonZeroU64 = NonZeroU64::new(512 << 20).unwrap();
/// Rows of a row group: what a reader holds of a column at once.
const ROW_GROUP_ROWS: usize = 262_144;
/// Folders whose files are open at once: a month of days, and one to spare.
const OPEN_MAX: usize = 32;
/// Files that are sent to the store at once, after what was put aside.
const CLOSING_MAX: usize = 8;

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
    store: Arc<dyn ObjectStore>,
    config: WriterConfig,
    properties: WriterProperties,
    nans: Nans,
    /// The open files.
    open: DeltaWriter,
    /// Files that were closed before the last.
    closed: Vec<Add>,
    folders: Folders,
    /// Rows of folders beyond those that are open.
    aside: Aside,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({})", self.table)
    }
}

impl Table {
    /// A writer for rows of the contract's schema; what it cannot hold in memory goes to `scratch`.
    pub fn writer(&self, contract: &Contract, scratch: &Scratch) -> Result<Writer> {
        let (n_indexed, stats_columns) = get_num_idx_cols_and_stats_columns(
            Some(self.state()?.table_config()),
            std::collections::HashMap::new(),
        );
        let properties = parquet_properties(contract);
        let config = WriterConfig::new(
            contract.schema(),
            contract.partition_by.clone(),
            Some(properties.clone()),
            Some(FILE_BYTES),
            Some(8192),
            n_indexed,
            stats_columns,
        );
        let store = self.delta.object_store();
        Ok(Writer {
            table: self.name.to_string(),
            fields: contract.fields(),
            open: DeltaWriter::new(Arc::clone(&store), config.clone()),
            store,
            config,
            properties,
            nans: Nans::default(),
            closed: Vec::new(),
            folders: Folders::new(&contract.schema(), &contract.partition_by)
                .map_err(|cause| no_folders(&self.name, cause))?,
            aside: Aside::new(Arc::clone(scratch)),
        })
    }

    /// Deletes files that lost their race or broke a check.
    pub async fn discard(&self, files: Files) {
        delete(self.delta.object_store().as_ref(), &self.name.to_string(), &files.adds).await;
    }
}

impl Writer {
    /// Writes rows, splitting them into the folders that they belong to.
    pub async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if self.nans.note(rows) {
            let open = self.reopened();
            self.closed.extend(of_writer(&self.table, open.close().await)?);
        }
        if self.folders.is_one() {
            return of_writer(&self.table, self.open.write(rows).await);
        }
        let failed = |cause| no_folders(&self.table, cause);
        let folders = self.folders.of(rows).map_err(failed)?;
        let mut open = vec![Vec::new(); self.folders.len().min(OPEN_MAX)];
        let (mut aside, mut aside_folders) = (Vec::new(), Vec::new());
        for (row, folder) in (0_u32..).zip(folders) {
            if let Some(open) = open.get_mut(folder as usize) {
                open.push(row);
            } else {
                aside.push(row);
                aside_folders.push(folder);
            }
        }
        for (folder, chosen) in open.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let rows = some_of(rows, chosen).map_err(failed)?;
            let written = self.open.write_partition(rows, self.folders.values(folder)).await;
            of_writer(&self.table, written)?;
        }
        if !aside.is_empty() {
            let rows = some_of(rows, aside).map_err(failed)?;
            self.aside.put(rows, aside_folders)?;
        }
        Ok(())
    }

    /// Writes rows that all have the date `days` in the partition column `column`.
    pub async fn write_day(&mut self, rows: RecordBatch, column: &str, days: i32) -> Result<()> {
        let values: IndexMap<String, Scalar> =
            std::iter::once((column.to_owned(), Scalar::Date(days))).collect();
        let written = self.open.write_partition(rows, &values).await;
        of_writer(&self.table, written)
    }

    /// Closes the files, and writes those of the other folders one after the other.
    pub async fn close(mut self) -> Result<Files> {
        let open = self.reopened();
        let mut adds = std::mem::take(&mut self.closed);
        match of_writer(&self.table, open.close().await) {
            Ok(last) => adds.extend(last),
            Err(error) => {
                delete(self.store.as_ref(), &self.table, &adds).await;
                return Err(error);
            }
        }
        if let Err(error) = self.close_aside(&mut adds).await {
            delete(self.store.as_ref(), &self.table, &adds).await;
            return Err(error);
        }
        if has_inexact(&self.fields) {
            for add in &mut adds {
                add.stats = add.stats.as_deref().and_then(|text| exact(text, &self.fields));
            }
        }
        Ok(Files { adds })
    }

    /// A writer of files that are as the rows so far want them.
    fn another(&self) -> DeltaWriter {
        let writer = DeltaWriter::new(Arc::clone(&self.store), self.config.clone());
        writer.with_writer_properties(self.nans.applied(&self.properties))
    }

    /// The open files, in whose place others are opened.
    fn reopened(&mut self) -> DeltaWriter {
        let another = self.another();
        std::mem::replace(&mut self.open, another)
    }

    /// Writes what was put aside, folder by folder.
    async fn close_aside(&mut self, adds: &mut Vec<Add>) -> Result<()> {
        let mut closing = JoinSet::new();
        let mut result = Ok(());
        for folder in self.aside.folders()? {
            match self.write_aside(folder).await {
                Ok(writer) => drop(closing.spawn(writer.close())),
                Err(error) => result = Err(error),
            }
            while closing.len() >= CLOSING_MAX && result.is_ok() {
                result = closed(&self.table, closing.join_next().await, adds);
            }
            if result.is_err() {
                break;
            }
        }
        // What is under way is waited for in any case: nothing of it may stay behind.
        while !closing.is_empty() {
            let closed = closed(&self.table, closing.join_next().await, adds);
            result = result.and(closed);
        }
        result
    }

    async fn write_aside(&mut self, folder: u32) -> Result<DeltaWriter> {
        let mut writer = self.another();
        for at in 0..self.aside.n_parts(folder) {
            let written = match self.aside.part(folder, at) {
                Ok(rows) => {
                    let values = self.folders.values(folder as usize);
                    of_writer(&self.table, writer.write_partition(rows, values).await)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                give_up(&self.table, writer).await;
                return Err(error);
            }
        }
        Ok(writer)
    }

    /// Gives up: nothing is left behind but what closed files maintenance will find.
    pub async fn abort(self) {
        let Self { table, open, store, closed, .. } = self;
        give_up(&table, open).await;
        delete(store.as_ref(), &table, &closed).await;
    }
}

/// What became of a writer that was closed by a task of its own.
type Closed = Result<DeltaResult<Vec<Add>>, tokio::task::JoinError>;

fn closed(table: &str, closed: Option<Closed>, adds: &mut Vec<Add>) -> Result<()> {
    match closed {
        None => Ok(()),
        Some(Ok(closed)) => of_writer(table, closed).map(|closed| adds.extend(closed)),
        Some(Err(cause)) => Err(Error::internal("a writer broke").caused_by(cause)),
    }
}

/// What a writer of a table did, or what its error means.
fn of_writer<T>(table: &str, outcome: DeltaResult<T>) -> Result<T> {
    outcome.map_err(|cause| super::translate(format!("cannot write files of {table}"), cause))
}

async fn give_up(table: &str, writer: DeltaWriter) {
    if let Err(cause) = writer.abort().await {
        tracing::warn!(%table, %cause, "an upload could not be aborted");
    }
}

fn some_of(rows: &RecordBatch, chosen: Vec<u32>) -> Result<RecordBatch, ArrowError> {
    if chosen.len() == rows.num_rows() {
        return Ok(rows.clone());
    }
    take_record_batch(rows, &UInt32Array::from(chosen))
}

fn no_folders(table: &dyn fmt::Display, cause: ArrowError) -> Error {
    Error::internal(format!("rows of {table} cannot be split into folders")).caused_by(cause)
}

/// Deletes files that are in no version.
pub(super) async fn delete(store: &dyn ObjectStore, table: &str, adds: &[Add]) {
    for add in adds {
        let path = object_store::path::Path::parse(&add.path).unwrap_or_default();
        // What cannot be deleted belongs to no version: maintenance finds it later.
        if let Err(cause) = store.delete(&path).await {
            tracing::warn!(%table, file = %add.path, %cause, "an unused file stays behind");
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
