//! Reads the files of a batch and cuts them into chunks of whole JSON records.

use std::io::{self, Read};
use std::sync::Arc;

use super::csv_line::{CsvColumn, csv_line};
use bytes::Bytes;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::mpsc;

use super::{Folder, Format, Packing, format_of};
use crate::batchlog::{Batch, Range};
use crate::chunk::{Chunk, Origin};
use crate::contract::TypedField;
use crate::error::{Error, Kind, Result};

/// Bytes fetched from the store at once.
const FETCH_BYTES: u64 = 4 << 20;
/// A chunk is cut at the first line's end behind this many bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// A record above this size stops the run: it would not fit in memory many times.
const RECORD_BYTES_MAX: usize = 64 << 20;

const LAND_AGAIN: &str = "land it again under a new name";

/// Reads the batches of a folder.
#[derive(Clone, Debug)]
pub struct Reader {
    folder: Folder,
    fields: Arc<[TypedField]>,
}

impl Reader {
    /// A reader of `folder`; the fields say which values of a CSV row are numbers.
    pub fn new(folder: Folder, fields: Vec<TypedField>) -> Self {
        Self { folder, fields: fields.into() }
    }

    /// Sends the chunks of a batch, in its order; ends early if nobody listens any more.
    pub async fn read(&self, batch: &Batch, chunks: &mpsc::Sender<Chunk>) -> Result<()> {
        for range in &batch.ranges {
            if chunks.is_closed() {
                return Ok(());
            }
            match self.read_range(range, chunks).await {
                // It was there when the batch was written: what is gone is decided as well.
                Err(error) if error.kind() == Kind::Data => self.gone(range, &error, chunks).await,
                other => other?,
            }
        }
        Ok(())
    }

    async fn gone(&self, range: &Range, error: &Error, chunks: &mpsc::Sender<Chunk>) {
        let origin = Origin::file(&self.folder.place(&range.path), range.modified_ms);
        // Nobody listens any more only if the run has failed already.
        let _ = chunks.send(Chunk::fault(origin, 0, cause_of(error))).await;
    }

    async fn read_range(&self, range: &Range, chunks: &mpsc::Sender<Chunk>) -> Result<()> {
        let (format, packing) = format_of(&range.path).unwrap_or((Format::Json, Packing::Plain));
        let cutter = Cutter {
            folder: self.folder.clone(),
            origin: Origin::file(&self.folder.place(&range.path), range.modified_ms),
            next_record: 0,
            chunks: chunks.clone(),
        };
        // Records before `start` are counted, not decoded: `_offset` numbers a file's records.
        let (from, skip) = match (format, packing) {
            (Format::Json, Packing::Plain) => (range.start, Skip::Nothing),
            _ if range.start == 0 => (0, Skip::Nothing),
            _ => (0, Skip::Records(self.count(range, format, packing).await?)),
        };
        let mut cutter = cutter;
        if from > 0 {
            cutter.next_record = self.count(range, format, packing).await?;
        }
        let place = self.folder.place(&range.path);
        let fields = Arc::clone(&self.fields);
        self.through(&range.path, from..range.end, move |bytes| {
            let result = match format {
                Format::Parquet => cutter.parquet(bytes, packing),
                Format::Csv => cutter.csv(bytes, packing, skip, &fields),
                Format::Json => cutter.json(bytes, packing, skip),
            };
            match result {
                Err(error) if error.kind() == Kind::Data => {
                    cutter.fault(&error);
                    Ok(())
                }
                other => other.map_err(|error| error.at(&place)),
            }
        })
        .await
    }

    /// The records of a file before `range.start`.
    async fn count(&self, range: &Range, format: Format, packing: Packing) -> Result<u64> {
        let (sender, mut receiver) = mpsc::channel::<u64>(1);
        let place = self.folder.place(&range.path);
        let counting = self.through(&range.path, 0..range.start, move |bytes| {
            let n = match format {
                Format::Csv => csv_reader(bytes, packing).byte_records().count() as u64,
                _ => count_newlines(unpacked(bytes, packing))
                    .map_err(|cause| Error::io(&place, cause))?,
            };
            // The receiver waits below; it is gone only if the run is.
            let _ = sender.blocking_send(n);
            Ok(())
        });
        let (counted, n) = tokio::join!(counting, receiver.recv());
        counted?;
        Ok(n.unwrap_or_default())
    }

