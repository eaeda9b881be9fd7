//! Rows of folders whose turn has not come: in memory up to a bound, the rest in a scratch file
//! from which each folder's rows are read by themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::FileReader;
use datafusion::arrow::ipc::writer::FileWriter;
use tempfile::TempDir;

use crate::error::{Error, Result};

/// Makes a folder for what does not stay, when it is needed.
pub type Scratch = Arc<dyn Fn() -> Result<TempDir> + Send + Sync>;

/// Bytes of rows in memory. What is written at once has a few dozen kilobytes for each of a
/// thousand folders, which is several times what the file's format adds.
const MEMORY_BYTES: usize = 64 << 20;
/// Bytes that it takes to know a row's folder and place.
const PLACE_BYTES: usize = size_of::<Place>() + size_of::<u32>();
/// Rows of a part.
const PART_ROWS: usize = 8192;

/// A row in memory: its folder, its batch, and its place there.
type Place = (u32, u32, u32);

/// Rows that are put aside.
pub(super) struct Aside {
    scratch: Scratch,
    memory_bytes: usize,
    batches: Vec<(RecordBatch, Vec<u32>)>,
    bytes: usize,
    file: Option<ScratchFile>,
    /// Once all rows are there: those in memory by folder.
    sorted: Sorted,
}

#[derive(Default)]
struct Sorted {
    batches: Vec<RecordBatch>,
    places: Vec<Place>,
    /// The parts of each folder, as ranges of `places`.
    parts: BTreeMap<u32, Vec<Range<usize>>>,
}

/// A file of parts, each of one folder.
struct ScratchFile {
    writer: Option<FileWriter<BufWriter<File>>>,
    reader: Option<FileReader<BufReader<File>>>,
    n_parts: usize,
    /// The parts of each folder, by their numbers in the file.
    parts: BTreeMap<u32, Vec<usize>>,
    /// Deleted with the rest, and after it.
    folder: TempDir,
}

impl Aside {
    pub(super) fn new(scratch: Scratch) -> Self {
        Self {
            scratch,
            memory_bytes: MEMORY_BYTES,
            batches: Vec::new(),
            bytes: 0,
            file: None,
            sorted: Sorted::default(),
        }
    }

    /// Puts rows aside, each with its folder.
    pub(super) fn put(&mut self, rows: RecordBatch, folders: Vec<u32>) -> Result<()> {
        self.bytes += rows.get_array_memory_size() + rows.num_rows() * PLACE_BYTES;
        self.batches.push((rows, folders));
        if self.bytes > self.memory_bytes { self.spill() } else { Ok(()) }
    }

    /// The folders of all rows. No more may be put aside.
    pub(super) fn folders(&mut self) -> Result<Vec<u32>> {
        self.sorted = Sorted::new(std::mem::take(&mut self.batches));
        let mut folders: Vec<u32> = self.sorted.parts.keys().copied().collect();
        if let Some(file) = &mut self.file {
            file.begin_reading().map_err(failed)?;
            folders.extend(file.parts.keys());
            folders.sort_unstable();
            folders.dedup();
        }
        Ok(folders)
    }

    /// How many parts the rows of a folder have.
    pub(super) fn n_parts(&self, folder: u32) -> usize {
        let in_memory = self.sorted.parts.get(&folder).map_or(0, Vec::len);
        self.file.as_ref().map_or(0, |file| file.n_parts_of(folder)) + in_memory
    }

    /// A part of a folder's rows; all parts one after the other are in the order of `put`.
    pub(super) fn part(&mut self, folder: u32, at: usize) -> Result<RecordBatch> {
        let n_in_file = self.file.as_ref().map_or(0, |file| file.n_parts_of(folder));
        let part = match &mut self.file {
            Some(file) if at < n_in_file => file.read(file.parts[&folder][at]),
            _ => self.sorted.part(self.sorted.parts[&folder][at - n_in_file].clone()),
        };
        part.map_err(failed)
    }

    fn spill(&mut self) -> Result<()> {
        let sorted = Sorted::new(std::mem::take(&mut self.batches));
        self.bytes = 0;
        let Some(first) = sorted.batches.first() else { return Ok(()) };
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let folder = (self.scratch)()?;
            self.file.insert(ScratchFile::create(folder, first).map_err(failed)?)
        };
        file.add(&sorted).map_err(failed)
    }
}

