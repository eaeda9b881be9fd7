//! Rows that a command makes itself, in the format that was asked for.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use engine::error::{Error, Kind, Result};
use engine::output::Printer;

use super::Output;

/// Prints one batch of rows to stdout.
pub(super) fn show(rows: &RecordBatch, output: Output) -> Result<()> {
    let out = std::io::BufWriter::new(std::io::stdout());
    let mut printer = Printer::new(output.into(), &rows.schema(), out)?;
    let result = printer.write(rows).and_then(|()| printer.finish());
    match result {
        // Who closes the pipe has seen enough.
        Err(error) if error.kind() == Kind::Interrupted => Ok(()),
        result => result.map(drop),
    }
}

/// Columns as a batch of rows; each may have NULLs.
pub(super) fn batch<A: datafusion::arrow::array::Array + 'static>(
    columns: Vec<(&str, A)>,
) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, column)| {
        let column: ArrayRef = Arc::new(column);
        (name, column, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|cause| Error::internal("the rows do not fit").caused_by(cause))
}
