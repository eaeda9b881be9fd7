//! Records become rows of a bronze table, or go to quarantine: each ends in exactly one place.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};

use crate::chunk::{Body, Chunk, Origin, Record};
use crate::clock::day_of;
use crate::contract::Contract;
use crate::decode::{Class, Decoder, Reject};
use crate::error::{Error, Result};
use crate::pseudonym::Pseudonyms;
use crate::quarantine::{Decided, Rejected};
use crate::rowcheck::{RowChecks, Violations};

/// Rows in one Arrow batch: few enough to stay in the processor's caches.
const BATCH_ROWS: usize = 2048;
/// Bytes of text in one Arrow batch, for records with long strings.
const BATCH_BYTES: usize = 8 << 20;

/// Takes the records of one table.
#[derive(Debug)]
pub struct Intake {
    decoder: Decoder,
    checks: RowChecks,
    schema: SchemaRef,
    /// When the next records come in: microseconds since 1970.
    pub ingested_at_us: i64,
    /// Of each row in the decoder: the record it was.
    pending: Vec<Record>,
    /// Rows that are ready to be written.
    pub rows: Vec<RecordBatch>,
    /// Records that were not taken.
    pub rejected: Vec<Rejected>,
    /// What the checks counted.
    pub violations: Violations,
    /// Fields that the contract does not know appeared in so many records.
    pub n_rescued: u64,
}

impl Intake {
    /// An intake for the tables of a contract.
    pub fn new(
        contract: &Contract,
        checks: RowChecks,
        pseudonyms: Option<Pseudonyms>,
        ingested_at_us: i64,
    ) -> Result<Self> {
        Ok(Self {
            decoder: Decoder::new(contract, pseudonyms)?,
            checks,
            schema: contract.schema(),
            ingested_at_us,
            pending: Vec::new(),
            rows: Vec::new(),
            rejected: Vec::new(),
            violations: Violations::default(),
            n_rescued: 0,
        })
    }

    /// Takes the records of a chunk. Blank lines are no records, and positions in `decided` are
    /// somebody's already.
    pub fn take(&mut self, chunk: &Chunk, decided: &Decided) -> Result<()> {
        let origin = &chunk.origin;
        match &chunk.body {
            Body::Fault { position, message } => {
                let record = line(origin, *position, 0..0);
                if !decided.holds(origin, &record) {
                    self.reject(origin, &record, &[], Class::Unreadable, message.clone());
                }
                Ok(())
            }
            Body::Lines { first, bytes } => {
                let (mut start, mut position) = (0, *first);
                while start < bytes.len() {
                    let end =
                        memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
                    if !bytes[start..end].iter().all(u8::is_ascii_whitespace) {
                        let record = line(origin, position, start..end);
                        self.record(origin, bytes, record, decided)?;
                    }
                    start = end + 1;
                    position += 1;
                }
                self.flush(origin, bytes)
            }
            Body::Refused { bytes, records } => {
                for (record, reject) in records {
                    if !decided.holds(origin, record) {
                        let Reject { class, message } = reject.clone();
                        self.reject(origin, record, bytes, class, message);
                    }
                }
                Ok(())
            }
            Body::Records { bytes, records } => {
                for record in records {
                    self.record(origin, bytes, record.clone(), decided)?;
                }
                self.flush(origin, bytes)
            }
        }
    }

    fn record(
        &mut self,
        origin: &Origin,
        bytes: &[u8],
        record: Record,
        decided: &Decided,
    ) -> Result<()> {
        if decided.holds(origin, &record) {
            return Ok(());
        }
        let result = match &record.span {
            None => Err(Reject::new(Class::Tombstone, "the record has no value")),
            Some(span) => self.decoder.decode(&bytes[span.clone()]),
        };
        match result {
            Ok(()) => {
                self.pending.push(record);
                if self.pending.len() >= BATCH_ROWS || self.decoder.text_bytes() >= BATCH_BYTES {
                    self.flush(origin, bytes)?;
                }
            }
            Err(reject) => self.reject(origin, &record, bytes, reject.class, reject.message),
        }
        Ok(())
    }

    fn reject(
        &mut self,
        origin: &Origin,
        record: &Record,
        bytes: &[u8],
        class: Class,
        message: String,
    ) {
        self.rejected.push(Rejected {
            source: origin.source.to_string(),
            partition: record.partition,
            position: record.position,
            record_ts_us: record.record_ts_us,
            class: class.name(),
            message,
            raw: record.span.clone().map(|span| bytes[span].to_vec()),
        });
    }

    /// Turns the rows in the decoder into a batch, and checks it.
    fn flush(&mut self, origin: &Origin, bytes: &[u8]) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let n_rows = pending.len();
        let mut columns = self.decoder.finish()?;
        let rescued = columns.pop().ok_or_else(|| Error::internal("no rescued data"))?;
        self.n_rescued += (n_rows - rescued.null_count()) as u64;
        columns.extend(self.engine_columns(origin, &pending));
        columns.push(rescued);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|cause| {
            Error::internal("decoded rows do not fit their contract").caused_by(cause)
        })?;
        let sorted = self.checks.sort(rows, &mut self.violations)?;
        for (row, check) in sorted.quarantined {
            let message = format!("check `{check}` is false");
            self.reject(origin, &pending[row], bytes, Class::CheckFailed, message);
        }
        if sorted.kept.num_rows() > 0 {
            self.rows.push(sorted.kept);
        }
        Ok(())
    }

    /// `_topic` to `_source_file`, in the order of [`crate::contract::engine_columns`].
    fn engine_columns(&self, origin: &Origin, pending: &[Record]) -> Vec<ArrayRef> {
        let n = pending.len();
        let text = |value: Option<&str>| -> ArrayRef {
            match value {
                Some(value) => {
                    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, n)))
                }
                None => new_null_array(&DataType::Utf8, n),
            }
        };
        let time = |values: TimestampMicrosecondArray| -> ArrayRef {
            Arc::new(values.with_timezone("UTC"))
        };
        let ingested_at = std::iter::repeat_n(self.ingested_at_us, n);
        let days = day_of(self.ingested_at_us);
        vec![
            text(origin.topic.as_deref()),
            Arc::new(pending.iter().map(|record| record.partition).collect::<Int32Array>()),
            Arc::new(Int64Array::from_iter_values(pending.iter().map(|record| record.position))),
            time(pending.iter().map(|record| record.record_ts_us).collect()),
            time(TimestampMicrosecondArray::from_iter_values(ingested_at)),
            Arc::new(Date32Array::from_iter_values(std::iter::repeat_n(days, n))),
            text(origin.file.as_deref()),
        ]
    }
}

fn line(origin: &Origin, position: i64, span: Range<usize>) -> Record {
    Record { partition: None, position, record_ts_us: origin.file_ts_us, span: Some(span) }
}
