//! Rows as people and programs want them: table, JSON, NDJSON, CSV, Parquet.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::parquet::arrow::ArrowWriter;

use crate::error::{Error, Result};

/// How rows are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// CSV with a header.
    Csv,
    /// A Parquet file.
    Parquet,
}

const TIMESTAMP: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
/// A table for people shows at most so many rows.
const TABLE_ROWS_MAX: usize = 10_000;

/// Writes batches of rows to `out`, in one format.
pub struct Printer<W: Write + Send> {
    sink: Sink<W>,
}

enum Sink<W: Write + Send> {
    Table { out: W, batches: Vec<RecordBatch>, n_rows: usize, schema: SchemaRef },
    Json(Box<arrow_json::Writer<W, arrow_json::writer::JsonArray>>),
    Ndjson(Box<arrow_json::Writer<W, arrow_json::writer::LineDelimited>>),
    Csv(Box<csv::Writer<W>>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> std::fmt::Debug for Printer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Printer")
    }
}

impl<W: Write + Send> Printer<W> {
    /// A printer of rows of `schema`.
    pub fn new(format: Format, schema: &SchemaRef, out: W) -> Result<Self> {
        let json = || {
            arrow_json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .with_timestamp_format(TIMESTAMP.to_owned())
                .with_timestamp_tz_format(TIMESTAMP.to_owned())
        };
        let sink = match format {
            Format::Table => Sink::Table {
                out,
                batches: Vec::new(),
                n_rows: 0,
                schema: SchemaRef::clone(schema),
            },
            Format::Json => Sink::Json(Box::new(json().build(out))),
            Format::Ndjson => Sink::Ndjson(Box::new(json().build(out))),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer
                    .write_record(schema.fields().iter().map(|field| field.name()))
                    .map_err(failed)?;
                Sink::Csv(Box::new(writer))
            }
            Format::Parquet => Sink::Parquet(Box::new(
                ArrowWriter::try_new(out, SchemaRef::clone(schema), None).map_err(failed)?,
            )),
        };
        Ok(Self { sink })
    }

    /// Prints a batch.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        match &mut self.sink {
            Sink::Table { batches, n_rows, .. } => {
                let room = TABLE_ROWS_MAX.saturating_sub(*n_rows);
                *n_rows += rows.num_rows();
                if room > 0 {
                    batches.push(rows.slice(0, rows.num_rows().min(room)));
                }
                Ok(())
            }
            Sink::Json(writer) => writer.write(rows).map_err(failed),
            Sink::Ndjson(writer) => writer.write(rows).map_err(failed),
            Sink::Csv(writer) => write_csv(writer, rows),
            Sink::Parquet(writer) => writer.write(rows).map_err(failed),
        }
    }

    /// Prints what is left; the number of rows, if only a table's first ones were shown.
    pub fn finish(self) -> Result<Option<usize>> {
        match self.sink {
            Sink::Table { mut out, mut batches, n_rows, schema } => {
                if batches.is_empty() {
                    batches.push(RecordBatch::new_empty(schema));
                }
                let table =
                    pretty_format_batches_with_options(&batches, &options("")).map_err(failed)?;
                writeln!(out, "{table}").map_err(failed)?;
                return Ok((n_rows > TABLE_ROWS_MAX).then_some(n_rows));
            }
            Sink::Json(mut writer) => {
                writer.finish().map_err(failed)?;
                writeln!(writer.into_inner()).map_err(failed)?;
            }
            Sink::Ndjson(mut writer) => writer.finish().map_err(failed)?,
            Sink::Csv(mut writer) => writer.flush().map_err(failed)?,
            Sink::Parquet(writer) => drop(writer.close().map_err(failed)?),
        }
        Ok(None)
    }
}

fn options(null: &'static str) -> FormatOptions<'static> {
    FormatOptions::default()
        .with_null(null)
        .with_timestamp_format(Some(TIMESTAMP))
        .with_timestamp_tz_format(Some(TIMESTAMP))
}

fn write_csv<W: Write>(writer: &mut csv::Writer<W>, rows: &RecordBatch) -> Result<()> {
    let options = options("");
    let columns =
        rows.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    for row in 0..rows.num_rows() {
        for column in &columns {
            let value = column.value(row).try_to_string().map_err(failed)?;
            writer.write_field(value).map_err(failed)?;
        }
        writer.write_record(None::<&[u8]>).map_err(failed)?;
    }
    Ok(())
}

/// A reader that went away (`lake sql … | head`) is no fault; anything else is worth a try again.
fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    if cause.to_string().contains("Broken pipe") {
        return Error::interrupted();
    }
    Error::retry("cannot write the result").caused_by(cause)
}
