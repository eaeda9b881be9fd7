//! Runs queries on small tables in memory, for `peer.py`, which compares them with `DuckDB`.
//!
//! Reads one JSON object from stdin: tables (a contract each, and rows), options of `DataFusion` for
//! each way to run, and queries. Writes a line for each query and way: the rows, or the error.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's helper: it fails by panicking"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::datasource::MemTable;
use engine::contract::{self, TableName};
use engine::mistake::Mistake;
use engine::query::{Limits, Query, explain};
use serde::Deserialize;
use serde_json::{Value, json};

/// No query on a dozen rows takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Work {
    tables: Vec<Table>,
    /// Options of `DataFusion`, for each way to run.
    ways: Vec<BTreeMap<String, String>>,
    queries: Vec<String>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    /// `CREATE TABLE`
    contract: String,
    rows: Vec<Value>,
}

fn main() {
    const STACK_BYTES: usize = 16 << 20;
    let work: Work = serde_json::from_reader(std::io::stdin()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .unwrap();
    runtime.block_on(async { tokio::spawn(run(work)).await.unwrap() });
}

async fn run(work: Work) {
    for (way, options) in work.ways.iter().enumerate() {
        let query = lake(&work.tables, options);
        for (number, sql) in work.queries.iter().enumerate() {
            let (query, sql) = (query.clone(), sql.clone());
            let one =
                tokio::spawn(
                    async move { tokio::time::timeout(PATIENCE, answer(&query, &sql)).await },
                );
            let mut line = match one.await {
                Ok(Ok(line)) => line,
                Ok(Err(_)) => json!({"error": "HANGS"}),
                Err(panic) => json!({"error": format!("PANICS {panic}")}),
            };
            line["query"] = json!(number);
            line["way"] = json!(way);
            println!("{line}");
            std::io::stdout().flush().unwrap();
        }
    }
}

/// The tables, in three partitions of small batches.
fn lake(tables: &[Table], options: &BTreeMap<String, String>) -> Query {
    let query = Query::new(&Limits::planning(chrono_tz::UTC)).unwrap();
    for (option, value) in options {
        query.set(option, value).unwrap();
    }
    for table in tables {
        let name = TableName::parse(&table.name).unwrap();
        let contract = contract::parse(&name, "peer.sql", &table.contract)
            .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let schema = contract.schema();
        let own = schema.fields().iter().filter(|field| !field.name().starts_with('_')).cloned();
        let schema = Arc::new(Schema::new(own.collect::<Vec<_>>()));
        let mut partitions: Vec<Vec<RecordBatch>> = vec![vec![], vec![], vec![]];
        for (number, rows) in table.rows.chunks(3).enumerate() {
            let builder = arrow_json::ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(3);
            let mut decoder = builder.build_decoder().unwrap();
            decoder.serialize(rows).unwrap();
            partitions[number % 3].push(decoder.flush().unwrap().unwrap());
        }
        let provider = MemTable::try_new(schema, partitions).unwrap();
        query.register(&name, Arc::new(provider)).unwrap();
    }
    query
}

async fn answer(query: &Query, sql: &str) -> Value {
    let frame = match query.plan(sql).await {
        Ok(frame) => frame,
        Err(cause) => {
            let Mistake { message, hint, .. } = explain("query", sql, &cause);
            return json!({"error": message, "hint": hint, "refused": true});
        }
    };
    let types: Vec<String> =
        frame.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    match frame.collect().await {
        Ok(batches) => json!({"types": types, "rows": rows(&batches)}),
        Err(cause) => json!({"error": cause.strip_backtrace()}),
    }
}

/// Each row as JSON's text, numbers with all their digits.
fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let mut text = Vec::new();
    let mut writer = arrow_json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow_json::writer::LineDelimited>(&mut text);
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}
