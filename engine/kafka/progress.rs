//! How far a batch of a topic is: what arrives moves partitions on, and becomes chunks.

use super::failure::severity;
use super::raw::{Arrived, Failure};
use crate::chunk::{Chunk, Origin, Record};

/// Bytes of records that go to a worker at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Records that go to a worker at once, for very short ones.
const CHUNK_RECORDS: usize = 1 << 15;
/// The last millisecond of the year 9999. A time behind it cannot be written as one: it is none.
const TIME_MAX_MS: i64 = 253_402_300_799_999;

/// What to read of one partition: offsets, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: i64,
    /// The one behind the last.
    pub end: i64,
}

/// What to read at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// By partition.
    pub ranges: Vec<Range>,
    /// Whether records behind an end are taken, too, when they come.
    pub beyond: bool,
    /// End the batch at about so many bytes of values.
    pub bytes: u64,
}

/// Why a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every partition is at its end.
    Ended,
    /// It is full, or somebody asked to stop: there is more.
    Cut,
    /// The brokers stopped answering.
    Stalled,
    /// The cluster no longer has the offset that the partition is at.
    Gone,
}

/// How far a batch came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// By partition: the offset to go on at.
    pub next: Vec<i64>,
    /// Bytes of values.
    pub bytes: u64,
    /// Why it ended.
    pub outcome: Outcome,
}

/// How far a batch is, and the records that wait to be handed on.
pub(super) struct Progress<'a> {
    batch: &'a Batch,
    origin: Origin,
    pub(super) next: Vec<i64>,
    /// Partitions that are not at their end yet.
    pub(super) n_open: usize,
    pub(super) bytes: u64,
    buffer: Vec<u8>,
    records: Vec<Record>,
    /// The worst so far.
    pub(super) failure: Option<Failure>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(batch: &'a Batch, next: &[i64], origin: Origin) -> Self {
        let n_open = next.iter().zip(&batch.ranges).filter(|(next, range)| **next < range.end);
        Self {
            batch,
            origin,
            n_open: n_open.count(),
            next: next.to_vec(),
            bytes: 0,
            buffer: Vec::new(),
            records: Vec::new(),
            failure: None,
        }
    }

    pub(super) fn take(&mut self, arrived: Arrived<'_>) {
        match arrived {
            Arrived::Record { partition, offset, time_ms, value } => {
                if self.move_to(partition, offset, offset + 1) {
                    self.push(partition, offset, time_ms, value);
                }
            }
            Arrived::End { partition, offset } => {
                self.move_to(partition, offset, offset);
            }
            Arrived::Failed(failure) => {
                if self.failure.as_ref().is_none_or(|worst| severity(worst) < severity(&failure)) {
                    self.failure = Some(failure);
                }
            }
        }
    }

    /// Moves a partition to `next`; `false` if what stands at `offset` is not of this batch. What
    /// was fetched before a place was given comes with offsets before it: they are not ours.
    fn move_to(&mut self, partition: i32, offset: i64, next: i64) -> bool {
        let Some(at) = usize::try_from(partition).ok().filter(|at| *at < self.next.len()) else {
            return false;
        };
        let end = self.batch.ranges.get(at).map_or(i64::MAX, |range| range.end);
        let before = self.next[at];
        if offset < before {
            return false;
        }
        let is_ours = self.batch.beyond || offset < end;
        // All before `offset` was delivered, so a partition that shows something at or behind its
        // end is done, also where the last offsets before it hold no record.
        self.next[at] = if is_ours { next } else { end.max(before) };
        if before < end && self.next[at] >= end {
            self.n_open -= 1;
        }
        is_ours
    }

    fn push(&mut self, partition: i32, offset: i64, time_ms: Option<i64>, value: Option<&[u8]>) {
        let start = self.buffer.len();
        let span = value.map(|value| {
            self.buffer.extend_from_slice(value);
            start..self.buffer.len()
        });
        self.bytes += value.map_or(0, |value| value.len() as u64);
        self.records.push(Record {
            partition: Some(partition),
            position: offset,
            record_ts_us: time_ms.filter(|ms| *ms <= TIME_MAX_MS).map(|ms| ms * 1000),
            span,
        });
    }

    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= CHUNK_BYTES || self.records.len() >= CHUNK_RECORDS
    }

    /// Hands on what waits; `false` if nobody takes it any more.
    pub(super) fn send(&mut self, send: &mut impl FnMut(Chunk) -> bool) -> bool {
        if self.records.is_empty() {
            return true;
        }
        let bytes = std::mem::take(&mut self.buffer);
        let records = std::mem::take(&mut self.records);
        self.buffer.reserve(bytes.len().min(CHUNK_BYTES + (CHUNK_BYTES >> 2)));
        self.records.reserve(records.len());
        send(Chunk::records(self.origin.clone(), bytes, records))
    }
}
