//! Which values can name a folder of a table. A value of a partition column becomes a part of a
//! path, `country=FR`, and file systems take 255 bytes of it; other readers take some for NULL.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;

/// The bytes of a name in a path, on every file system that we know of.
const NAME_BYTES_MAX: usize = 255;
/// What a byte that cannot stand in a path becomes: `%25E9`, percent-encoded twice.
const ENCODED_BYTES: usize = 5;
/// The folder of rows without a value, as Hive calls it.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// The rows of which a value cannot name a folder, each with the column and why.
pub fn nameless(rows: &RecordBatch, partition_by: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for name in partition_by {
        let Some(column) = rows.column_by_name(name) else { continue };
        let mut check = |row: usize, why: Option<&str>| {
            found.extend(why.map(|why| (row, format!("`{name}` names a folder, and {why}"))));
        };
        // Dates are looked at in all columns, not here: see `calendar`.
        if *column.data_type() == DataType::Utf8 {
            for (row, text) in column.as_string::<i32>().iter().enumerate() {
                check(row, text.and_then(|text| text_objection(name, text)));
            }
        }
    }
    found.sort();
    found.dedup_by_key(|(row, _)| *row);
    found
}

fn text_objection(column: &str, text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty: other readers take it for NULL");
    }
    if text == NULL_FOLDER {
        return Some("is the name that stands for NULL");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let bytes = text.bytes().map(|byte| if is_plain(byte) { 1 } else { ENCODED_BYTES });
    let bytes = column.len() + 1 + bytes.sum::<usize>();
    (bytes > NAME_BYTES_MAX).then_some("is too long for one")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, StringArray};

    use super::*;

    fn texts(values: &[Option<&str>]) -> Vec<(usize, String)> {
        let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        let rows = RecordBatch::try_from_iter_with_nullable([("shop", column, true)]).unwrap();
        nameless(&rows, &["shop".to_owned()])
    }

    #[test]
    fn what_no_file_system_or_reader_can_take_is_found() {
        let (long, odd) = ("x".repeat(251), "é".repeat(26));
        let found = texts(&[Some("a"), Some(""), None, Some(NULL_FOLDER), Some(&long), Some(&odd)]);
        assert_eq!(found.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 3, 4, 5]);
        assert!(found.iter().all(|(_, why)| why.starts_with("`shop` names a folder, and")));
    }

    #[test]
    fn what_fits_names_a_folder() {
        let (long, odd) = ("x".repeat(250), "é".repeat(25));
        assert_eq!(texts(&[Some(&long), Some(&odd), Some(". /%:?"), Some(".."), None]), []);
    }
}
