//! Rows of CSV files as JSON records, so that one decoder decides what fits the contract.

use std::io::Write;

use crate::contract::{Type, TypedField};
use crate::error::{Error, Result};

/// A column of a CSV file.
pub(super) struct CsvColumn {
    /// The field's path, nested ones from outside in.
    path: Vec<String>,
    /// Whether the contract has something other than text here: numbers and booleans stay bare.
    bare: bool,
}

impl CsvColumn {
    pub(super) fn new(name: &[u8], fields: &[TypedField]) -> Self {
        let name = String::from_utf8_lossy(name);
        let name = name.trim_start_matches('\u{feff}').trim();
        let data_type = crate::contract::lookup(fields, name);
        let bare = matches!(
            data_type,
            Some(Type::Boolean | Type::Int | Type::BigInt | Type::Double | Type::Json)
        );
        Self { path: name.split('.').map(str::to_owned).collect(), bare }
    }
}

/// The columns that a header names.
pub(super) fn csv_columns(
    header: &csv::ByteRecord,
    fields: &[TypedField],
) -> Result<Vec<CsvColumn>> {
    let columns: Vec<CsvColumn> = header.iter().map(|name| CsvColumn::new(name, fields)).collect();
    for (i, column) in columns.iter().enumerate() {
        if columns[..i].iter().any(|other| other.path == column.path) {
            return Err(Error::data(format!("the header names `{}` twice", column.path.join("."))));
        }
    }
    Ok(columns)
}

/// A CSV row as a JSON object: empty fields are null, and structs of nothing but them are absent. What is no number where the contract has
/// one stays text, and the decoder finds it.
pub(super) fn csv_line(columns: &[CsvColumn], record: &csv::ByteRecord, out: &mut Vec<u8>) {
    if record.iter().any(|value| std::str::from_utf8(value).is_err()) {
        // No JSON can hold it: as it came it is found to be no UTF-8, and quarantined.
        let row = record.iter().collect::<Vec<_>>().join(&b',');
        out.extend(row.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        out.push(b'\n');
        return;
    }
    let mut object = serde_json::Map::new();
    for (i, value) in record.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
        let text = String::from_utf8_lossy(value);
        let Some(column) = columns.get(i) else {
            object.insert(format!("column {i}"), text.into());
            continue;
        };
        let bare = if column.bare { serde_json::from_str(&text).ok() } else { None };
        insert(&mut object, &column.path, bare.unwrap_or_else(|| text.into()));
    }
    for (column, _) in columns.iter().zip(record).filter(|(_, value)| value.is_empty()) {
        insert_null(&mut object, &column.path);
    }
    // A Vec takes every byte.
    let _ = serde_json::to_writer(&mut *out, &object);
    let _ = out.write_all(b"\n");
}

fn insert(
    object: &mut serde_json::Map<String, serde_json::Value>,
    path: &[String],
    value: serde_json::Value,
) {
    match path {
        [] => {}
        [name] => {
            object.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = object.entry(name.clone()).or_insert_with(|| serde_json::json!({}));
            if let Some(inner) = inner.as_object_mut() {
                insert(inner, rest, value);
            }
        }
    }
}

fn insert_null(object: &mut serde_json::Map<String, serde_json::Value>, path: &[String]) {
    match path {
        [] => {}
        [name] => {
            object.entry(name.clone()).or_insert(serde_json::Value::Null);
        }
        [name, rest @ ..] => {
            if let Some(inner) = object.get_mut(name).and_then(serde_json::Value::as_object_mut) {
                insert_null(inner, rest);
            }
        }
    }
}
