//! The decoder against its peers, on the same records in the same run, one thread.
//!
//! `cargo bench --bench decoder -- FILE.ndjson` prints megabytes of JSON per second, the best of
//! five rounds, and the ratio to ours. The peers decide less: arrow-json drops unknown fields and
//! takes wrong types for right ones, `serde_json` makes no columns.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a bench prints figures"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::datatypes::Schema;
use engine::contract::{self, TableName};
use engine::decode::Decoder;
use engine::pseudonym::Pseudonyms;

const ROUNDS: u32 = 5;
const ROWS: usize = 2048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let path =
        path.ok_or("name a file: `lake simulate --to folder:DIR` makes DIR/events/*.ndjson")?;
    let text = std::fs::read(&path)?;
    let records: Vec<&[u8]> =
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/lake/bronze/events.sql");
    let contract =
        contract::parse(&TableName::new("bronze", "events"), file, &std::fs::read_to_string(file)?);
    let contract = contract.map_err(|mistakes| format!("{mistakes:?}"))?;

    let mut ours = Decoder::new(&contract, Some(Pseudonyms::new(&[1; 32])))?;
    let ours = best(|| {
        for record in &records {
            ours.decode(record).map_err(|reject| reject.to_string())?;
            if ours.n_rows() == ROWS {
                black_box(ours.finish()?);
            }
        }
        black_box(ours.finish()?);
        Ok(())
    })?;
    let own_columns = contract.columns.len();
    let fields: Vec<_> = contract.schema().fields().iter().take(own_columns).cloned().collect();
    let schema = Arc::new(Schema::new(fields));
    let arrow = best(|| {
        let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(&schema))
            .with_batch_size(ROWS)
            .build_decoder()?;
        for (i, record) in records.iter().enumerate() {
            decoder.decode(record)?;
            if i % ROWS == ROWS - 1 {
                black_box(decoder.flush()?);
            }
        }
        black_box(decoder.flush()?);
        Ok(())
    })?;
    let value = best(|| {
        for record in &records {
            black_box(serde_json::from_slice::<serde_json::Value>(record)?);
        }
        Ok(())
    })?;
    println!(
        "{} records, {} MB, {} leaf columns and more",
        records.len(),
        text.len() / 1_000_000,
        own_columns
    );
    for (name, seconds) in [("lake", ours), ("arrow-json", arrow), ("serde_json::Value", value)] {
        let rate = text.len() as f64 / 1e6 / seconds;
        let each = seconds * 1e6 / records.len() as f64;
        println!(
            "{name:18} {rate:7.0} MB/s  {each:5.2} µs/record  {:.2} × lake's time",
            seconds / ours
        );
    }
    Ok(())
}

fn best(
    mut round: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        round()?;
        least = least.min(started.elapsed().as_secs_f64());
    }
    Ok(least)
}