    /// Feeds bytes of a file to `work`, which runs on a thread of its own.
    async fn through<F>(&self, path: &str, range: std::ops::Range<u64>, work: F) -> Result<()>
    where
        F: FnOnce(Pipe) -> Result<()> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(2);
        let worker =
            tokio::task::spawn_blocking(move || work(Pipe { receiver, rest: Bytes::new() }));
        let mut at = range.start;
        let mut fetched = Ok(());
        while at < range.end {
            let end = range.end.min(at + FETCH_BYTES);
            match self.folder.bytes(path, at..end).await {
                Ok(bytes) => {
                    if sender.send(bytes).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    fetched = Err(error);
                    break;
                }
            }
            at = end;
        }
        drop(sender);
        let result =
            worker.await.map_err(|cause| Error::internal("a reader broke").caused_by(cause))?;
        fetched.and(result)
    }
}

/// What of a file was read by earlier batches.
#[derive(Clone, Copy, Debug)]
enum Skip {
    Nothing,
    Records(u64),
}

/// Bytes from the fetching task, as a blocking reader.
#[derive(Debug)]
struct Pipe {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(bytes) => self.rest = bytes,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.rest.len());
        buffer[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}

fn unpacked(bytes: Pipe, packing: Packing) -> Box<dyn Read> {
    match packing {
        Packing::Plain => Box::new(bytes),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        Packing::Zstd => match zstd::Decoder::new(bytes) {
            Ok(decoder) => Box::new(decoder),
            Err(cause) => Box::new(Broken(Some(cause))),
        },
    }
}

/// A reader that could not be made: its error shows when it is read.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

fn csv_reader(bytes: Pipe, packing: Packing) -> csv::Reader<Box<dyn Read>> {
    csv::ReaderBuilder::new().flexible(true).from_reader(unpacked(bytes, packing))
}

fn count_newlines(mut bytes: Box<dyn Read>) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut n = 0;
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(n),
            read => n += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64,
        }
    }
}

/// Cuts one file into chunks.
struct Cutter {
    folder: Folder,
    origin: Origin,
    next_record: u64,
    chunks: mpsc::Sender<Chunk>,
}

impl Cutter {
    /// Sends lines on; `false` if nobody listens any more.
    fn send(&mut self, lines: Vec<u8>) -> bool {
        let n = memchr::memchr_iter(b'\n', &lines).count() as u64;
        let chunk = Chunk::lines(self.origin.clone(), self.position(), lines);
        self.next_record += n;
        self.chunks.blocking_send(chunk).is_ok()
    }

    fn position(&self) -> i64 {
        i64::try_from(self.next_record).unwrap_or(i64::MAX)
    }

    /// Tells that the rest of the file cannot be read.
    fn fault(&mut self, error: &Error) {
        let chunk = Chunk::fault(self.origin.clone(), self.position(), cause_of(error));
        // Nobody listens any more only if the run has failed already.
        let _ = self.chunks.blocking_send(chunk);
    }

