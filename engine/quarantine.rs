//! `bronze.quarantine`: the records that no table took, with where they came from and why.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, AsArray, BinaryBuilder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};

use crate::chunk::{Origin, Record};
use crate::contract::{self, Contract, TableName};
use crate::error::{Error, Result};
use crate::query::{Query, translate};
use crate::table::Table;

const CONTRACT: &str = r#"-- One row per record that broke its table's contract.
CREATE TABLE bronze.quarantine (
    table_name    STRING    NOT NULL COMMENT 'the table that did not take the record',
    source        STRING    NOT NULL COMMENT 'folder:FOLDER/FILE or kafka:TOPIC; kafka:TOPIC#N where its offsets began anew N times',
    partition     INT                COMMENT 'Kafka partition; NULL for files',
    position      BIGINT    NOT NULL COMMENT 'number of the record in its file, from 0; or Kafka offset',
    record_ts     TIMESTAMP          COMMENT 'time of the Kafka record, or of the file',
    error_class   STRING    NOT NULL COMMENT 'the kind of fault',
    error_message STRING    NOT NULL COMMENT 'the field and the fault, never a value',
    raw           BINARY             COMMENT 'the record as it came; rows of CSV and Parquet as JSON; NULL if it has none, or is too large',
    "key"         BINARY             COMMENT 'the key of the Kafka record',
    headers       STRING             COMMENT 'the headers of the Kafka record, as in _headers',
    first_seen_at TIMESTAMP NOT NULL COMMENT 'when it was put here'
)
TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'table_name, source, position, first_seen_at')"#;

/// The columns that hold a record as it came, raw ids of persons in it.
pub const AS_IT_CAME: &[&str] = &["raw", "key", "headers"];

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
    /// The record's bytes; `None` for a tombstone, and for a record that is too large.
    pub raw: Option<Vec<u8>>,
    /// The key of a Kafka record.
    pub key: Option<Vec<u8>>,
    /// The headers of a Kafka record, as JSON.
    pub headers: Option<String>,
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
    let (mut raws, mut keys) = (BinaryBuilder::new(), BinaryBuilder::new());
    let mut headers = StringBuilder::new();
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
        keys.append_option(record.key.as_deref());
        headers.append_option(record.headers.as_deref());
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
        Arc::new(keys.finish()),
        Arc::new(headers.finish()),
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
    files: &BTreeSet<String>,
) -> Result<Decided> {
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
    query.register(&name(), quarantine.with_files().await?.provider()?)?;
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
    use url::Url;

    use super::*;
    use crate::query::Limits;
    use crate::table::{Commit, Evolution, Scratch, StoreOptions};

    fn rejected() -> Rejected {
        Rejected {
            source: "folder:t/a.json".to_owned(),
            partition: None,
            position: 3,
            record_ts_us: Some(1),
            class: "not_json",
            message: "m".to_owned(),
            raw: Some(b"\xff".to_vec()),
            key: Some(b"\xfe".to_vec()),
            headers: None,
        }
    }

    /// Writes one row, as ingest does.
    async fn put(table: &mut Table, contract: &Contract, rows: &RecordBatch) {
        let metadata = match table.evolve(contract, &[]).unwrap() {
            Evolution::None => None,
            Evolution::Additive(action) => Some(action),
            Evolution::Breaking { .. } => panic!("quarantine cannot be kept"),
        };
        let scratch: Scratch = Arc::new(|| Ok(tempfile::tempdir().unwrap()));
        let mut writer = table.writer(contract, &scratch).unwrap();
        writer.write(rows).await.unwrap();
        let files = writer.close().await.unwrap();
        table.commit(Commit { files, metadata, ..Commit::default() }).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn quarantine_of_before_there_were_keys_gains_them_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let is_new =
            |line: &&str| ["\"key\"", "headers "].iter().any(|new| line.trim().starts_with(new));
        let old: Vec<&str> = CONTRACT.lines().filter(|line| !is_new(line)).collect();
        let old = contract::parse(&name(), "old", &old.join("\n")).unwrap();
        assert_eq!(old.columns.len(), 9);
        let mut table = Table::create(&old, &url, &StoreOptions::new(), false).await.unwrap();
        let (new, events) = (contract().unwrap(), TableName::new("bronze", "t"));
        let both = rows(&new, &events, &[rejected()], 5).unwrap();
        let columns =
            old.columns.iter().map(|column| new.schema().index_of(&column.field.name).unwrap());
        let before = both.project(&columns.collect::<Vec<_>>()).unwrap();
        put(&mut table, &old, &before).await;
        put(&mut table, &new, &both).await;

        let query = Query::new(&Limits::planning("UTC".parse().unwrap())).unwrap();
        query.register(&name(), table.provider().unwrap()).unwrap();
        let sql =
            "SELECT count(*) AS n, count(key) AS keys, count(raw) AS raws FROM bronze.quarantine";
        let found = query.collect(sql).await.unwrap();
        let number = |column: usize| found[0].column(column).as_primitive::<Int64Type>().value(0);
        assert_eq!((number(0), number(1), number(2)), (2, 1, 2));
        // A replay reads the file of before with NULLs where it has no such column.
        let files = table.files().unwrap();
        assert_eq!(files.len(), 2);
        for file in files {
            let mut read = table.read(&file, &new.schema(), 10).await.unwrap();
            assert_eq!(read.next().await.unwrap().unwrap().num_columns(), 11);
        }
    }

    #[test]
    fn the_contract_of_quarantine_holds_rejected_records() {
        let contract = contract().unwrap();
        let rows = rows(&contract, &TableName::new("bronze", "t"), &[rejected()], 5).unwrap();
        assert_eq!((rows.num_rows(), rows.num_columns()), (1, 11));
    }
}
