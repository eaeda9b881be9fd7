//! `bronze.quarantine`: the records that no table took, with where they came from and why.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, AsArray, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};

use crate::batchlog::Batch;
use crate::chunk::{Origin, Record};
use crate::contract::{self, Contract, TableName};
use crate::error::{Error, Result};
use crate::query::{Query, translate};
use crate::table::Table;

const CONTRACT: &str = "-- One row per record that broke its table's contract.
CREATE TABLE bronze.quarantine (
    table_name    STRING    NOT NULL COMMENT 'the table that did not take the record',
    source        STRING    NOT NULL COMMENT 'folder:FOLDER/FILE or kafka:TOPIC; kafka:TOPIC#N where its offsets began anew N times',
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
    /// The record's bytes; `None` for a tombstone.
    pub raw: Option<Vec<u8>>,
}

/// Records that quarantine holds already, by source, partition, position and time: they are
/// decided. The time tells records of a topic that was made anew from those of the old one.
#[derive(Debug, Default)]
pub struct Decided(HashSet<(String, Option<i32>, i64, Option<i64>)>);

impl Decided {
    /// Whether quarantine holds a record.
    pub fn holds(&self, origin: &Origin, record: &Record) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Record { partition, position, record_ts_us, .. } = *record;
        self.0.contains(&(origin.source.to_string(), partition, position, record_ts_us))
    }
}

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
        raws.append_option(record.raw.as_deref());
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

/// The records of a batch of files that quarantine holds for a table.
pub async fn decided_in_batch(
    quarantine: &Table,
    query: &Query,
    table: &TableName,
    source: &str,
    batch: &Batch,
) -> Result<Decided> {
    let files: HashSet<String> =
        batch.ranges.iter().map(|range| format!("{source}/{}", range.path)).collect();
    let within = format!("source LIKE '{}/%'", quoted(source));
    let mut decided = decided(quarantine, query, table, &within).await?;
    decided.0.retain(|(file, ..)| files.contains(file));
    Ok(decided)
}

/// The records of a topic that quarantine holds for a table: of these partitions, at and behind an
/// offset of each.
pub async fn decided_behind(
    quarantine: &Table,
    query: &Query,
    table: &TableName,
    source: &str,
    offsets: &[(i32, i64)],
) -> Result<Decided> {
    if offsets.is_empty() {
        return Ok(Decided::default());
    }
    let least = offsets.iter().map(|(_, offset)| *offset).min().unwrap_or(0);
    let partitions: Vec<String> =
        offsets.iter().map(|(partition, _)| partition.to_string()).collect();
    let within = format!(
        "source = '{}' AND position >= {least} AND partition IN ({})",
        quoted(source),
        partitions.join(", ")
    );
    decided(quarantine, query, table, &within).await
}

async fn decided(
    quarantine: &Table,
    query: &Query,
    table: &TableName,
    within: &str,
) -> Result<Decided> {
    query.register(&name(), quarantine.provider()?)?;
    let sql = format!(
        "SELECT CAST(source AS VARCHAR) AS source, partition, position, record_ts FROM bronze.quarantine WHERE table_name = '{}' AND {within}",
        quoted(&table.to_string())
    );
    let batches = query
        .collect(&sql)
        .await
        .map_err(|cause| translate("cannot read bronze.quarantine", cause))?;
    let mut decided = Decided::default();
    for rows in batches {
        let sources = cast(rows.column(0), &DataType::Utf8)
            .map_err(|cause| Error::internal("quarantine sources").caused_by(cause))?;
        let sources = sources.as_string::<i32>();
        let partitions = rows.column(1).as_primitive::<Int32Type>();
        let positions = rows.column(2).as_primitive::<Int64Type>();
        let times = rows.column(3).as_primitive::<TimestampMicrosecondType>();
        for row in 0..rows.num_rows() {
            decided.0.insert((
                sources.value(row).to_owned(),
                partitions.is_valid(row).then(|| partitions.value(row)),
                positions.value(row),
                times.is_valid(row).then(|| times.value(row)),
            ));
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
            raw: Some(b"\xff".to_vec()),
        };
        let rows = rows(&contract, &TableName::new("bronze", "t"), &[rejected], 5).unwrap();
        assert_eq!((rows.num_rows(), rows.num_columns()), (1, 9));
    }
}
