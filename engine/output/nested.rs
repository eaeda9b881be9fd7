//! Lists, structs and maps in one cell: JSON, as the other formats have them, and as a JSON column of
//! a CSV file is read.
//!
//! Arrow's own text has one form for `[]`, `[NULL]` and `['']`.

use std::sync::Arc;

use arrow_json::writer::{EncoderOptions, make_encoder};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::error::ArrowError;

use super::names;
use super::values::Exact;

/// The rows with texts in the place of lists, structs and maps.
pub(super) fn as_json(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    if !schema.fields().iter().any(|field| is_nested(field.data_type())) {
        return Ok(rows.clone());
    }
    // Of two fields of one name a reader of JSON finds the last.
    let named = match names::unique(&schema) {
        Some(unique) => names::rename(rows, &unique)?,
        None => rows.clone(),
    };
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (at, (column, field)) in rows.columns().iter().zip(schema.fields()).enumerate() {
        if let Some(texts) = texts(named.column(at), &named.schema_ref().fields()[at]) {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(texts);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The values as JSON; `None` if they are nothing nested, or JSON has no form for them.
fn texts(column: &ArrayRef, field: &Arc<Field>) -> Option<ArrayRef> {
    if !is_nested(column.data_type()) {
        return None;
    }
    let options =
        EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Exact));
    let mut encoder = make_encoder(field, column.as_ref(), &options).ok()?;
    let text = |row: usize| {
        if column.is_null(row) {
            return Some(None);
        }
        let mut bytes = Vec::new();
        encoder.encode(row, &mut bytes);
        String::from_utf8(bytes).ok().map(Some)
    };
    let texts: StringArray = (0..column.len()).map(text).collect::<Option<Vec<_>>>()?.into();
    Some(Arc::new(texts))
}

fn is_nested(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView, Map, Struct};
    matches!(
        data_type,
        List(_)
            | LargeList(_)
            | FixedSizeList(..)
            | ListView(_)
            | LargeListView(_)
            | Struct(_)
            | Map(..)
    )
}
