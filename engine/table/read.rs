//! The rows of single files: who rewrites some files of a table must know what each of them holds.
#![allow(
    deprecated,
    reason = "what replaces the reader is an example to copy, and comes with parquet 60"
)]

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use deltalake::parquet::arrow::ProjectionMask;
use deltalake::parquet::arrow::async_reader::{
    ParquetObjectReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use futures::TryStreamExt;
use object_store::path::Path;

use super::Table;
use crate::error::{Error, Result};

/// A file of a version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its path below the table's folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// The rows of one file, in their order.
pub struct FileRows {
    place: String,
    schema: SchemaRef,
    inner: ParquetRecordBatchStream<ParquetObjectReader>,
}

impl fmt::Debug for FileRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileRows({})", self.place)
    }
}

impl Table {
    /// The files of this version.
    pub fn files(&self) -> Result<Vec<StoredFile>> {
        let files = self.files_state()?.log_data().into_iter().map(|file| StoredFile {
            path: file.path().into_owned(),
            bytes: u64::try_from(file.size()).unwrap_or_default(),
        });
        Ok(files.collect())
    }

    /// Reads the columns of `schema` from a file, `n_rows` rows at a time. Columns that split the
    /// table into folders are not in its files.
    pub async fn read(
        &self,
        file: &StoredFile,
        schema: &SchemaRef,
        n_rows: usize,
    ) -> Result<FileRows> {
        let place = format!("{} of {}", file.path, self.name);
        let path = Path::parse(&file.path).map_err(|cause| unreadable(&place, cause))?;
        let reader = ParquetObjectReader::new(self.delta.object_store(), path);
        let reader = reader.with_file_size(file.bytes);
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await;
        let builder = builder.map_err(|cause| unreadable(&place, cause))?;
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let wanted = ProjectionMask::columns(builder.parquet_schema(), names);
        let inner = builder.with_projection(wanted).with_batch_size(n_rows).build();
        let inner = inner.map_err(|cause| unreadable(&place, cause))?;
        Ok(FileRows { place, schema: Arc::clone(schema), inner })
    }
}

impl Table {
    /// What an error is about, if it is about a damaged file of this table whose name its reader
    /// did not tell: each file is read until one cannot be.
    pub async fn find_damage(&self, error: &Error) -> Option<Error> {
        if !super::fault::is_nameless(error) {
            return None;
        }
        let schema = self.schema().ok()?;
        for file in self.files().ok()? {
            let rows = async {
                let mut rows = self.read(&file, &schema, 8192).await?;
                while rows.next().await?.is_some() {}
                Ok(())
            };
            match rows.await {
                Err(found) if super::fault::is_nameless(&found) => {
                    return Some(super::fault::damaged(error, &file.path, &self.name));
                }
                _ => {}
            }
        }
        None
    }
}

impl FileRows {
    /// The next rows; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let rows = self.inner.try_next().await.map_err(|cause| unreadable(&self.place, cause))?;
        let rows = rows.map(|rows| conform(&rows, &self.schema)).transpose();
        rows.map_err(|cause| unreadable(&self.place, cause))
    }
}

fn unreadable(place: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let what = format!("cannot read {place}");
    super::storage_error(&what, cause.into())
        .unwrap_or_else(|cause| Error::data(what).caused_by(cause))
}

/// Columns as they are wanted, whoever wrote the file; one that it does not have is NULL.
fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}
