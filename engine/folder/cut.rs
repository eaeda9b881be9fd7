//! Records of one file on their way into chunks, each with its position.

use tokio::sync::mpsc;

use crate::chunk::{Chunk, Origin, Record};
use crate::decode::{Class, Reject};
use crate::error::Error;

/// A chunk is cut at the first record's end behind this many bytes.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Records of a chunk at most: short ones are many.
const CHUNK_RECORDS: usize = 1 << 14;

/// Where the chunks of one file go.
pub(super) struct Cutter {
    origin: Origin,
    chunks: Option<mpsc::Sender<Chunk>>,
    /// The position of the next record.
    pub(super) next: u64,
    /// Bytes of a record at most.
    pub(super) limit: usize,
    bytes: Vec<u8>,
    records: Vec<Record>,
    refused_bytes: Vec<u8>,
    refused: Vec<(Record, Reject)>,
    /// Whether somebody still listens.
    is_heard: bool,
}

impl Cutter {
    /// Without a channel, records are counted and nothing is sent.
    pub(super) fn new(origin: Origin, limit: usize, chunks: Option<mpsc::Sender<Chunk>>) -> Self {
        Self {
            origin,
            chunks,
            next: 0,
            limit,
            bytes: Vec::new(),
            records: Vec::new(),
            refused_bytes: Vec::new(),
            refused: Vec::new(),
            is_heard: true,
        }
    }

    /// Whether anybody still wants the records.
    pub(super) fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Sends whole lines, each a record.
    pub(super) fn lines(&mut self, lines: Vec<u8>, n: u64) {
        self.flush();
        let first = self.position();
        self.next += n;
        let origin = self.origin.clone();
        self.send(|| Chunk::lines(origin, first, lines));
    }

    /// Takes a record at the next position; the position does not move.
    pub(super) fn record(&mut self, text: &[u8]) {
        let record = |bytes: &mut Vec<u8>| bytes.extend_from_slice(text);
        self.record_by(|bytes| {
            record(bytes);
            Ok(())
        });
    }

    /// Takes a record that `write` appends, or refuses it; the position does not move.
    pub(super) fn record_by(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Reject>) {
        if self.chunks.is_none() {
            return;
        }
        let start = self.bytes.len();
        if let Err(reject) = write(&mut self.bytes) {
            self.bytes.truncate(start);
            self.bytes.shrink_to(CHUNK_BYTES);
            self.refuse(reject, &[]);
            return;
        }
        let span = start..self.bytes.len();
        let record = Record { span: Some(span), ..self.place() };
        self.records.push(record);
        if self.bytes.len() >= CHUNK_BYTES || self.records.len() >= CHUNK_RECORDS {
            self.flush();
        }
    }

    /// A record that cannot be taken, with its bytes; the position does not move.
    pub(super) fn refuse(&mut self, reject: Reject, raw: &[u8]) {
        if self.chunks.is_none() {
            return;
        }
        let start = self.refused_bytes.len();
        self.refused_bytes.extend_from_slice(raw);
        let record = Record { span: Some(start..self.refused_bytes.len()), ..self.place() };
        self.refused.push((record, reject));
        if self.refused_bytes.len() >= CHUNK_BYTES || self.refused.len() >= CHUNK_RECORDS {
            self.flush();
        }
    }

    /// A record above the limit: its place is kept, its bytes are not.
    pub(super) fn too_large(&mut self) {
        self.refuse(too_large(self.limit), &[]);
    }

    /// What says that the rest of the file cannot be read.
    pub(super) fn fault(&self, error: &Error) -> Chunk {
        Chunk::fault(self.origin.clone(), self.position(), cause_of(error))
    }

    /// Sends what is pending.
    pub(super) fn flush(&mut self) {
        if !self.records.is_empty() {
            let (bytes, records) =
                (std::mem::take(&mut self.bytes), std::mem::take(&mut self.records));
            let origin = self.origin.clone();
            self.send(|| Chunk::records(origin, bytes, records));
        }
        if !self.refused.is_empty() {
            let (bytes, records) =
                (std::mem::take(&mut self.refused_bytes), std::mem::take(&mut self.refused));
            let origin = self.origin.clone();
            self.send(|| Chunk::refused(origin, bytes, records));
        }
    }

    fn send(&mut self, chunk: impl FnOnce() -> Chunk) {
        if let Some(chunks) = &self.chunks {
            self.is_heard = chunks.blocking_send(chunk()).is_ok();
        }
    }

    fn position(&self) -> i64 {
        i64::try_from(self.next).unwrap_or(i64::MAX)
    }

    fn place(&self) -> Record {
        Record {
            partition: None,
            position: self.position(),
            record_ts_us: self.origin.file_ts_us,
            span: None,
        }
    }
}

/// What is said of a record above `limit` bytes.
pub(super) fn too_large(limit: usize) -> Reject {
    let limit = match limit {
        _ if limit.is_multiple_of(1 << 20) => format!("{} MiB", limit >> 20),
        _ => format!("{limit} bytes"),
    };
    Reject::new(
        Class::TooLarge,
        format!("the record is longer than {limit}, the setting `ingest.record_limit`"),
    )
}

/// An error and its causes in one line.
pub(super) fn cause_of(error: &Error) -> String {
    error.report().trim_start_matches("error: ").replace("\n  ", ", ").replace("\nhint: ", "; ")
}
