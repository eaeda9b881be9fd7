//! Reads the files of a batch and cuts them into chunks of whole JSON records.

use std::io::{self, Read};
use std::sync::Arc;

use super::csv_line::{csv_columns, csv_line};
use super::parquet_rows::plain;
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
/// A record above this size is not read: it would not fit in memory many times.
const RECORD_BYTES_MAX: usize = 16 << 20;

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
        // What earlier batches took is counted, not decoded: `_offset` numbers a file's records.
        let before = match range.start {
            0 => Before::default(),
            _ => self.before(range, format, packing).await?,
        };
        let (from, before) = match (format, packing) {
            (Format::Json, Packing::Plain) => (range.start, Before { bytes: 0, ..before }),
            _ => (0, before),
        };
        let mut cutter = Cutter {
            folder: self.folder.clone(),
            origin: Origin::file(&self.folder.place(&range.path), range.modified_ms),
            next_record: before.records,
            chunks: chunks.clone(),
        };
        let place = self.folder.place(&range.path);
        let fields = Arc::clone(&self.fields);
        self.through(&range.path, from..range.end, move |bytes| {
            let result = match format {
                Format::Parquet => cutter.parquet(bytes, packing),
                Format::Csv => cutter.csv(bytes, packing, &fields),
                Format::Json => cutter.json(bytes, packing, before.bytes),
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

    /// What earlier batches took of a file: the text of the stored bytes before `range.start`.
    async fn before(&self, range: &Range, format: Format, packing: Packing) -> Result<Before> {
        let (sender, mut receiver) = mpsc::channel::<Before>(1);
        let counting = self.through(&range.path, 0..range.start, move |bytes| {
            let before = match format {
                // A row that could not be read was the last that the earlier batch saw.
                Format::Csv => {
                    let rows = csv_reader(bytes, packing).into_byte_records();
                    let records = rows.take_while(std::result::Result::is_ok).count() as u64;
                    Before { bytes: 0, records }
                }
                _ => whole_lines(unpacked(bytes, packing)),
            };
            // The receiver waits below; it is gone only if the run is.
            let _ = sender.blocking_send(before);
            Ok(())
        });
        let (counted, before) = tokio::join!(counting, receiver.recv());
        counted?;
        Ok(before.unwrap_or_default())
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

/// What earlier batches took of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    /// Bytes of its text, unpacked.
    bytes: u64,
    records: u64,
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

/// What a run takes of a text that ends here: all of it, or up to the last line before a fault.
fn whole_lines(mut text: Box<dyn Read>) -> Before {
    let mut buffer = vec![0; 1 << 16];
    let (mut read, mut lines) = (0, Before::default());
    loop {
        match text.read(&mut buffer) {
            Ok(0) => return Before { bytes: read, ..lines },
            Ok(n) => {
                lines.records += memchr::memchr_iter(b'\n', &buffer[..n]).count() as u64;
                if let Some(at) = memchr::memrchr(b'\n', &buffer[..n]) {
                    lines.bytes = read + at as u64 + 1;
                }
                read += n as u64;
            }
            Err(_) => return lines,
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

    fn json(&mut self, bytes: Pipe, packing: Packing, skip: u64) -> Result<()> {
        let mut text = unpacked(bytes, packing);
        io::copy(&mut text.by_ref().take(skip), &mut io::sink())
            .map_err(|cause| damaged(packing, cause))?;
        let mut at_start = skip == 0 && self.next_record == 0;
        let mut buffer: Vec<u8> = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2));
        let mut in_long_record = false;
        loop {
            let start = buffer.len();
            buffer.resize(start + CHUNK_BYTES, 0);
            let (read, fault) = fill(text.as_mut(), &mut buffer[start..]);
            buffer.truncate(start + read);
            let ended = read < CHUNK_BYTES && fault.is_none();
            if std::mem::take(&mut at_start) && buffer.starts_with(b"\xef\xbb\xbf") {
                buffer.drain(..3);
            }
            if in_long_record {
                in_long_record = !self.skip_long_record(&mut buffer);
            }
            let whole = memchr::memrchr(b'\n', &buffer).map_or(0, |at| at + 1);
            let rest = buffer.split_off(if ended { buffer.len() } else { whole });
            let lines = std::mem::replace(&mut buffer, rest);
            if !lines.is_empty() && !self.send(lines) {
                return Ok(());
            }
            if let Some(cause) = fault {
                return Err(damaged(packing, cause));
            }
            if ended {
                return Ok(());
            }
            if buffer.len() > RECORD_BYTES_MAX {
                self.fault(&Error::data(format!(
                    "the record is longer than {} MiB",
                    RECORD_BYTES_MAX >> 20
                )));
                buffer.clear();
                in_long_record = true;
            }
            buffer.reserve(CHUNK_BYTES);
        }
    }

    /// Drops the rest of a record that is too long; whether it ends in the buffer.
    fn skip_long_record(&mut self, buffer: &mut Vec<u8>) -> bool {
        let Some(at) = memchr::memchr(b'\n', buffer) else {
            buffer.clear();
            return false;
        };
        buffer.drain(..=at);
        self.next_record += 1;
        true
    }

    fn csv(&mut self, bytes: Pipe, packing: Packing, fields: &[TypedField]) -> Result<()> {
        let mut reader = csv_reader(bytes, packing);
        let broken = |cause: csv::Error| {
            Error::data("the CSV cannot be read").hint(LAND_AGAIN).caused_by(cause)
        };
        let columns = csv_columns(reader.byte_headers().map_err(broken)?, fields)?;
        let mut lines = Vec::new();
        let mut record = csv::ByteRecord::new();
        let mut to_skip = self.next_record;
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) if to_skip > 0 => to_skip -= 1,
                Ok(true) => csv_line(&columns, &record, &mut lines),
                ended => {
                    if !lines.is_empty() {
                        self.send(lines);
                    }
                    return ended.map(drop).map_err(broken);
                }
            }
            if lines.len() >= CHUNK_BYTES && !self.send(std::mem::take(&mut lines)) {
                return Ok(());
            }
        }
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
            let rows = rows.and_then(|rows| plain(&rows)).map_err(|cause| broken(cause.into()))?;
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

/// Reads until the buffer is full, the text ends, or cannot be read further.
fn fill(text: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut n = 0;
    while n < buffer.len() {
        match text.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(read) => n += read,
            Err(cause) => return (n, Some(cause)),
        }
    }
    (n, None)
}
