//! `bronze.quarantine`: the records that no table took, with where they came from and why.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, AsArray, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::Int64Type;

use crate::batchlog::Batch;
use crate::contract::{self, Contract, TableName};
use crate::error::{Error, Result};
use crate::query::{Query, translate};
use crate::table::Table;

const CONTRACT: &str = "-- One row per record that broke its table's contract.
CREATE TABLE bronze.quarantine (
    table_name    STRING    NOT NULL COMMENT 'the table that did not take the record',
    source        STRING    NOT NULL COMMENT 'folder:FOLDER/FILE or kafka:TOPIC',
    partition     INT                COMMENT 'Kafka partition; NULL for files',
    position      BIGINT    NOT NULL COMMENT 'number of the record in its file, from 0; or Kafka offset',
    record_ts     TIMESTAMP          COMMENT 'time of the Kafka record, or of the file',
    error_class   STRING    NOT NULL COMMENT 'the kind of fault',
    error_message STRING    NOT NULL COMMENT 'the field and the fault, never a value',
    raw           BINARY             COMMENT 'the record as it came; rows of CSV and Parquet as JSON',
    first_seen_at TIMESTAMP NOT NULL COMMENT 'when it was put here'
)
TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'table_name, source, position, first_seen_at')";

/// A record that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// `folder:events/a.ndjson` or `kafka:events`.
    pub source: String,
    /// Kafka partition.
    pub partition: Option<i32>,
    /// Number of the record in its file, or Kafka offset.
    pub position: i64,
    /// Microseconds since 1970.
    pub record_ts_us: Option<i64>,
    /// The kind of fault.
    pub class: &'static str,
    /// The field and the fault.
    pub message: String,
    /// The record's bytes.
    pub raw: Vec<u8>,
}

/// Positions that quarantine holds already: they are decided.
pub type Decided = HashSet<(String, i64)>;

/// The name of the table.
pub fn name() -> TableName {
    TableName::new("bronze", "quarantine")
}

/// The contract of the table.
///
/// # Errors
/// Only by a bug of ours.
pub fn contract() -> Result<Contract> {
    contract::parse(&name(), "bronze.quarantine", CONTRACT)
        .map_err(|mistakes| Error::internal(format!("quarantine's own contract: {mistakes:?}")))
}

/// Rejected records as rows.
pub fn rows(
    contract: &Contract,
    table: &TableName,
    rejected: &[Rejected],
    now_us: i64,
) -> Result<RecordBatch> {
    let n = rejected.len();
    let mut names = StringBuilder::new();
    let (mut sources, mut partitions) = (StringBuilder::new(), Int32Builder::with_capacity(n));
    let mut positions = Int64Builder::with_capacity(n);
    let mut record_ts = TimestampMicrosecondBuilder::with_capacity(n).with_timezone("UTC");
    let (mut classes, mut messages) = (StringBuilder::new(), StringBuilder::new());
    let mut raws = BinaryBuilder::new();
    let mut seen = TimestampMicrosecondBuilder::with_capacity(n).with_timezone("UTC");
    let table = table.to_string();
    for record in rejected {
        names.append_value(&table);
        sources.append_value(&record.source);
        partitions.append_option(record.partition);
        positions.append_value(record.position);
        record_ts.append_option(record.record_ts_us);
        classes.append_value(record.class);
        messages.append_value(&record.message);
        raws.append_value(&record.raw);
        seen.append_value(now_us);
    }
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(names.finish()),
        Arc::new(sources.finish()),
        Arc::new(partitions.finish()),
        Arc::new(positions.finish()),
        Arc::new(record_ts.finish()),
        Arc::new(classes.finish()),
        Arc::new(messages.finish()),
        Arc::new(raws.finish()),
        Arc::new(seen.finish()),
    ];
    RecordBatch::try_new(contract.schema(), columns)
        .map_err(|cause| Error::internal("quarantine rows").caused_by(cause))
}

/// The positions within a batch that quarantine holds for a table.
pub async fn decided(
    quarantine: &Table,
    query: &Query,
    table: &TableName,
    source: &str,
    batch: &Batch,
) -> Result<Decided> {
    query.register(&name(), quarantine.provider()?)?;
    let files: HashSet<String> =
        batch.ranges.iter().map(|range| format!("{source}/{}", range.path)).collect();
    let sql = format!(
        "SELECT CAST(source AS VARCHAR) AS source, position FROM bronze.quarantine WHERE table_name = '{}' AND source LIKE '{}/%'",
        quoted(&table.to_string()),
        quoted(source)
    );
    let batches = query
        .collect(&sql)
        .await
        .map_err(|cause| translate("cannot read bronze.quarantine", cause))?;
    let mut decided = Decided::new();
    for rows in batches {
        let sources = datafusion::arrow::compute::cast(
            rows.column(0),
            &datafusion::arrow::datatypes::DataType::Utf8,
        )
        .map_err(|cause| Error::internal("quarantine sources").caused_by(cause))?;
        let positions = rows.column(1).as_primitive::<Int64Type>();
        for row in 0..rows.num_rows() {
            let source = sources.as_string::<i32>().value(row);
            if files.contains(source) {
                decided.insert((source.to_owned(), positions.value(row)));
            }
        }
    }
    Ok(decided)
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_of_quarantine_holds_rejected_records() {
        let contract = contract().unwrap();
        let rejected = Rejected {
            source: "folder:t/a.json".to_owned(),
            partition: None,
            position: 3,
            record_ts_us: Some(1),
            class: "not_json",
            message: "m".to_owned(),
            raw: b"\xff".to_vec(),
        };
        let rows = rows(&contract, &TableName::new("bronze", "t"), &[rejected], 5).unwrap();
        assert_eq!((rows.num_rows(), rows.num_columns()), (1, 9));
    }
}