impl Sorted {
    fn new(batches: Vec<(RecordBatch, Vec<u32>)>) -> Self {
        let mut places = Vec::with_capacity(batches.iter().map(|(_, rows)| rows.len()).sum());
        let mut all = Vec::with_capacity(batches.len());
        for (batch, (rows, folders)) in (0_u32..).zip(batches) {
            places.extend((0_u32..).zip(folders).map(|(row, folder)| (folder, batch, row)));
            all.push(rows);
        }
        // A place is one row's, so that rows of a folder stay in their order.
        places.sort_unstable();
        let mut parts: BTreeMap<u32, Vec<Range<usize>>> = BTreeMap::new();
        let mut start = 0;
        for folder in places.chunk_by(|a, b| a.0 == b.0) {
            let end = start + folder.len();
            let ranges = (start..end).step_by(PART_ROWS).map(|at| at..end.min(at + PART_ROWS));
            parts.insert(folder[0].0, ranges.collect());
            start = end;
        }
        Self { batches: all, places, parts }
    }

    fn part(&self, range: Range<usize>) -> Result<RecordBatch, ArrowError> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let places = self.places[range].iter();
        let places: Vec<(usize, usize)> =
            places.map(|(_, batch, row)| (*batch as usize, *row as usize)).collect();
        interleave_record_batch(&batches, &places)
    }
}

impl ScratchFile {
    fn create(folder: TempDir, rows: &RecordBatch) -> Result<Self, ArrowError> {
        let file = BufWriter::new(File::create_new(folder.path().join("rows"))?);
        let writer = Some(FileWriter::try_new(file, rows.schema_ref())?);
        Ok(Self { writer, reader: None, n_parts: 0, parts: BTreeMap::new(), folder })
    }

    fn n_parts_of(&self, folder: u32) -> usize {
        self.parts.get(&folder).map_or(0, Vec::len)
    }

    fn add(&mut self, sorted: &Sorted) -> Result<(), ArrowError> {
        let Some(writer) = &mut self.writer else { return Err(closed()) };
        for (folder, ranges) in &sorted.parts {
            for range in ranges {
                writer.write(&sorted.part(range.clone())?)?;
                self.parts.entry(*folder).or_default().push(self.n_parts);
                self.n_parts += 1;
            }
        }
        Ok(())
    }

    fn begin_reading(&mut self) -> Result<(), ArrowError> {
        if let Some(mut writer) = self.writer.take() {
            writer.finish()?;
        }
        let file = BufReader::new(File::open(self.folder.path().join("rows"))?);
        self.reader = Some(FileReader::try_new(file, None)?);
        Ok(())
    }

    fn read(&mut self, part: usize) -> Result<RecordBatch, ArrowError> {
        let Some(reader) = &mut self.reader else { return Err(closed()) };
        reader.set_index(part)?;
        reader.next().unwrap_or_else(|| Err(closed()))
    }
}

fn closed() -> ArrowError {
    ArrowError::InvalidArgumentError("the scratch file does not have these rows".to_owned())
}

fn failed(cause: ArrowError) -> Error {
    match cause {
        ArrowError::IoError(_, cause) => Error::io("cannot put rows aside", cause),
        cause => Error::internal("rows cannot be put aside").caused_by(cause),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    /// All rows of a folder, as they come back.
    fn rows_of(aside: &mut Aside, folder: u32) -> Vec<i64> {
        let parts = (0..aside.n_parts(folder)).map(|at| aside.part(folder, at).unwrap());
        let numbers =
            parts.flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec());
        numbers.collect()
    }

    #[test]
    fn rows_come_back_folder_by_folder_in_their_order_from_memory_and_from_a_file() {
        for (memory_bytes, is_file) in [(MEMORY_BYTES, false), (20_000, true), (1, true)] {
            let mut aside = Aside::new(Arc::new(|| Ok(tempfile::tempdir().unwrap())));
            aside.memory_bytes = memory_bytes;
            for batch in 0..10_i64 {
                let numbers: Vec<i64> = (0..300).map(|row| batch * 300 + row).collect();
                let folders = numbers.iter().map(|n| u32::try_from(40 + n % 7).unwrap()).collect();
                let texts: Vec<String> = numbers.iter().map(|n| format!("{n:032}")).collect();
                let columns: [(&str, ArrayRef); 2] = [
                    ("n", Arc::new(Int64Array::from(numbers))),
                    ("s", Arc::new(StringArray::from(texts))),
                ];
                aside.put(RecordBatch::try_from_iter(columns).unwrap(), folders).unwrap();
            }
            assert_eq!(aside.file.is_some(), is_file);
            assert_eq!(aside.folders().unwrap(), [40, 41, 42, 43, 44, 45, 46]);
            for folder in 40..47 {
                let wanted: Vec<i64> =
                    (0..3000).filter(|n| n % 7 == i64::from(folder) - 40).collect();
                assert_eq!(rows_of(&mut aside, folder), wanted, "{memory_bytes}");
            }
            assert_eq!(aside.n_parts(39), 0);
        }
    }

    #[test]
    fn where_nothing_was_put_aside_there_is_nothing_and_no_file() {
        let mut aside = Aside::new(Arc::new(|| Err(Error::internal("no folder is needed"))));
        assert_eq!(aside.folders().unwrap(), [0_u32; 0]);
    }
}
