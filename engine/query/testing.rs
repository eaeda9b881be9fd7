//! What the tests of queries share.

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::DataFusionError;

use super::translate;

/// The cells of a result in the order of its rows, as `a 1, b NULL`; or the report of its error.
pub(super) fn cells(result: Result<Vec<RecordBatch>, DataFusionError>) -> Result<String, String> {
    let batches = result.map_err(|cause| translate("the query failed", cause).report())?;
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                if column.is_null(row) {
                    return "NULL".to_owned();
                }
                array_value_to_string(column, row).unwrap()
            });
            rows.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    Ok(rows.join(", "))
}
