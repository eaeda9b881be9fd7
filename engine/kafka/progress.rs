//! How far a batch of a topic is: what arrives moves partitions on, and becomes chunks.
//!
//! A record above the limit is never copied: librdkafka lets go of it as soon as it was seen.

use std::ops::Range as Span;

use super::failure::{Severity, severity};
use super::headers;
use super::raw::{Arrived, Failure, Message};
use crate::chunk::{Chunk, Origin, Record};
use crate::years::micros_of_ms;

/// Bytes of records that go to a worker at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Records that go to a worker at once, for very short ones.
const CHUNK_RECORDS: usize = 1 << 15;
/// What a record counts at least within a batch: also those of nothing but a key make rows.
const RECORD_BYTES_MIN: u64 = 64;

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
    /// End the batch at about so many bytes of records.
    pub bytes: u64,
    /// The bytes that one record may have, as unpacked; the value of a larger one is left out.
    pub record_limit: usize,
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
    /// Bytes of records.
    pub bytes: u64,
    /// Records whose time is outside of the years 0001 to 9999, and is NULL in the table.
    pub n_odd_times: u64,
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
    /// Records whose time has no year from 0001 to 9999: they have none.
    pub(super) n_odd_times: u64,
    buffer: Vec<u8>,
    records: Vec<Record>,
    /// The worst so far of what is not about one partition.
    pub(super) failure: Option<Failure>,
    /// Partitions that cannot be read on, each where it stands: what the client hands on behind that
    /// is not taken, or a later batch would pass over what could not be read.
    pub(super) broken: Vec<Failure>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(
        batch: &'a Batch,
        next: &[i64],
        broken: Vec<Failure>,
        origin: Origin,
    ) -> Self {
        let mut progress = Self {
            batch,
            origin,
            n_open: 0,
            next: next.to_vec(),
            bytes: 0,
            n_odd_times: 0,
            buffer: Vec::new(),
            records: Vec::new(),
            failure: None,
            broken,
        };
        progress.n_open = progress.all_open().count();
        progress
    }

    /// The partitions that are not at their end, and can be read.
    fn all_open(&self) -> impl Iterator<Item = i32> {
        let ranges = (0..).zip(self.next.iter().zip(&self.batch.ranges));
        let open = ranges.filter(|(_, (next, range))| **next < range.end);
        open.map(|(partition, _)| partition).filter(|partition| !self.is_broken(*partition))
    }

    fn is_broken(&self, partition: i32) -> bool {
        self.broken.iter().any(|failure| failure.partition == Some(partition))
    }

    pub(super) fn take(&mut self, arrived: Arrived<'_>) {
        match arrived {
            Arrived::Record(message) => {
                if self.move_to(message.partition, message.offset, message.offset + 1) {
                    self.push(&message);
                }
            }
            Arrived::End { partition, offset } => {
                self.move_to(partition, offset, offset);
            }
            Arrived::Failed(failure) if severity(&failure) == Severity::Broken => {
                if !failure.partition.is_some_and(|partition| self.is_broken(partition)) {
                    self.broken.push(failure);
                    self.n_open = self.all_open().count();
                }
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
        if offset < before || self.is_broken(partition) {
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

    /// Copies a record into the chunk; of one above the limit only what says which it is.
    fn push(&mut self, message: &Message<'_>) {
        let limit = self.batch.record_limit;
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let n_headers = headers::n_bytes(message.headers);
        let n_bytes = len(message.value) + len(message.key) + n_headers;
        let is_too_large = n_bytes > limit;
        let key = message.key.filter(|key| key.len() <= limit);
        let value = message.value.filter(|_| !is_too_large);
        let (key, span) = (key.map(|key| self.copy(key)), value.map(|value| self.copy(value)));
        let start = self.buffer.len();
        if n_headers <= limit {
            headers::write_json(message.headers, &mut self.buffer);
        }
        let headers = Some(start..self.buffer.len()).filter(|headers| !headers.is_empty());
        let n_kept = if is_too_large { 0 } else { n_bytes as u64 };
        self.bytes += n_kept.max(RECORD_BYTES_MIN);
        let record_ts_us = message.time_ms.and_then(micros_of_ms);
        self.n_odd_times += u64::from(message.time_ms.is_some() && record_ts_us.is_none());
        self.records.push(Record {
            partition: Some(message.partition),
            position: message.offset,
            record_ts_us,
            span,
            key,
            headers,
            too_large: is_too_large.then_some(n_bytes as u64),
        });
    }

    fn copy(&mut self, bytes: &[u8]) -> Span<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        start..self.buffer.len()
    }

    /// A partition that is not at its end.
    pub(super) fn open(&self) -> i32 {
        self.all_open().next().unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::super::raw::Headers;
    use super::*;

    fn batch(bytes: u64) -> Batch {
        let ranges = vec![Range { start: 0, end: 1000 }];
        Batch { ranges, beyond: false, bytes, record_limit: 100 }
    }

    fn message<'a>(offset: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Arrived<'a> {
        let headers = Headers::none();
        Arrived::Record(Message { partition: 0, offset, time_ms: None, key, value, headers })
    }

    #[test]
    fn a_record_above_the_limit_keeps_its_place_and_its_key_and_is_not_copied() {
        let batch = batch(u64::MAX);
        let mut progress = Progress::new(&batch, &[0], Vec::new(), Origin::topic("t", 0));
        let (small, large) = (vec![b'x'; 97], vec![b'x'; 98]);
        progress.take(message(0, Some(b"k-0"), Some(&small)));
        progress.take(message(1, Some(b"k-1"), Some(&large)));
        progress.take(message(2, Some(&[b'k'; 101]), None));
        progress.take(message(3, Some(b""), Some(b"")));
        assert_eq!(progress.buffer.len(), 3 + 97 + 3);
        let found: Vec<_> = progress
            .records
            .iter()
            .map(|record| {
                let key = record.key.clone().map(|key| progress.buffer[key].to_vec());
                (record.position, key, record.span.clone().map(|span| span.len()), record.too_large)
            })
            .collect();
        let key = |key: &str| Some(key.as_bytes().to_vec());
        assert_eq!(
            found,
            [
                (0, key("k-0"), Some(97), None),
                (1, key("k-1"), None, Some(101)),
                (2, None, None, Some(101)),
                (3, key(""), Some(0), None),
            ]
        );
        assert_eq!(progress.next, [4]);
    }

    #[test]
    fn what_stands_behind_a_batch_that_cannot_be_read_waits_and_other_partitions_go_on() {
        let range = Range { start: 0, end: 3 };
        let batch =
            Batch { ranges: vec![range, range], beyond: false, bytes: 1 << 20, record_limit: 100 };
        let origin = Origin::topic("t", 0);
        let mut progress = Progress::new(&batch, &[0, 0], Vec::new(), origin.clone());
        let code = rdkafka::error::RDKafkaErrorCode::BadCompression;
        let reason = "Decompression (codec 0x4) of message at 1 of 99 bytes failed".to_owned();
        let failure = Failure { partition: Some(0), offset: 1, code, reason };
        progress.take(message(0, None, Some(b"a")));
        progress.take(Arrived::Failed(failure));
        progress.take(message(2, None, Some(b"c")));
        progress.take(Arrived::End { partition: 0, offset: 3 });
        assert_eq!((progress.next.as_slice(), progress.n_open), ([1, 0].as_slice(), 1));
        assert_eq!(progress.open(), 1);
        progress.take(Arrived::End { partition: 1, offset: 3 });
        assert_eq!((progress.next.as_slice(), progress.n_open), ([1, 3].as_slice(), 0));
        assert_eq!((progress.records.len(), progress.failure.is_none()), (1, true));
        // The next batch of the same client begins with what it knows.
        let (next, broken) = (progress.next, progress.broken);
        assert_eq!(Progress::new(&batch, &next, broken, origin).n_open, 0);
    }

    #[test]
    fn a_time_outside_of_the_years_is_none_and_counted() {
        let batch = batch(u64::MAX);
        let mut progress = Progress::new(&batch, &[0], Vec::new(), Origin::topic("t", 0));
        for (offset, time_ms) in (0..).zip([Some(253_402_300_800_000), None, Some(1_000)]) {
            let (key, value, headers) = (None, Some(&b"{}"[..]), Headers::none());
            let partition = 0;
            let message = Message { partition, offset, time_ms, key, value, headers };
            progress.take(Arrived::Record(message));
        }
        let times: Vec<_> = progress.records.iter().map(|record| record.record_ts_us).collect();
        assert_eq!((times, progress.n_odd_times), (vec![None, None, Some(1_000_000)], 1));
    }

    #[test]
    fn records_without_a_value_fill_a_batch_too() {
        let batch = batch(640);
        let mut progress = Progress::new(&batch, &[0], Vec::new(), Origin::topic("t", 0));
        for offset in 0..9 {
            progress.take(message(offset, Some(b"key"), None));
        }
        assert!(progress.bytes < batch.bytes);
        progress.take(message(9, None, None));
        assert!(progress.bytes >= batch.bytes);
    }
}
