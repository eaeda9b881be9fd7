//! Rows of Parquet files as JSON records, so that one decoder decides what fits the contract.
//!
//! What a file wants in memory is looked at before it is read: metadata, pages and rows above the
//! limit are set aside, and what stands beside them comes in.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::TimeUnit;
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelectionPolicy, RowSelector,
};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::csv_columns::wanted;
use super::cut::{CHUNK_BYTES, Cutter, too_large};
use super::encode::Rows;
use super::fine::{Fine, places};
use super::meaning::{Column, Stripped, columns, metadata, whole};
use super::pages::{metadata_bytes, schema_depth};
use super::pipe::Pipe;
use super::room::{Room, room};
use super::sizes::{exact_size, name_size, sizes};
use super::spill::Spill;
use super::{Folder, Packing};
use crate::contract::TypedField;
use crate::decode::{Class, Reject};
use crate::error::{Error, Result};

/// Groups within each other: more than those of a record as deep as the decoder reads, whose lists
/// and maps are two groups each.
const SCHEMA_DEPTH_MAX: usize = 256;
/// Bytes of a row that may be counted and are not there: constants stand for short values.
const SLACK: u64 = 64 << 10;

pub(super) fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("the Parquet file cannot be read")
        .hint("land it again under a new name")
        .caused_by(cause)
}

pub(super) fn failed(cause: io::Error) -> Error {
    Error::io("cannot buffer the Parquet file", cause)
}

/// Reads a whole file.
///
/// # Errors
/// From here on it cannot be read.
pub(super) fn parquet(
    cutter: &mut Cutter,
    mut bytes: Pipe,
    packing: Packing,
    folder: &Folder,
    fields: &[TypedField],
) -> Result<()> {
    if packing != Packing::Plain {
        return Err(Error::data(
            "a packed Parquet file cannot be read: unpack it, and land it anew",
        )
        .hint("Parquet is packed inside"));
    }
    let mut file = folder.buffer().map_err(failed)?;
    io::copy(&mut bytes, &mut file).map_err(failed)?;
    refuse_others(&mut file)?;
    let limit = cutter.limit as u64;
    refuse_metadata(&mut file, limit)?;
    let source = Source::new(file, fields)?;
    let metadata = source.plain.metadata();
    for group in 0..metadata.num_row_groups() {
        let n_rows = u64::try_from(metadata.row_group(group).num_rows()).unwrap_or(0);
        let room = room(&source.file, metadata.row_group(group), limit).map_err(broken)?;
        let first = cutter.next;
        match room {
            Ok(room) if room.parts.len() > 1 => {
                let mut parts = Vec::new();
                for columns in &room.parts {
                    let mut spill = Spill::new(folder.buffer().map_err(failed)?, cutter.limit);
                    let part = Part { source: &source, group, columns, room: &room };
                    part.read(n_rows, &mut spill)?;
                    parts.push(spill.written().map_err(failed)?);
                }
                Spill::merge(parts, n_rows, cutter).map_err(failed)?;
            }
            Ok(room) => {
                let columns = room.parts.first().map_or(&[][..], Vec::as_slice);
                Part { source: &source, group, columns, room: &room }.read(n_rows, cutter)?;
            }
            Err(what) => {
                cutter.refuse(Reject::new(Class::TooLarge, format!(
                    "{n_rows} rows from here on are in row group {group} of the file, which has {what}: more than the setting `ingest.record_limit` has room for"
                )), &[]);
                cutter.next += n_rows;
            }
        }
        cutter.flush();
        if !cutter.is_heard() {
            return Ok(());
        }
        if cutter.next - first != n_rows {
            return Err(Error::data(format!(
                "row group {group} of the Parquet file does not have the {n_rows} rows that it names"
            )));
        }
    }
    Ok(())
}

/// Refuses metadata that is too long, or nests too deep, to be read.
fn refuse_metadata(file: &mut File, limit: u64) -> Result<()> {
    let n_metadata = metadata_bytes(file).map_err(failed)?;
    if n_metadata.is_some_and(|n| n > limit) {
        return Err(Error::data(
            "the metadata of the Parquet file is longer than the setting `ingest.record_limit`",
        )
        .hint(
            "write fewer columns or larger row groups into one file, and land it under a new name",
        ));
    }
    if let Some(n) = n_metadata
        && schema_depth(file, n).map_err(broken)? > SCHEMA_DEPTH_MAX
    {
        let message = format!("the schema of the file nests deeper than {SCHEMA_DEPTH_MAX} groups");
        return Err(Error::data(message).hint("write it flatter, and land it under a new name"));
    }
    Ok(())
}

