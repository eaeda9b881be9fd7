//! The reader of Parquet files: whole ones row by row, and damaged ones, whose metadata, page headers
//! and values say anything.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    LargeStringArray, ListArray, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::{WriterProperties, WriterVersion};
use engine::decode::Class;

use crate::dice::Dice;
use crate::reading::{Desk, Reading, Text, What};
use crate::target::{Outcome, Target};

/// Memory beside that for each byte of the record limit, in bytes: rows that are read at once, of 4
/// MiB by their pages' headers, as columns and as JSON; chunks on their way.
const MEMORY: usize = 16 << 20;
/// A page may be eight times as large as a record, and three of one column are there at once: the one
/// that rows end in, and the next, packed and unpacked.
const MEMORY_PER_LIMIT: usize = 24;

/// The last of the whole files, which are large as values.
const SLOW: usize = 4;
/// Of files with more rows, only the number of rows is looked at.
const KEPT_ROWS: usize = 1000;

pub(crate) struct ParquetTarget {
    desk: Desk,
    wholes: Vec<Whole>,
}

/// A file that is whole, and the rows of it that are too large.
struct Whole {
    bytes: Bytes,
    n_rows: usize,
    too_large: Option<usize>,
}

/// A file, and the whole one that it is, if it is one.
pub(crate) struct Case {
    bytes: Bytes,
    whole: Option<usize>,
}

impl ParquetTarget {
    pub(crate) fn new(limit: usize) -> Self {
        let compressions = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::ZSTD(ZstdLevel::default()),
            Compression::GZIP(datafusion::parquet::basic::GzipLevel::default()),
            Compression::LZ4_RAW,
        ];
        let mut wholes = Vec::new();
        for (i, compression) in compressions.into_iter().enumerate() {
            for (j, n_rows) in [0, 1, 7, 120].into_iter().enumerate() {
                let is_second = (i + j) % 2 == 1;
                let version =
                    if is_second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
                let properties = WriterProperties::builder()
                    .set_compression(compression)
                    .set_writer_version(version)
                    .set_dictionary_enabled(j != 1)
                    .set_bloom_filter_enabled(j == 2)
                    .set_data_page_row_count_limit(if is_second { 20 } else { 20_000 })
                    .set_write_batch_size(16)
                    .set_max_row_group_row_count(Some(50))
                    .build();
                let too_large = (n_rows == 7).then_some(3);
                let size = too_large.map(|row| (row, limit + limit / 2));
                let rows = if i % 2 == 0 { plain(n_rows, size) } else { nested(n_rows, size) };
                wholes.push(Whole { bytes: file(&rows, properties).into(), n_rows, too_large });
            }
        }
        // Texts that share all but their last bytes: a small file, and large as values.
        let (n_rows, long) = (1500, "x".repeat(limit / 2));
        let column = (0..n_rows).map(|i| Some(format!("{long}{i}"))).collect::<StringArray>();
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_dictionary_enabled(false)
            .build();
        let rows = batch(vec![("id", ids(n_rows)), ("free", Arc::new(column))]);
        wholes.push(Whole { bytes: file(&rows, properties).into(), n_rows, too_large: None });
        wholes.extend([lists(limit), words(limit), wide(limit)]);
        Self { desk: Desk::new(limit), wholes }
    }
}

fn file(rows: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties));
    let mut writer = writer.expect("the columns can be written");
    writer.write(rows).expect("the rows can be written");
    writer.into_inner().expect("the file can be written")
}

/// Long lists of the same value: a small file, and large in memory.
fn lists(limit: usize) -> Whole {
    let (n_rows, length) = (200, limit / 2 - 100);
    let list = (0..n_rows).map(|i| Some(vec![Some(0); if i == 9 { 20 * limit } else { length }]));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(list);
    let rows = batch(vec![("id", ids(n_rows)), ("any", Arc::new(list))]);
    Whole { bytes: file(&rows, WriterProperties::default()).into(), n_rows, too_large: Some(9) }
}

/// Long values of a fixed length that stand in the file once.
fn words(limit: usize) -> Whole {
    let n_rows = 1500;
    let word = |i: usize| vec![u8::try_from(i % 3).unwrap_or(0); limit / 4];
    let words = FixedSizeBinaryArray::try_from_iter((0..n_rows).map(word));
    let words = words.expect("all are of one length");
    let rows = batch(vec![("id", ids(n_rows)), ("free", Arc::new(words))]);
    let coded = WriterProperties::builder()
        .set_dictionary_page_size_limit(limit)
        .set_data_page_size_limit(limit)
        .set_write_batch_size(16)
        .build();
    Whole { bytes: file(&rows, coded).into(), n_rows, too_large: None }
}

