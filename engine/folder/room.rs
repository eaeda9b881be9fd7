//! How a row group is read within the memory that there is: which columns at once, how many rows, and
//! which rows not at all.

use std::collections::BTreeMap;
use std::fs::File;

use datafusion::parquet::basic::Type as Physical;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::delta::texts;
use super::levels::{SIZES, weights};
use super::pages::{BATCH_BYTES, Needs, needs};

/// A page may be so many times as large as a record: it holds many. So may be the pages of all columns
/// that are read at once.
const PAGE_RECORDS: u64 = 8;
/// So much may the pages of one column take that are in memory at once: its dictionary, the page that
/// the rows end in, and the next one, packed and unpacked.
const COLUMN_RECORDS: u64 = 24;
/// So much may the values of one row take beside their text.
const ROW_RECORDS: u64 = 4;
/// Rows that are read at once.
const BATCH_ROWS: u64 = 4096;
/// Values that are read at once.
const BATCH_CELLS: u64 = 4 << 20;
/// Bytes that the library takes for a value besides, if it is in a list: for its levels.
const LEVELS_BYTES: u64 = 8;
/// Bytes for a word of a dictionary besides: where it is.
const VIEW_BYTES: u64 = 16;

/// How to read a row group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Rows at once.
    pub(super) rows: usize,
    /// The columns that are read at once, by their place in the file.
    pub(super) parts: Vec<Vec<usize>>,
    /// Rows that are too large, in order.
    pub(super) too_large: Vec<u64>,
}

/// What no memory is there for.
pub(super) type TooMuch = String;

/// Looks at a row group before it is read.
///
/// # Errors
/// Its pages are broken.
pub(super) fn room(
    file: &File,
    group: &RowGroupMetaData,
    limit: u64,
) -> Result<Result<Room, TooMuch>, ParquetError> {
    let needs = needs(file, group).map_err(|cause| ParquetError::General(cause.to_string()))?;
    if let Err(broken) = counted(group, &needs) {
        return Err(ParquetError::General(broken));
    }
    let parts = match parts(group, &needs, limit) {
        Ok(parts) => parts,
        Err(much) => return Ok(Err(much)),
    };
    let texts = texts(file, group)?;
    if texts.lengths > limit * PAGE_RECORDS {
        return Ok(Err(format!("a page with {} bytes of lengths", texts.lengths)));
    }
    let mut rows = flat_rows(group, &needs).min(BATCH_BYTES / texts.longest.max(1)).max(1);
    let mut too_large = Vec::new();
    let listed = |leaf: &(&ColumnChunkMetaData, &Needs)| is_listed(leaf.0);
    let lists: Vec<_> = group.columns().iter().zip(&needs).filter(listed).collect();
    let bytes = |(column, needs): &(&ColumnChunkMetaData, &Needs)| {
        needs.n_values.saturating_mul(width(column) + LEVELS_BYTES).saturating_add(needs.bytes)
    };
    let all = lists.iter().map(bytes).fold(0, u64::saturating_add);
    if all > BATCH_BYTES {
        let n_rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let most = (limit * ROW_RECORDS).max(BATCH_BYTES);
        let mut windows = [0_u64; SIZES.len()];
        let mut heavy = BTreeMap::<u64, u64>::new();
        for (column, _) in lists {
            let width = width(column) + LEVELS_BYTES;
            let Some(found) = weights(file, column, n_rows, width, most / PAGE_RECORDS)? else {
                return Ok(Err("levels of an old encoding".to_owned()));
            };
            windows.iter_mut().zip(found.windows).for_each(|(sum, most)| *sum += most);
            found.heavy.into_iter().for_each(|(row, n)| *heavy.entry(row).or_default() += n);
        }
        // A row that is heavy is in no window: it is read alone.
        let is_alone = heavy.values().any(|n| *n <= most);
        let mut sizes = windows.iter().zip(SIZES);
        let size = sizes.find(|(bytes, _)| !is_alone && **bytes <= BATCH_BYTES);
        let size = size.map_or(1, |(_, n)| n);
        rows = rows.min(size);
        too_large = heavy.into_iter().filter(|(_, n)| *n > most).map(|(row, _)| row).collect();
    }
    let rows = usize::try_from(rows).unwrap_or(1).max(1);
    Ok(Ok(Room { rows, parts, too_large }))
}

