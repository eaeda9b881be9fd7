//! Moments of 96 bits in full: the library reads them in microseconds, which lose what is finer, or in
//! nanoseconds, which end in 2262 and begin anew there. Both together say what the moment is.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType, TimestampNanosecondType};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use datafusion::parquet::errors::ParquetError;

use super::meaning::{Column, Meaning};

/// A second reading of the columns that have such moments, in step with the first.
pub(super) struct Fine {
    pub(super) batches: ParquetRecordBatchReader,
    /// The places of these columns among those that are read.
    places: Vec<usize>,
}

/// The places of the columns that have such moments.
pub(super) fn places(columns: &[Column]) -> Vec<usize> {
    fn has_any(column: &Column) -> bool {
        column.meaning == Meaning::Moment96 || column.inner.iter().any(has_any)
    }
    (0..columns.len()).filter(|at| has_any(&columns[*at])).collect()
}

impl Fine {
    pub(super) fn new(batches: ParquetRecordBatchReader, places: Vec<usize>) -> Self {
        Self { batches, places }
    }

    /// The next rows, which must be as many as those of the first reading.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn next(&mut self, n_rows: usize) -> Result<RecordBatch, ParquetError> {
        let rows = self.batches.next().transpose()?;
        rows.filter(|rows| rows.num_rows() == n_rows)
            .ok_or_else(|| ParquetError::General("its moments are damaged".to_owned()))
    }

    /// Gives `columns` the moments of `rows` in nanoseconds.
    pub(super) fn attach(&self, columns: &mut [Column], rows: &RecordBatch) {
        for (at, array) in self.places.iter().zip(rows.columns()) {
            attach(&mut columns[*at], array);
        }
    }
}

fn attach(column: &mut Column, array: &ArrayRef) {
    let inner: Vec<ArrayRef> = match array.data_type() {
        DataType::Struct(_) => array.as_struct().columns().to_vec(),
        DataType::List(_) => vec![Arc::clone(array.as_list::<i32>().values())],
        DataType::LargeList(_) => vec![Arc::clone(array.as_list::<i64>().values())],
        DataType::FixedSizeList(..) => vec![Arc::clone(array.as_fixed_size_list().values())],
        DataType::Map(..) => {
            let map = array.as_map();
            vec![Arc::clone(map.keys()), Arc::clone(map.values())]
        }
        _ => Vec::new(),
    };
    if column.meaning == Meaning::Moment96 {
        column.fine = Some(Arc::clone(array));
    }
    column.inner.iter_mut().zip(&inner).for_each(|(column, array)| attach(column, array));
}

/// Microseconds since 1970 of a moment, and the nanoseconds behind them; `None` if there is no second
/// reading of it.
pub(super) fn moment_at(column: &Column, array: &dyn Array, i: usize) -> Option<(i64, i64)> {
    let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(i);
    let fine = column.fine.as_ref()?.as_primitive_opt::<TimestampNanosecondType>()?;
    // Both are right but for a multiple of 2^64, and so is their difference.
    let nanos = fine.value(i).wrapping_sub(micros.wrapping_mul(1000));
    // Before midnight, microseconds are counted towards it.
    Some(if nanos < 0 { (micros.saturating_sub(1), nanos + 1000) } else { (micros, nanos) })
}