/// Columns whose pages are more than fit into memory together.
fn wide(limit: usize) -> Whole {
    let n_rows = 2000;
    let names: Vec<String> = (0..60).map(|i| format!("c{i}")).collect();
    let text =
        |i: usize| (0..n_rows).map(|k| Some(format!("{i} {k} {}", "x".repeat(300)))).collect();
    let columns = names.iter().enumerate();
    let columns =
        columns.map(|(i, name)| (name.as_str(), Arc::<StringArray>::new(text(i)) as ArrayRef));
    let rows = batch(std::iter::once(("id", ids(n_rows))).chain(columns).collect());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(4 * limit)
        .set_write_batch_size(16)
        .build();
    Whole { bytes: file(&rows, properties).into(), n_rows, too_large: None }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true)))
        .expect("the columns are of one length")
}

fn ids(n: usize) -> ArrayRef {
    Arc::new((0..n).map(|i| Some(format!("r{i}"))).collect::<StringArray>())
}

/// Texts, one of which may be large.
fn texts(n: usize, large: Option<(usize, usize)>) -> ArrayRef {
    let text = |i: usize| match large {
        Some((row, size)) if row == i => Some("x".repeat(size)),
        _ if i % 5 == 4 => None,
        _ => Some(format!("text \"{i}\"")),
    };
    Arc::new((0..n).map(text).collect::<StringArray>())
}

fn plain(n: usize, large: Option<(usize, usize)>) -> RecordBatch {
    let number = |i: usize| i64::try_from(i).unwrap_or(0) - 3;
    let nullable = |i: usize| (i % 4 != 1).then(|| number(i));
    let small = |i: usize| i32::try_from(i).ok();
    let doubles = [1.5, -0.0, f64::NAN, f64::INFINITY, 1e-310];
    let decimals = (0..n).map(|i| nullable(i).map(i128::from)).collect::<Decimal128Array>();
    let fixed = FixedSizeBinaryArray::try_from_iter((0..n.max(1)).map(|i| [i as u8, 0xff, 0x41]))
        .expect("all are of one length");
    let utc = (0..n).map(|i| nullable(i).map(|us| us * 86_400_000_000));
    batch(vec![
        ("id", ids(n)),
        ("n", Arc::new((0..n).map(nullable).collect::<Int64Array>())),
        ("small", Arc::new((0..n).map(small).collect::<Int32Array>())),
        ("x", Arc::new((0..n).map(|i| doubles.get(i % 7).copied()).collect::<Float64Array>())),
        ("ok", Arc::new((0..n).map(|i| Some(i % 2 == 0)).collect::<BooleanArray>())),
        ("at", Arc::new(utc.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
        ("day", Arc::new((0..n).map(small).collect::<Date32Array>())),
        ("free", texts(n, large)),
        ("user_id", Arc::new((0..n).map(|i| Some(format!("u{i}"))).collect::<LargeStringArray>())),
        ("decimal", Arc::new(decimals.with_precision_and_scale(30, 4).expect("a decimal"))),
        ("single", Arc::new((0..n).map(|i| Some(i as f32 / 3.0)).collect::<Float32Array>())),
        ("unsigned", Arc::new((0..n).map(|i| Some(u64::MAX - i as u64)).collect::<UInt64Array>())),
        (
            "time",
            Arc::new((0..n).map(|i| nullable(i).map(i64::abs)).collect::<Time64MicrosecondArray>()),
        ),
        ("ns", Arc::new((0..n).map(nullable).collect::<TimestampNanosecondArray>())),
        ("tiny", Arc::new((0..n).map(|i| i8::try_from(i).ok()).collect::<Int8Array>())),
        ("bytes", Arc::new(BinaryArray::from_iter_values((0..n).map(|i| [0xfe, i as u8])))),
        ("fixed", Arc::new(fixed.slice(0, n))),
    ])
}

fn nested(n: usize, large: Option<(usize, usize)>) -> RecordBatch {
    let number = |i: usize| (i % 4 != 1).then(|| i64::try_from(i).unwrap_or(0));
    let deep = StructArray::from(vec![(
        Arc::new(Field::new("c", DataType::Int64, true)),
        Arc::new((0..n).map(number).collect::<Int64Array>()) as ArrayRef,
    )]);
    let inner = StructArray::from(vec![
        (
            Arc::new(Field::new("a", DataType::Int64, true)),
            Arc::new((0..n).map(number).collect::<Int64Array>()) as ArrayRef,
        ),
        (Arc::new(Field::new("owner", DataType::Utf8, true)), texts(n, None)),
        (Arc::new(Field::new("deep", deep.data_type().clone(), true)), Arc::new(deep)),
    ]);
    let list = (0..n).map(|i| (i % 3 != 2).then(|| (0..i % 5).map(|k| i32::try_from(k).ok())));
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for i in 0..n {
        for k in 0..i % 3 {
            map.keys().append_value(format!("k{k}"));
            map.values().append_option((k > 0).then_some("v"));
        }
        map.append(i % 4 != 3).expect("keys and values are as many");
    }
    let words: DictionaryArray<Int32Type> =
        (0..n).map(|i| Some(["red", "green", "blue"][i % 3])).collect();
    batch(vec![
        ("id", ids(n)),
        ("inner", Arc::new(inner)),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(list))),
        ("map", Arc::new(map.finish())),
        ("free", texts(n, large)),
        ("word", Arc::new(words)),
    ])
}