/// Every column without lists has a value, or the place of one, for each row.
fn counted(group: &RowGroupMetaData, needs: &[Needs]) -> Result<(), String> {
    let n_rows = u64::try_from(group.num_rows()).unwrap_or(0);
    for (column, needs) in group.columns().iter().zip(needs) {
        if !is_listed(column) && needs.n_values != n_rows {
            let name = column.column_path().string();
            return Err(format!(
                "the column `{name}` has {} values in a row group of {n_rows} rows",
                needs.n_values
            ));
        }
    }
    Ok(())
}

fn is_listed(column: &ColumnChunkMetaData) -> bool {
    column.column_descr().max_rep_level() > 0
}

/// Bytes of a value in memory, without the text that it may point to.
fn width(column: &ColumnChunkMetaData) -> u64 {
    match column.column_descr().physical_type() {
        Physical::BOOLEAN => 1,
        Physical::INT32 | Physical::FLOAT => 4,
        Physical::INT64 | Physical::DOUBLE => 8,
        Physical::INT96 | Physical::BYTE_ARRAY => VIEW_BYTES,
        Physical::FIXED_LEN_BYTE_ARRAY => {
            u64::from(column.column_descr().type_length().unsigned_abs()).max(VIEW_BYTES)
        }
    }
}

/// The rows that are read at once, as far as columns without lists have room for them.
fn flat_rows(group: &RowGroupMetaData, needs: &[Needs]) -> u64 {
    let mut rows = BATCH_ROWS.min(BATCH_CELLS / (group.num_columns() as u64).max(1));
    let mut row_bytes = 0;
    for (column, needs) in group.columns().iter().zip(needs) {
        if !is_listed(column) {
            // However large the values are: below it the reader would be too slow.
            rows = rows.min(needs.rows.max(4));
            row_bytes += width(column);
        }
    }
    rows.min(2 * BATCH_BYTES / row_bytes.max(1)).max(1)
}

/// Puts the columns together that are read at once.
fn parts(
    group: &RowGroupMetaData,
    needs: &[Needs],
    limit: u64,
) -> Result<Vec<Vec<usize>>, TooMuch> {
    let mut roots = BTreeMap::<usize, u64>::new();
    for (leaf, (column, needs)) in group.columns().iter().zip(needs).enumerate() {
        let largest = needs.page.max(needs.dictionary).max(needs.packed);
        if largest > limit * PAGE_RECORDS {
            return Err(format!("a page of {largest} bytes"));
        }
        let width = width(column);
        if width > limit {
            return Err(format!("values of {width} bytes"));
        }
        let pages = needs.page * needs.n_pages.min(2);
        let dictionary = needs.dictionary + needs.n_words.saturating_mul(VIEW_BYTES);
        let held = pages.saturating_add(dictionary);
        let most = held.saturating_add(needs.packed);
        if most > limit * COLUMN_RECORDS {
            return Err(format!("pages of {most} bytes in one column"));
        }
        *roots.entry(group.schema_descr().get_column_root_idx(leaf)).or_default() += held;
    }
    let mut parts = vec![Vec::new()];
    let mut sum = 0_u64;
    for (root, held) in roots {
        if held > limit * COLUMN_RECORDS {
            return Err(format!("pages of {held} bytes in one column"));
        }
        sum += held;
        if sum > limit * PAGE_RECORDS && parts.last().is_some_and(|part| !part.is_empty()) {
            parts.push(Vec::new());
            sum = held;
        }
        if let Some(part) = parts.last_mut() {
            part.push(root);
        }
    }
    Ok(parts)
}
