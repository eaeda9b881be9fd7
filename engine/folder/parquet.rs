//! Rows of Parquet files as JSON records, so that one decoder decides what fits the contract.
//!
//! What a file wants in memory is looked at before it is read: metadata, pages and rows above the
//! limit are set aside, and what stands beside them comes in.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::basic::Type as Physical;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::RowGroupMetaData;
use datafusion::parquet::schema::types::SchemaDescriptor;

use super::csv_columns::{known, wanted};
use super::cut::{CHUNK_BYTES, Cutter};
use super::delta::texts;
use super::encode::{DECIMAL_AS, Encoders, TEXT, WHOLE};
use super::pages::{BATCH_BYTES, metadata_bytes, pages};
use super::pipe::Pipe;
use super::{Folder, Packing};
use crate::contract::{Type, TypedField};
use crate::decode::{Class, Reject};
use crate::error::{Error, Result};
use crate::guard::guarded;

/// A page may be so many times as large as a record: it holds many.
const PAGE_RECORDS: u64 = 8;

fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("the Parquet file cannot be read")
        .hint("land it again under a new name")
        .caused_by(cause)
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
    let failed = |cause: io::Error| Error::io("cannot buffer the Parquet file", cause);
    if packing != Packing::Plain {
        return Err(Error::data("a packed Parquet file cannot be read")
            .hint("Parquet is packed inside: land it as .parquet"));
    }
    let mut file = folder.buffer().map_err(failed)?;
    io::copy(&mut bytes, &mut file).map_err(failed)?;
    let limit = cutter.limit as u64;
    if metadata_bytes(&mut file).map_err(failed)?.is_some_and(|n| n > limit) {
        return Err(Error::data(
            "the metadata of the Parquet file is longer than the setting `ingest.record_limit`",
        )
        .hint(
            "write fewer columns or larger row groups into one file, and land it under a new name",
        ));
    }
    let metadata = metadata(&file)?;
    let renamed = Renamed::new(metadata.schema(), fields)?;
    for i in 0..metadata.metadata().num_row_groups() {
        let group = metadata.metadata().row_group(i);
        let n_rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let n_at_once = match rows_at_once(&file, group, limit * PAGE_RECORDS)? {
            Ok(n_at_once) => n_at_once,
            Err(largest) => {
                cutter.refuse(Reject::new(Class::TooLarge, format!(
                    "{n_rows} rows from here on are in row group {i} of the file, which has a page of {largest} bytes: more than {PAGE_RECORDS} times the setting `ingest.record_limit`"
                )), &[]);
                cutter.next += n_rows;
                continue;
            }
        };
        let first = cutter.next;
        let file = file.try_clone().map_err(failed)?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_row_groups(vec![i])
            .with_batch_size(n_at_once)
            .build()
            .map_err(broken)?;
        for rows in batches {
            let rows = rows.and_then(|rows| renamed.apply(&rows)).map_err(broken)?;
            send(cutter, &rows)?;
            if !cutter.is_heard() {
                return Ok(());
            }
        }
        cutter.flush();
        if cutter.next - first != n_rows {
            return Err(Error::data(format!(
                "row group {i} of the Parquet file does not have the {n_rows} rows that it names"
            )));
        }
    }
    Ok(())
}

/// Rows of a row group to read at once; or the bytes of a page, if they are more than `most`.
fn rows_at_once(file: &File, group: &RowGroupMetaData, most: u64) -> Result<Result<usize, u64>> {
    let pages = pages(file, group).map_err(broken)?;
    if pages.largest > most {
        return Ok(Err(pages.largest));
    }
    let texts = texts(file, group).map_err(broken)?;
    if texts.lengths > most {
        return Ok(Err(texts.lengths));
    }
    let of_text = usize::try_from(BATCH_BYTES / texts.longest.max(1)).unwrap_or(usize::MAX);
    Ok(Ok(pages.rows.min(of_text).max(1)))
}

/// The file's metadata, and the Arrow types that its columns are read as.
fn metadata(file: &File) -> Result<ArrowReaderMetadata> {
    let load = |options: ArrowReaderOptions| {
        let gave_up = || Err(ParquetError::General("its metadata is damaged".to_owned()));
        guarded(|| ArrowReaderMetadata::load(file, options)).unwrap_or_else(gave_up)
    };
    // The Arrow schema that some writers add is a hint: where it is broken, Parquet's own is there.
    let loaded = load(ArrowReaderOptions::new())
        .or_else(|_| load(ArrowReaderOptions::new().with_skip_arrow_metadata(true)));
    let loaded = loaded.map_err(broken)?;
    let mut leaf = 0;
    let parquet = loaded.parquet_schema();
    let fields: Fields =
        loaded.schema().fields().iter().map(|field| read_as(field, parquet, &mut leaf)).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let adapted = guarded(|| ArrowReaderMetadata::try_new(Arc::clone(loaded.metadata()), options));
    Ok(adapted.and_then(std::result::Result::ok).unwrap_or(loaded))
}