/// Damages the metadata at the end, or what stands before it. The length of the metadata is put right
/// most of the time, or nothing behind it would be read.
fn damage(dice: &mut Dice, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let size = bytes.len();
    let length = bytes[size - 8..size - 4].try_into().map_or(0, u32::from_le_bytes);
    let footer = size - 8 - usize::try_from(length).unwrap_or(0).min(size - 8);
    let (mut values, mut metadata) = (bytes[..footer].to_vec(), bytes[footer..size - 8].to_vec());
    let mut end = bytes[size - 8..].to_vec();
    match dice.below(8) {
        0 => {
            let mut all = bytes.to_vec();
            dice.damage(&mut all, &[other]);
            return all;
        }
        1 => {
            dice.damage(&mut values, &[other]);
            dice.damage(&mut metadata, &[other]);
        }
        // In place, so that everything else stays where the metadata says.
        2..=4 if !values.is_empty() => {
            for _ in 0..dice.between(1, 4) {
                let at = dice.below(values.len());
                let bits = dice.bits().to_le_bytes();
                let n = dice.between(1, 4).min(values.len() - at);
                values[at..at + n].copy_from_slice(&bits[..n]);
            }
        }
        _ => {
            for _ in 0..dice.between(1, 3) {
                let at = dice.below(metadata.len().max(1));
                match metadata.get_mut(at) {
                    Some(byte) if !dice.once_in(4) => *byte ^= 1 << dice.below(8),
                    _ => dice.damage(&mut metadata, &[other]),
                }
            }
        }
    }
    if !dice.once_in(8) {
        let length = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
        end[..4].copy_from_slice(&length.to_le_bytes());
    }
    [values, metadata, end].concat()
}

impl Target for ParquetTarget {
    type Case = Case;
    type Came = Reading;

    fn case(&mut self, dice: &mut Dice) -> Case {
        // The last take a while.
        let n_quick = self.wholes.len() - SLOW;
        let whole =
            if dice.once_in(100) { n_quick + dice.below(SLOW) } else { dice.below(n_quick) };
        if dice.once_in(20) || whole >= n_quick && !dice.once_in(3) {
            return Case { bytes: self.wholes[whole].bytes.clone(), whole: Some(whole) };
        }
        let other = &self.wholes[dice.below(self.wholes.len())].bytes;
        Case { bytes: damage(dice, &self.wholes[whole].bytes, other).into(), whole: None }
    }

    fn files(case: &Case) -> Vec<(String, &[u8])> {
        vec![("a.parquet".to_owned(), &case.bytes)]
    }

    fn run(&mut self, case: &Case) -> Result<Reading, String> {
        let is_kept = case.whole.is_some_and(|whole| self.wholes[whole].n_rows < KEPT_ROWS);
        let kept = if is_kept { Text::Kept } else { Text::Ours };
        self.desk.read("a.parquet", &case.bytes, &[case.bytes.len()], kept)
    }

    fn judge(&mut self, case: &Case, mut reading: Reading) -> Result<Outcome, String> {
        reading.settle()?;
        if let Some(whole) = case.whole {
            check(&reading, &self.wholes[whole])?;
        }
        let outcome = Outcome { accepted: reading.n_records, rejected: reading.n_refused };
        self.desk.done(reading);
        Ok(outcome)
    }

    fn memory(&self, _: &Case) -> usize {
        MEMORY + MEMORY_PER_LIMIT * self.desk.limit
    }
}

/// Every row of a whole file is there, under its id.
fn check(reading: &Reading, whole: &Whole) -> Result<(), String> {
    if let Some((position, message)) = &reading.fault {
        return Err(format!("an undamaged file has a fault at {position}: {message}"));
    }
    if reading.items.len() != whole.n_rows {
        return Err(format!("{} rows came of {}", reading.items.len(), whole.n_rows));
    }
    for (i, item) in reading.items.iter().enumerate() {
        let is_there = usize::try_from(item.position) == Ok(i);
        let text = reading.texts.get(&item.position).map_or("", String::as_str);
        let id = format!("\"id\":\"r{i}\"");
        let is_right = match item.what {
            What::Record(_) => {
                let is_known = whole.n_rows >= KEPT_ROWS || text.contains(&id);
                is_known && whole.too_large != Some(i)
            }
            What::Refused(class) => class == Class::TooLarge && whole.too_large == Some(i),
        };
        if !is_there || !is_right {
            return Err(format!("row {i} is {item:?}: {text}"));
        }
    }
    Ok(())
}
