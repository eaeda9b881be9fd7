//! Records become rows of a bronze table, or go to quarantine: each ends in exactly one place.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};

use crate::chunk::{Chunk, Origin};
use crate::clock::day_of;
use crate::contract::Contract;
use crate::decode::{Class, Decoder};
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
    ingested_at_us: i64,
    /// Of each row in the decoder: its position, and its bytes in the current lines.
    pending: Vec<(i64, Range<usize>)>,
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
        let is_decided = |position: i64| {
            !decided.is_empty() && decided.contains(&(chunk.origin.source.to_string(), position))
        };
        if let Some(fault) = &chunk.fault {
            if !is_decided(chunk.first) {
                let class = Class::Unreadable.name();
                self.reject(&chunk.origin, chunk.first, class, fault.clone(), Vec::new());
            }
            return Ok(());
        }
        let lines = chunk.lines.as_slice();
        let (mut start, mut position) = (0, chunk.first);
        while start < lines.len() {
            let end = memchr::memchr(b'\n', &lines[start..]).map_or(lines.len(), |at| start + at);
            let is_blank = lines[start..end].iter().all(u8::is_ascii_whitespace);
            if !is_blank && !is_decided(position) {
                self.record(&chunk.origin, lines, start..end, position)?;
            }
            start = end + 1;
            position += 1;
        }
        self.flush(&chunk.origin, lines)
    }

    fn record(
        &mut self,
        origin: &Origin,
        lines: &[u8],
        span: Range<usize>,
        position: i64,
    ) -> Result<()> {
        match self.decoder.decode(&lines[span.clone()]) {
            Ok(()) => {
                self.pending.push((position, span));
                if self.pending.len() >= BATCH_ROWS || self.decoder.text_bytes() >= BATCH_BYTES {
                    self.flush(origin, lines)?;
                }
            }
            Err(reject) => {
                let raw = lines[span].to_vec();
                self.reject(origin, position, reject.class.name(), reject.message, raw);
            }
        }
        Ok(())
    }

    fn reject(
        &mut self,
        origin: &Origin,
        position: i64,
        class: &'static str,
        message: String,
        raw: Vec<u8>,
    ) {
        self.rejected.push(Rejected {
            source: origin.source.to_string(),
            partition: origin.partition,
            position,
            record_ts_us: origin.record_ts_us,
            class,
            message,
            raw,
        });
    }

    /// Turns the rows in the decoder into a batch, and checks it.
    fn flush(&mut self, origin: &Origin, lines: &[u8]) -> Result<()> {
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
            let (position, span) = pending[row].clone();
            let message = format!("check `{check}` is false");
            self.reject(origin, position, Class::CheckFailed.name(), message, lines[span].to_vec());
        }
        if sorted.kept.num_rows() > 0 {
            self.rows.push(sorted.kept);
        }
        Ok(())
    }

    /// `_topic` to `_source_file`, in the order of [`crate::contract::engine_columns`].
    fn engine_columns(&self, origin: &Origin, pending: &[(i64, Range<usize>)]) -> Vec<ArrayRef> {
        let n = pending.len();
        let text = |value: Option<&str>| -> ArrayRef {
            match value {
                Some(value) => {
                    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, n)))
                }
                None => new_null_array(&DataType::Utf8, n),
            }
        };
        let time = |us: Option<i64>| -> ArrayRef {
            let values: TimestampMicrosecondArray = std::iter::repeat_n(us, n).collect();
            Arc::new(values.with_timezone("UTC"))
        };
        let days = day_of(self.ingested_at_us);
        vec![
            text(origin.topic.as_deref()),
            Arc::new(std::iter::repeat_n(origin.partition, n).collect::<Int32Array>()),
            Arc::new(Int64Array::from_iter_values(pending.iter().map(|(position, _)| *position))),
            time(origin.record_ts_us),
            time(Some(self.ingested_at_us)),
            Arc::new(Date32Array::from_iter_values(std::iter::repeat_n(days, n))),
            text(origin.file.as_deref()),
        ]
    }
}