/// What a column is read as: text and bytes as views, so that a value that stands in the file once
/// is in memory once; and moments of 96 bits in microseconds, since nanoseconds end in 2262.
fn read_as(field: &FieldRef, parquet: &SchemaDescriptor, leaf: &mut usize) -> FieldRef {
    let mut nested = |inner: &FieldRef| read_as(inner, parquet, leaf);
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nested).collect()),
        DataType::List(inner) => DataType::List(nested(inner)),
        DataType::LargeList(inner) => DataType::LargeList(nested(inner)),
        DataType::FixedSizeList(inner, n) => DataType::FixedSizeList(nested(inner), *n),
        DataType::Map(entries, is_sorted) => DataType::Map(nested(entries), *is_sorted),
        other => {
            let at = *leaf;
            *leaf += 1;
            let is_int96 =
                at < parquet.num_columns() && parquet.column(at).physical_type() == Physical::INT96;
            match other {
                DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_int96 => {
                    DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
                }
                other => viewed(other),
            }
        }
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn viewed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => viewed(value),
        other => other.clone(),
    }
}

/// The columns as the contract spells them.
struct Renamed(Fields);

impl Renamed {
    /// # Errors
    /// The contract knows none of the columns.
    fn new(schema: &Schema, fields: &[TypedField]) -> Result<Self> {
        let renamed = renamed(schema.fields(), fields);
        let is_known = |field: &FieldRef| fields.iter().any(|known| known.name == *field.name());
        if !renamed.iter().any(is_known) {
            return Err(Error::data("the Parquet file has no column of the contract")
                .hint(format!("the contract's columns are {}", wanted(fields))));
        }
        Ok(Self(renamed))
    }

    fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let retyped = |(field, column): (&FieldRef, &ArrayRef)| {
            let column = if field.data_type() == column.data_type() {
                Arc::clone(column)
            } else {
                cast(column, field.data_type())?
            };
            Ok(column)
        };
        let columns = self
            .0
            .iter()
            .zip(rows.columns())
            .map(retyped)
            .collect::<Result<Vec<_>, ArrowError>>()?;
        RecordBatch::try_new(Arc::new(Schema::new(self.0.clone())), columns)
    }
}

fn renamed(own: &Fields, fields: &[TypedField]) -> Fields {
    let spelled = |field: &FieldRef| {
        let exact = |name: &str| own.iter().any(|other| other.name() == name);
        let known = if field.name().contains('.') { None } else { known(field.name(), fields) };
        let known = known.filter(|known| known == field.name() || !exact(known));
        let known = known.and_then(|name| fields.iter().find(|field| field.name == name));
        let name = known.map_or(field.name(), |known| &known.name);
        let mut metadata = HashMap::new();
        let data_type = match (field.data_type(), known.map(|known| &known.data_type)) {
            (DataType::Struct(inner), Some(Type::Struct(known))) => {
                DataType::Struct(renamed(inner, known))
            }
            (DataType::Map(entries, is_sorted), _) => {
                DataType::Map(with_text_keys(entries), *is_sorted)
            }
            (other, wanted) => {
                let decimal = match wanted {
                    Some(Type::Text { .. }) => Some(TEXT),
                    Some(Type::Int | Type::BigInt) => Some(WHOLE),
                    _ => None,
                };
                metadata.extend(decimal.map(|what| (DECIMAL_AS.to_owned(), what.to_owned())));
                other.clone()
            }
        };
        Arc::new(Field::new(name, data_type, true).with_metadata(metadata))
    };
    own.iter().map(spelled).collect()
}

/// JSON has no other keys.
fn with_text_keys(entries: &FieldRef) -> FieldRef {
    let DataType::Struct(fields) = entries.data_type() else { return Arc::clone(entries) };
    let mut fields: Vec<FieldRef> = fields.iter().cloned().collect();
    let is_text =
        |field: &FieldRef| matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View);
    if let Some(key) = fields.first_mut().filter(|key| !is_text(key)) {
        *key = Arc::new(key.as_ref().clone().with_data_type(DataType::Utf8));
    }
    Arc::new(entries.as_ref().clone().with_data_type(DataType::Struct(fields.into())))
}