/// Tells what is no Parquet file by its first and last bytes.
fn refuse_others(file: &mut File) -> Result<()> {
    const MAGIC: &[u8] = b"PAR1";
    let size = file.metadata().map_err(failed)?.len();
    let mut start = vec![0; usize::try_from(size.min(64)).unwrap_or(0)];
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.read_exact(&mut start).map_err(failed)?;
    let mut end = vec![0; start.len().min(4)];
    file.seek(SeekFrom::Start(size - end.len() as u64)).map_err(failed)?;
    file.read_exact(&mut end).map_err(failed)?;
    let again = "land it again under a new name";
    let text = start.trim_ascii_start();
    let (what, hint) = if start.starts_with(b"PARE") || end == b"PARE" {
        ("the Parquet file is encrypted", "write it without encryption, and land it again")
    } else if end == MAGIC {
        return Ok(());
    } else if start.starts_with(MAGIC) {
        ("the Parquet file is cut off: its end is missing", again)
    } else if start.starts_with(&[0x1f, 0x8b]) || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        ("the file is named .parquet, and is packed", "land what is in it, by its own name")
    } else if matches!(text.first(), Some(b'{' | b'[')) {
        ("the file is named .parquet, and is JSON", "land it as .ndjson or .json")
    } else if !text.is_empty()
        && text.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace())
    {
        ("the file is named .parquet, and is a text", "if it is CSV, land it as .csv")
    } else {
        ("the file is named .parquet, and is none", again)
    };
    Err(Error::data(what).hint(hint))
}

/// A file, and what its columns are.
struct Source {
    file: File,
    whole: Arc<ParquetMetaData>,
    plain: ArrowReaderMetadata,
    columns: Vec<Column>,
}

impl Source {
    /// # Errors
    /// The metadata is broken, or the contract knows none of the columns.
    fn new(file: File, fields: &[TypedField]) -> Result<Self> {
        let whole = whole(&file).map_err(broken)?;
        let plain = metadata(&file, &whole, Stripped::Odd, TimeUnit::Microsecond);
        let plain = plain.map_err(broken)?;
        let columns = columns(plain.schema(), whole.file_metadata().schema_descr(), fields);
        let is_known = |column: &Column| fields.iter().any(|known| known.name == column.name);
        if !columns.iter().any(is_known) {
            return Err(Error::data("the Parquet file has no column of the contract")
                .hint(format!("the contract's columns are {}", wanted(fields))));
        }
        let rows = whole.row_groups().iter().map(RowGroupMetaData::num_rows);
        let sum = rows.fold(0, i64::wrapping_add);
        let n_rows = whole.file_metadata().num_rows();
        if sum != n_rows {
            return Err(Error::data(format!(
                "the Parquet file says that it has {n_rows} rows, and its row groups have {sum}"
            ))
            .hint("land it again under a new name"));
        }
        Ok(Self { file, whole, plain, columns })
    }
}

/// Where rows go.
pub(super) trait Sink {
    /// Bytes of a record at most.
    fn limit(&self) -> usize;
    /// Whether anybody still wants them.
    fn is_open(&self) -> bool;
    /// Whole lines, each the JSON of a row.
    fn rows(&mut self, lines: Vec<u8>, n: u64);
    /// A row that cannot be taken.
    fn reject(&mut self, reject: Reject);
}

impl Sink for Cutter {
    fn limit(&self) -> usize {
        self.limit
    }

    fn is_open(&self) -> bool {
        self.is_heard()
    }

    fn rows(&mut self, lines: Vec<u8>, n: u64) {
        self.lines(lines, n);
    }

    fn reject(&mut self, reject: Reject) {
        self.refuse(reject, &[]);
        self.next += 1;
    }
}

/// Columns of a row group that are read at once.
struct Part<'a> {
    source: &'a Source,
    group: usize,
    columns: &'a [usize],
    room: &'a Room,
}

