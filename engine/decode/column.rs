//! Columns under construction: only the values that arrived, with the rows they belong to.
//!
//! A contract may have a hundred columns of which a record fills a few, so NULLs are laid in when
//! the batch is finished, not row by row; and a bad record is taken back by dropping the last
//! value of the columns that it touched.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::DataType;

use crate::contract::Type;
use crate::error::{Error, Result};

/// The values of one column, in the order of their rows.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(Vec<bool>),
    Int(Vec<i32>),
    BigInt(Vec<i64>),
    Double(Vec<f64>),
    Timestamp(Vec<i64>),
    Date(Vec<i32>),
    /// The ends of the values within the bytes.
    Text(Vec<i32>, Vec<u8>),
}

/// A column: values, and the row of each.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) rows: Vec<u32>,
    pub(super) values: Values,
}

impl Column {
    /// An empty column for a contract's type; `None` if records cannot fill one.
    pub(super) fn new(data_type: &Type) -> Option<Self> {
        let values = match data_type {
            Type::Boolean => Values::Boolean(Vec::new()),
            Type::Int => Values::Int(Vec::new()),
            Type::BigInt => Values::BigInt(Vec::new()),
            Type::Double => Values::Double(Vec::new()),
            Type::Timestamp => Values::Timestamp(Vec::new()),
            Type::Date => Values::Date(Vec::new()),
            Type::Text { .. } | Type::Json => Values::Text(Vec::new(), Vec::new()),
            Type::Decimal(..) | Type::Binary | Type::Struct(_) => return None,
        };
        Some(Self { rows: Vec::new(), values })
    }

    /// Appends a text value for `row`.
    #[inline]
    pub(super) fn push_text(&mut self, row: u32, text: &[u8]) {
        if let Values::Text(ends, bytes) = &mut self.values {
            bytes.extend_from_slice(text);
            ends.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            self.rows.push(row);
        }
    }

    /// Takes back the value of `row`, if there is one.
    pub(super) fn take_back(&mut self, row: u32) {
        if self.rows.last() != Some(&row) {
            return;
        }
        self.rows.pop();
        match &mut self.values {
            Values::Boolean(values) => drop(values.pop()),
            Values::Int(values) | Values::Date(values) => drop(values.pop()),
            Values::BigInt(values) | Values::Timestamp(values) => drop(values.pop()),
            Values::Double(values) => drop(values.pop()),
            Values::Text(ends, bytes) => {
                ends.pop();
                bytes.truncate(ends.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0)));
            }
        }
    }

    /// The bytes that the column's texts hold.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.values {
            Values::Text(_, bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// The column as an array of `n_rows`, and empties it.
    pub(super) fn finish(&mut self, n_rows: usize, data_type: &DataType) -> Result<ArrayRef> {
        if self.rows.is_empty() {
            return Ok(new_null_array(data_type, n_rows));
        }
        let rows = std::mem::take(&mut self.rows);
        let nulls = (rows.len() < n_rows).then(|| nulls(&rows, n_rows));
        Ok(match &mut self.values {
            Values::Boolean(values) => {
                let values = spread(&rows, &std::mem::take(values), n_rows);
                Arc::new(BooleanArray::new(values.into(), nulls))
            }
            Values::Int(values) => Arc::new(Int32Array::new(scalars(&rows, values, n_rows), nulls)),
            Values::BigInt(values) => {
                Arc::new(Int64Array::new(scalars(&rows, values, n_rows), nulls))
            }
            Values::Double(values) => {
                Arc::new(Float64Array::new(scalars(&rows, values, n_rows), nulls))
            }
            Values::Date(values) => {
                Arc::new(Date32Array::new(scalars(&rows, values, n_rows), nulls))
            }
            Values::Timestamp(values) => Arc::new(
                TimestampMicrosecondArray::new(scalars(&rows, values, n_rows), nulls)
                    .with_timezone("UTC"),
            ),
            Values::Text(ends, bytes) => {
                let offsets = offsets(&rows, &std::mem::take(ends), n_rows);
                let bytes = Buffer::from_vec(std::mem::take(bytes));
                let array = StringArray::try_new(OffsetBuffer::new(offsets.into()), bytes, nulls);
                Arc::new(array.map_err(|cause| {
                    Error::internal("a decoded text is broken").caused_by(cause)
                })?)
            }
        })
    }
}

/// Which of `n_rows` rows are there.
pub(super) fn nulls(rows: &[u32], n_rows: usize) -> NullBuffer {
    let mut valid = vec![false; n_rows];
    for row in rows {
        valid[*row as usize] = true;
    }
    NullBuffer::from(valid)
}

fn scalars<T: Copy + Default + datafusion::arrow::datatypes::ArrowNativeType>(
    rows: &[u32],
    values: &mut Vec<T>,
    n_rows: usize,
) -> ScalarBuffer<T> {
    let values = std::mem::take(values);
    if values.len() == n_rows { values.into() } else { spread(rows, &values, n_rows).into() }
}

fn spread<T: Copy + Default>(rows: &[u32], values: &[T], n_rows: usize) -> Vec<T> {
    let mut all = vec![T::default(); n_rows];
    for (row, value) in rows.iter().zip(values) {
        all[*row as usize] = *value;
    }
    all
}

fn offsets(rows: &[u32], ends: &[i32], n_rows: usize) -> Vec<i32> {
    let mut offsets = Vec::with_capacity(n_rows + 1);
    let mut end = 0;
    offsets.push(0);
    for (row, next) in rows.iter().zip(ends) {
        // Rows without a value end where the value before them ended.
        offsets.resize(*row as usize + 1, end);
        end = *next;
        offsets.push(end);
    }
    offsets.resize(n_rows + 1, end);
    offsets
}