/// Sends rows, about a chunk at once.
fn send(cutter: &mut Cutter, rows: &RecordBatch) -> Result<()> {
    let mut sizes = vec![0; rows.num_rows()];
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let own = sizes_of(column);
        let name = field.name().len() as u64 + 4;
        sizes.iter_mut().zip(own).for_each(|(size, own)| *size += own + name);
    }
    let limit = cutter.limit as u64;
    let mut first = 0;
    while first < rows.num_rows() && cutter.is_heard() {
        if sizes[first] > limit {
            cutter.too_large();
            cutter.next += 1;
            first += 1;
            continue;
        }
        let (mut n, mut bytes) = (0, 0);
        for size in sizes[first..].iter().take_while(|size| **size <= limit) {
            if n > 0 && bytes + size > CHUNK_BYTES as u64 {
                break;
            }
            (n, bytes) = (n + 1, bytes + size);
        }
        encode(cutter, &rows.slice(first, n))?;
        first += n;
    }
    Ok(())
}

fn encode(cutter: &mut Cutter, rows: &RecordBatch) -> Result<()> {
    let mut writer = arrow_json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Encoders))
        .build::<_, arrow_json::writer::LineDelimited>(Vec::new());
    let written = writer.write(rows).and_then(|()| writer.finish());
    written.map_err(broken)?;
    let lines = writer.into_inner();
    if lines.len() <= cutter.limit {
        cutter.lines(lines, rows.num_rows() as u64);
        return Ok(());
    }
    for line in lines.split(|byte| *byte == b'\n').take(rows.num_rows()) {
        if line.len() > cutter.limit {
            cutter.too_large();
        } else {
            cutter.record(line);
        }
        cutter.next += 1;
    }
    Ok(())
}

/// About how many bytes of JSON each value takes.
fn sizes_of(array: &ArrayRef) -> Vec<u64> {
    // A number, a moment, a word.
    const SCALAR: u64 = 28;
    let summed = |values: &ArrayRef, ends: &mut dyn Iterator<Item = (usize, usize)>| {
        let mut sums = vec![0];
        for size in sizes_of(values) {
            sums.push(sums[sums.len() - 1] + size + 1);
        }
        ends.map(|(start, end)| sums[end] - sums[start] + 2).collect()
    };
    match array.data_type() {
        DataType::Utf8View => {
            let array = array.as_string_view();
            (0..array.len()).map(|i| escaped(array.value(i).as_bytes())).collect()
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            (0..array.len()).map(|i| escaped(array.value(i).as_bytes())).collect()
        }
        DataType::BinaryView => {
            let array = array.as_binary_view();
            (0..array.len()).map(|i| 2 * array.value(i).len() as u64 + 2).collect()
        }
        DataType::FixedSizeBinary(n) => {
            vec![2 * u64::from(n.unsigned_abs()) + 2; array.len()]
        }
        DataType::Struct(fields) => {
            let mut sizes = vec![2; array.len()];
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                let name = field.name().len() as u64 + 4;
                let own = sizes_of(column);
                sizes.iter_mut().zip(own).for_each(|(size, own)| *size += own + name);
            }
            sizes
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let ends = list.value_offsets().windows(2);
            summed(list.values(), &mut ends.map(|ends| (index(ends[0]), index(ends[1]))))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let ends = list.value_offsets().windows(2);
            let at = |end: i64| usize::try_from(end).unwrap_or(0);
            summed(list.values(), &mut ends.map(|ends| (at(ends[0]), at(ends[1]))))
        }
        DataType::FixedSizeList(_, n) => {
            let n = index(*n);
            let ends = (0..array.len()).map(|i| (i * n, (i + 1) * n));
            summed(array.as_fixed_size_list().values(), &mut ends.into_iter())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let ends = map.value_offsets().windows(2);
            summed(&entries, &mut ends.map(|ends| (index(ends[0]), index(ends[1]))))
        }
        _ => vec![SCALAR; array.len()],
    }
}

fn index(end: i32) -> usize {
    usize::try_from(end).unwrap_or(0)
}

/// The bytes of a text in JSON; of one that is long, with its escapes.
fn escaped(text: &[u8]) -> u64 {
    const LONG: usize = 1 << 20;
    let n = text.len() as u64 + 2;
    if text.len() < LONG {
        return n;
    }
    let more = text.iter().map(|byte| match byte {
        0..=0x1f => 5,
        b'"' | b'\\' => 1,
        _ => 0,
    });
    n + more.sum::<u64>()
}
