//! Rows of Parquet files in the types that JSON records have: moments in UTC, bytes as text.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use datafusion::arrow::error::ArrowError;

/// The same rows, with timestamps of any zone in UTC microseconds, and binary that is text as text.
pub(super) fn plain(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().map(plain_column).collect::<Result<Vec<_>, _>>()?;
    let schema = rows.schema();
    let fields: Vec<FieldRef> = schema.fields().iter().zip(&columns).map(retyped).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn retyped((field, column): (&FieldRef, &ArrayRef)) -> FieldRef {
    Arc::new(Field::new(field.name(), column.data_type().clone(), true))
}

fn plain_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let text = || {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        // Bytes that are no text stay bytes, and show as hexadecimal digits.
        Ok(cast_with_options(column, &DataType::Utf8, &strict)
            .unwrap_or_else(|_| Arc::clone(column)))
    };
    match column.data_type() {
        DataType::Timestamp(_, Some(_)) => {
            cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
        }
        DataType::Timestamp(_, None) => {
            cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => text(),
        DataType::Struct(_) => {
            let own = column.as_struct();
            let columns = own.columns().iter().map(plain_column).collect::<Result<Vec<_>, _>>()?;
            let fields: Vec<FieldRef> = own.fields().iter().zip(&columns).map(retyped).collect();
            Ok(Arc::new(StructArray::try_new(fields.into(), columns, own.nulls().cloned())?))
        }
        _ => Ok(Arc::clone(column)),
    }
}
