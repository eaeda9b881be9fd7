//! Rows as people and programs want them: table, JSON, NDJSON, CSV, Parquet.
//!
//! For programs every value is exact and none vanishes: a NULL is no empty text in CSV, two columns
//! of one name have two keys in JSON, a number that JSON does not have is a text there. Only the
//! table is for people: there, text cannot drive the terminal.
//!
//! A query that fails leaves nothing behind, unless its result is long and was begun.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_json::writer::{JsonArray, LineDelimited};
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, ArrayFormatterFactory, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::parquet::arrow::ArrowWriter;

use crate::error::{Error, Result};
use crate::printable;

mod held;
mod names;
mod nested;
mod time;
mod values;
use held::Held;

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

/// A table for people shows at most so many rows.
const TABLE_ROWS_MAX: usize = 10_000;

/// Writes batches of rows to `out`, in one format.
pub struct Printer<W: Write + Send> {
    sink: Sink<Held<W>>,
    /// Whether readers of this format find values by their names, so that each must come once.
    by_name: bool,
}

enum Sink<W: Write + Send> {
    Table { out: W, batches: Vec<RecordBatch>, n_rows: usize, schema: SchemaRef, lines: bool },
    Json(Box<arrow_json::Writer<W, JsonArray>>),
    Ndjson(Box<arrow_json::Writer<W, LineDelimited>>),
    Csv(W),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> std::fmt::Debug for Printer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Printer")
    }
}

impl<W: Write + Send> Printer<W> {
    /// A printer of rows of `schema`.
    ///
    /// # Errors
    /// `Usage` where the format cannot hold a column's type; else as [`Printer::write`].
    pub fn new(format: Format, schema: &SchemaRef, out: W) -> Result<Self> {
        let mut out = Held::new(out);
        let by_name = matches!(format, Format::Json | Format::Ndjson | Format::Parquet);
        let json = || {
            let exact = Arc::new(values::Exact);
            arrow_json::WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(exact)
        };
        let sink = match format {
            Format::Table => Sink::Table {
                out,
                batches: Vec::new(),
                n_rows: 0,
                schema: shown_names(schema),
                lines: false,
            },
            Format::Json => Sink::Json(Box::new(json().build(out))),
            Format::Ndjson => Sink::Ndjson(Box::new(json().build(out))),
            Format::Csv => {
                let names = schema.fields().iter().map(|field| Some(field.name().as_str()));
                write_record(&mut out, names).map_err(failed)?;
                Sink::Csv(out)
            }
            Format::Parquet => {
                let schema = names::unique(schema).unwrap_or_else(|| Arc::clone(schema));
                let writer = ArrowWriter::try_new(out, schema, None).map_err(failed)?;
                Sink::Parquet(Box::new(writer))
            }
        };
        Ok(Self { sink, by_name })
    }

    /// A table's text keeps its line ends, as that of a query's plan must; other formats have them
    /// anyhow.
    #[must_use]
    pub fn with_lines(mut self) -> Self {
        if let Sink::Table { lines, .. } = &mut self.sink {
            *lines = true;
        }
        self
    }

    /// Prints a batch.
    ///
    /// # Errors
    /// `Interrupted` where the reader went away (`lake sql … | head`), which is no fault; `Usage`
    /// where the format cannot hold a value; what else is wrong with writing, such as a full disk.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let unique = names::unique(rows.schema_ref()).filter(|_| self.by_name);
        let rows = match unique {
            Some(schema) => &names::rename(rows, &schema).map_err(failed)?,
            None => rows,
        };
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
            Sink::Csv(out) => write_csv(out, rows),
            Sink::Parquet(writer) => writer.write(rows).map_err(failed),
        }
    }

    /// Prints what is left; the number of rows, if only a table's first ones were shown.
    ///
    /// # Errors
    /// As [`Printer::write`].
    pub fn finish(self) -> Result<Option<usize>> {
        match self.sink {
            Sink::Table { mut out, batches, n_rows, schema, lines } => {
                let shown = |rows: &RecordBatch| {
                    nested::as_json(&names::rename(rows, &shown_names(rows.schema_ref()))?)
                };
                let batches = batches.iter().map(shown).collect::<Result<Vec<_>, _>>();
                let mut batches = batches.map_err(failed)?;
                if batches.is_empty() {
                    batches.push(RecordBatch::new_empty(schema));
                }
                let people = values::ForPeople { lines };
                let table = pretty_format_batches_with_options(&batches, &options(&people));
                let table = table.map_err(failed)?;
                writeln!(out, "{table}").and_then(|()| out.release()).map_err(failed)?;
                return Ok((n_rows > TABLE_ROWS_MAX).then_some(n_rows));
            }
            Sink::Json(mut writer) => {
                writer.finish().map_err(failed)?;
                let mut out = writer.into_inner();
                writeln!(out).and_then(|()| out.release()).map_err(failed)?;
            }
            Sink::Ndjson(mut writer) => {
                writer.finish().map_err(failed)?;
                writer.into_inner().release().map_err(failed)?;
            }
            Sink::Csv(out) => out.release().map_err(failed)?,
            Sink::Parquet(writer) => {
                let out = writer.into_inner().map_err(failed)?;
                out.release().map_err(failed)?;
            }
        }
        Ok(None)
    }
}