    fn json(&mut self, bytes: Pipe, packing: Packing, skip: Skip) -> Result<()> {
        let mut bytes = unpacked(bytes, packing);
        let mut to_skip = match skip {
            Skip::Nothing => 0,
            Skip::Records(n) => n,
        };
        let first = self.next_record == 0 && to_skip == 0;
        let mut buffer: Vec<u8> = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2));
        loop {
            let start = buffer.len();
            buffer.resize(start + CHUNK_BYTES, 0);
            let read = fill(bytes.as_mut(), &mut buffer[start..])
                .map_err(|cause| damaged(packing, cause))?;
            buffer.truncate(start + read);
            if first && self.next_record == 0 && buffer.starts_with(b"\xef\xbb\xbf") {
                buffer.drain(..3);
            }
            let end = if read == 0 {
                buffer.len()
            } else {
                memchr::memrchr(b'\n', &buffer).map_or(0, |at| at + 1)
            };
            if end == 0 && buffer.len() > RECORD_BYTES_MAX {
                return Err(Error::data(format!(
                    "record {} is longer than {} MiB",
                    self.next_record,
                    RECORD_BYTES_MAX >> 20
                ))
                .hint("land the rest of the file under a new name"));
            }
            let rest = buffer.split_off(end);
            let mut lines = std::mem::replace(&mut buffer, rest);
            while to_skip > 0 && !lines.is_empty() {
                let line = memchr::memchr(b'\n', &lines).map_or(lines.len(), |at| at + 1);
                lines.drain(..line);
                to_skip -= 1;
                self.next_record += 1;
            }
            if (!lines.is_empty() && !self.send(lines)) || read == 0 {
                return Ok(());
            }
            buffer.reserve(CHUNK_BYTES);
        }
    }

    fn csv(
        &mut self,
        bytes: Pipe,
        packing: Packing,
        skip: Skip,
        fields: &[TypedField],
    ) -> Result<()> {
        let mut reader = csv_reader(bytes, packing);
        let broken = |cause: csv::Error| {
            Error::data("the CSV cannot be read").hint(LAND_AGAIN).caused_by(cause)
        };
        let header = reader.byte_headers().map_err(broken)?.clone();
        let columns: Vec<CsvColumn> =
            header.iter().map(|name| CsvColumn::new(name, fields)).collect();
        let mut lines = Vec::new();
        let mut record = csv::ByteRecord::new();
        let mut to_skip = match skip {
            Skip::Nothing => 0,
            Skip::Records(n) => n,
        };
        while reader.read_byte_record(&mut record).map_err(broken)? {
            if to_skip > 0 {
                to_skip -= 1;
                self.next_record += 1;
                continue;
            }
            csv_line(&columns, &record, &mut lines);
            if lines.len() >= CHUNK_BYTES && !self.send(std::mem::take(&mut lines)) {
                return Ok(());
            }
        }
        if !lines.is_empty() {
            self.send(lines);
        }
        Ok(())
    }

    fn parquet(&mut self, mut bytes: Pipe, packing: Packing) -> Result<()> {
        let failed = |cause: io::Error| Error::io("cannot buffer the Parquet file", cause);
        if packing != Packing::Plain {
            return Err(Error::data("a packed Parquet file cannot be read")
                .hint("Parquet is packed inside: land it as .parquet"));
        }
        let mut file = self.folder.buffer().map_err(failed)?;
        io::copy(&mut bytes, &mut file).map_err(failed)?;
        let broken = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::data("the Parquet file cannot be read").hint(LAND_AGAIN).caused_by(cause)
        };
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(4096).build())
            .map_err(|cause| broken(cause.into()))?;
        for rows in batches {
            let rows = rows.map_err(|cause| broken(cause.into()))?;
            let mut writer = arrow_json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .with_timestamp_format("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned())
                .with_timestamp_tz_format("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned())
                .build::<_, arrow_json::writer::LineDelimited>(Vec::new());
            let written = writer.write(&rows).and_then(|()| writer.finish());
            written.map_err(|cause| broken(cause.into()))?;
            if !self.send(writer.into_inner()) {
                break;
            }
        }
        Ok(())
    }
}

/// An error and its causes in one line.
fn cause_of(error: &Error) -> String {
    error.report().trim_start_matches("error: ").replace("\n  ", ", ").replace("\nhint: ", "; ")
}

fn damaged(packing: Packing, cause: io::Error) -> Error {
    if packing == Packing::Plain {
        return Error::io("cannot read the file", cause);
    }
    Error::data("the file is damaged, or is not packed as its name says")
        .hint(LAND_AGAIN)
        .caused_by(cause)
}

fn fill(bytes: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match bytes.read(&mut buffer[n..])? {
            0 => break,
            read => n += read,
        }
    }
    Ok(n)
}