impl Part<'_> {
    /// Reads the rows, in order.
    ///
    /// # Errors
    /// From here on they cannot be read.
    fn read(&self, n_rows: u64, sink: &mut impl Sink) -> Result<()> {
        let mut columns: Vec<Column> =
            self.columns.iter().filter_map(|i| self.source.columns.get(*i).cloned()).collect();
        let names: Vec<u64> = columns.iter().map(|column| name_size(&column.name)).collect();
        let mut large = self.room.too_large.iter().copied().filter(|row| *row < n_rows).peekable();
        let mut row = 0;
        let mut batches = self.reader(&self.source.plain, 0, self.columns).map_err(broken)?;
        let mut fine = self.fine(&columns, 0).map_err(broken)?;
        let mut is_text_known = true;
        while let Some(rows) = batches.next() {
            let rows = match rows {
                Ok(rows) => rows,
                // Most often a text that is no text. Without that meaning only its row is lost.
                Err(_) if is_text_known => {
                    let Source { file: source, whole, .. } = self.source;
                    let bare = metadata(source, whole, Stripped::Text, TimeUnit::Microsecond);
                    let bare = bare.map_err(broken)?;
                    batches = self.reader(&bare, row, self.columns).map_err(broken)?;
                    fine = self.fine(&columns, row).map_err(broken)?;
                    is_text_known = false;
                    continue;
                }
                Err(cause) => return Err(broken(cause)),
            };
            let fine_rows = fine.as_mut().map(|fine| fine.next(rows.num_rows()));
            let fine_rows = fine_rows.transpose().map_err(broken)?;
            let mut at = 0;
            while at < rows.num_rows() && sink.is_open() {
                row += skipped(&mut large, row, sink);
                let left = large.peek().map_or(u64::MAX, |large| large - row);
                let n = (rows.num_rows() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                if let (Some(fine), Some(rows)) = (&fine, &fine_rows) {
                    fine.attach(&mut columns, &rows.slice(at, n));
                }
                send(sink, &columns, &names, &rows.slice(at, n)).map_err(broken)?;
                at += n;
                row += n as u64;
            }
            if !sink.is_open() {
                return Ok(());
            }
        }
        row += skipped(&mut large, row, sink);
        if row == n_rows {
            return Ok(());
        }
        Err(Error::data(format!(
            "row group {} of the Parquet file does not have the {n_rows} rows that it names",
            self.group
        )))
    }

    /// Another reader of those of `columns` that have moments of 96 bits, if there are any.
    fn fine(&self, columns: &[Column], from: u64) -> Result<Option<Fine>, ParquetError> {
        let places = places(columns);
        if places.is_empty() {
            return Ok(None);
        }
        let Source { file, whole, .. } = self.source;
        let metadata = metadata(file, whole, Stripped::Odd, TimeUnit::Nanosecond)?;
        let roots: Vec<usize> = places.iter().map(|at| self.columns[*at]).collect();
        Ok(Some(Fine::new(self.reader(&metadata, from, &roots)?, places)))
    }

    /// A reader of the rows from `from` on that are not too large.
    fn reader(
        &self,
        metadata: &ArrowReaderMetadata,
        from: u64,
        columns: &[usize],
    ) -> Result<ParquetRecordBatchReader, ParquetError> {
        let file = self.source.file.try_clone()?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
                .with_row_groups(vec![self.group])
                .with_projection(mask)
                .with_batch_size(self.room.rows);
        if from > 0 || !self.room.too_large.is_empty() {
            let n_rows = metadata.metadata().row_group(self.group).num_rows();
            builder = builder
                .with_row_selection_policy(RowSelectionPolicy::Selectors)
                .with_row_selection(self.selection(from, u64::try_from(n_rows).unwrap_or(0)));
        }
        builder.build()
    }

    fn selection(&self, from: u64, n_rows: u64) -> RowSelection {
        let n = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let mut selectors = vec![RowSelector::skip(n(from))];
        let mut next = from;
        for row in self.room.too_large.iter().filter(|row| (from..n_rows).contains(row)) {
            selectors.push(RowSelector::select(n(row - next)));
            selectors.push(RowSelector::skip(1));
            next = row + 1;
        }
        selectors.push(RowSelector::select(n(n_rows.saturating_sub(next))));
        RowSelection::from(selectors)
    }
}

/// Rejects the rows from `row` on that are too large to be read; returns how many they are.
fn skipped(
    large: &mut std::iter::Peekable<impl Iterator<Item = u64>>,
    row: u64,
    sink: &mut impl Sink,
) -> u64 {
    let mut n = 0;
    while large.next_if_eq(&(row + n)).is_some() {
        sink.reject(too_large(sink.limit()));
        n += 1;
    }
    n
}

/// Sends rows, about a chunk at once.
fn send(
    sink: &mut impl Sink,
    columns: &[Column],
    names: &[u64],
    rows: &RecordBatch,
) -> Result<(), ArrowError> {
    let arrays: &[ArrayRef] = rows.columns();
    let sizes = sizes(arrays, names, rows.num_rows());
    let mut encoded = Rows::new(columns, arrays)?;
    let limit = sink.limit() as u64;
    let (mut lines, mut n, mut bytes) = (Vec::new(), 0, 0);
    for (row, size) in sizes.into_iter().enumerate() {
        if n > 0 && bytes + size > CHUNK_BYTES as u64 {
            sink.rows(std::mem::take(&mut lines), n);
            (n, bytes) = (0, 0);
            if !sink.is_open() {
                return Ok(());
            }
        }
        // What may be too large is looked at closely.
        let size = if size > limit { exact_size(arrays, names, row) } else { size };
        let start = lines.len();
        let pushed = if size > limit + SLACK {
            Err(too_large(sink.limit()))
        } else {
            // A long row has the room that it needs, and not twice as much.
            let room = usize::try_from(size).unwrap_or(0) + 1;
            if n == 0 && room > CHUNK_BYTES {
                lines.reserve_exact(room);
            }
            encoded.push(row, &mut lines)
        };
        let pushed = pushed.and_then(|()| {
            let is_large = lines.len() - start > sink.limit();
            if is_large { Err(too_large(sink.limit())) } else { Ok(()) }
        });
        match pushed {
            Ok(()) => {
                lines.push(b'\n');
                (n, bytes) = (n + 1, bytes + size);
            }
            Err(reject) => {
                lines.truncate(start);
                if n > 0 {
                    sink.rows(std::mem::take(&mut lines), n);
                }
                lines = Vec::new();
                (n, bytes) = (0, 0);
                sink.reject(reject);
            }
        }
    }
    if n > 0 {
        sink.rows(lines, n);
    }
    Ok(())
}