/// One value as a table for people has it; empty where it is NULL.
///
/// # Errors
/// `Usage` where arrow cannot print the type.
pub fn for_people(column: &dyn Array, row: usize) -> Result<String> {
    let people = values::ForPeople { lines: false };
    let options = options(&people);
    let formatter = match people.create_array_formatter(column, &options, None).map_err(failed)? {
        Some(ours) => ours,
        None => ArrayFormatter::try_new(column, &options).map_err(failed)?,
    };
    formatter.value(row).try_to_string().map_err(failed)
}

/// The columns of a table for people: a name is text like any other.
fn shown_names(schema: &SchemaRef) -> SchemaRef {
    let shown = |field: &Arc<Field>| {
        Field::clone(field).with_name(printable::line(field.name())).with_nullable(true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(shown).collect::<Vec<_>>()))
}

fn options(formatters: &dyn ArrayFormatterFactory) -> FormatOptions<'_> {
    FormatOptions::default().with_null("").with_formatter_factory(Some(formatters))
}

fn write_csv(out: &mut impl Write, rows: &RecordBatch) -> Result<()> {
    let rows = &nested::as_json(rows).map_err(failed)?;
    let options = options(&values::Exact);
    let mut columns = Vec::new();
    for (column, field) in rows.columns().iter().zip(rows.schema_ref().fields()) {
        let ours = values::Exact.create_array_formatter(column, &options, Some(field.as_ref()));
        let formatter = match ours.map_err(failed)? {
            Some(ours) => ours,
            None => ArrayFormatter::try_new(column.as_ref(), &options).map_err(failed)?,
        };
        columns.push((formatter, column.logical_nulls()));
    }
    let mut fields: Vec<Option<String>> = Vec::with_capacity(columns.len());
    for row in 0..rows.num_rows() {
        fields.clear();
        for (formatter, nulls) in &columns {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let value = || formatter.value(row).try_to_string().map_err(failed);
            fields.push(if is_null { None } else { Some(value()?) });
        }
        write_record(out, fields.iter().map(Option::as_deref)).map_err(failed)?;
    }
    Ok(())
}

/// A line of CSV as RFC 4180 has it. NULL is nothing, and the empty text is `""`: the `csv` crate
/// cannot tell them apart. A line that is one NULL is `""` too, since readers skip empty lines.
fn write_record<'a>(
    out: &mut impl Write,
    fields: impl ExactSizeIterator<Item = Option<&'a str>>,
) -> io::Result<()> {
    let is_alone = fields.len() == 1;
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match field {
            None if !is_alone => {}
            None | Some("") => out.write_all(b"\"\"")?,
            Some(text) if text.contains(['"', ',', '\n', '\r']) => {
                write!(out, "\"{}\"", text.replace('"', "\"\""))?;
            }
            Some(text) => out.write_all(text.as_bytes())?,
        }
    }
    out.write_all(b"\n")
}

/// Why rows were not written: the reader, the disk, or the format.
fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    let first: &(dyn std::error::Error + 'static) = cause.as_ref();
    let chain = std::iter::successors(Some(first), |error| error.source());
    let kind = chain.filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    // Some layers keep only the words of an error.
    let text = cause.to_string();
    let lower = text.to_lowercase();
    let kind = kind.last().or_else(|| match () {
        () if lower.contains("broken pipe") => Some(io::ErrorKind::BrokenPipe),
        () if lower.contains("no space left") || lower.contains("no storage space") => {
            Some(io::ErrorKind::StorageFull)
        }
        () => None,
    });
    match kind {
        Some(io::ErrorKind::BrokenPipe) => Error::interrupted(),
        Some(kind) => Error::io("cannot write the result", io::Error::new(kind, text)),
        None => Error::usage("the result has a column that this format cannot hold")
            .hint("cast the column, as in CAST(x AS VARCHAR), or choose another --output")
            .caused_by(cause),
    }
}

#[cfg(test)]
mod tests;
