//! Records become rows of a bronze table, or go to quarantine: each ends in exactly one place.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::SchemaRef;

use crate::chunk::{Body, Chunk, Origin, Record, text_or_base64};
use crate::contract::{Contract, TypedField};
use crate::decode::{Class, Decoder, Form, Reject};
use crate::error::{Error, Result};
use crate::folder::{Format, format_of, given};
use crate::pseudonym::Pseudonyms;
use crate::quarantine::{Decided, Rejected};
use crate::rowcheck::{RowChecks, Violations};
use crate::table::nameless;

mod arrival;
mod raw;
mod registry;

use arrival::{Arrival, part};
use raw::Raw;

/// Rows in one Arrow batch: few enough to stay in the processor's caches.
const BATCH_ROWS: usize = 2048;
/// Bytes of text in one Arrow batch, for records with long strings.
const BATCH_BYTES: usize = 8 << 20;

/// Takes the records of one table.
#[derive(Debug)]
pub struct Intake {
    decoder: Decoder,
    /// The contract's columns, which the names of a file's folders may give a value.
    fields: Vec<TypedField>,
    /// The file that the last chunk was of.
    file: Option<Arc<str>>,
    arrival: Arrival,
    checks: RowChecks,
    /// The records once more as they came, where a check looks at a personal column.
    raw: Option<Box<Raw>>,
    schema: SchemaRef,
    /// Columns whose values name folders.
    partition_by: Vec<String>,
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
            fields: contract.columns.iter().map(|column| column.field.clone()).collect(),
            file: None,
            arrival: Arrival::new(contract, pseudonyms.as_ref()),
            decoder: Decoder::new(contract, pseudonyms)?,
            raw: Raw::new(contract, &checks)?.map(Box::new),
            checks,
            schema: contract.schema(),
            partition_by: contract.partition_by.clone(),
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
        if origin.file != self.file {
            let columns = origin.file.as_deref().map(|file| given(file, &self.fields));
            let columns = columns.unwrap_or_default();
            // Also of a replay, whose records have the name of their file.
            let form = match origin.file.as_deref().and_then(format_of) {
                Some((Format::Csv, _)) => Form::Texts,
                Some((Format::Parquet, _)) => Form::Rows,
                Some((Format::Json, _)) | None => Form::Objects,
            };
            let raw = self.raw.iter_mut().map(|raw| &mut raw.decoder);
            for decoder in std::iter::once(&mut self.decoder).chain(raw) {
                decoder.give(&columns);
                decoder.expect(form);
            }
            self.file.clone_from(&origin.file);
        }
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
        let result = match (&record.span, record.too_large) {
            (None, Some(n)) => Err(Reject::new(
                Class::TooLarge,
                format!("the record has {n} bytes, more than `ingest.record_limit`"),
            )),
            (None, None) => Err(Reject::new(Class::Tombstone, "the record has no value")),
            (Some(span), _) if origin.topic.is_some() => self.message(bytes, span, &record),
            (Some(span), _) => self.decoder.decode(&bytes[span.clone()]),
        };
        match result {
            Ok(()) => {
                if let (Some(raw), Some(span)) = (&mut self.raw, &record.span) {
                    raw.decode(&bytes[span.clone()], origin.topic.is_some())?;
                }
                self.pending.push(record);
                if self.pending.len() >= BATCH_ROWS || self.decoder.text_bytes() >= BATCH_BYTES {
                    self.flush(origin, bytes)?;
                }
            }
            Err(reject) => self.reject(origin, &record, bytes, reject.class, reject.message),
        }
        Ok(())
    }

    /// Decodes a record of a topic, which a schema registry may have framed.
    fn message(
        &mut self,
        bytes: &[u8],
        span: &Range<usize>,
        record: &Record,
    ) -> Result<(), Reject> {
        let value = &bytes[span.clone()];
        let json = registry::unframed(value);
        let decoded = self.decoder.decode(json);
        decoded.map_err(|reject| match reject.class {
            Class::NotJson | Class::NotUtf8 if json.len() == value.len() => {
                let headers = part(bytes, record.headers.as_ref()).map(text_or_base64);
                let told = registry::told(value, headers.as_deref());
                told.map_or(reject, |told| Reject::new(Class::NotJson, told))
            }
            _ => reject,
        })
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
            raw: part(bytes, record.span.as_ref()).map(<[u8]>::to_vec),
            key: part(bytes, record.key.as_ref()).map(<[u8]>::to_vec),
            headers: part(bytes, record.headers.as_ref())
                .map(|headers| text_or_base64(headers).into_owned()),
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
        let at_us = self.ingested_at_us;
        columns.extend(self.arrival.columns(origin, &pending, bytes, at_us, &self.decoder));
        columns.push(rescued);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|cause| {
            Error::internal("decoded rows do not fit their contract").caused_by(cause)
        })?;
        let came = self.raw.as_mut().map(|raw| raw.rows(&rows, &pending, bytes)).transpose()?;
        let (rows, came, pending) = self.nameable(origin, bytes, rows, came, pending)?;
        let sorted = self.checks.sort_as(rows, came.as_ref(), &mut self.violations)?;
        for (row, message) in sorted.quarantined {
            self.reject(origin, &pending[row], bytes, Class::CheckFailed, message);
        }
        if sorted.kept.num_rows() > 0 {
            self.rows.push(sorted.kept);
        }
        Ok(())
    }

    /// The rows whose values can name the table's folders; the others go to quarantine.
    fn nameable(
        &mut self,
        origin: &Origin,
        bytes: &[u8],
        rows: RecordBatch,
        came: Option<RecordBatch>,
        pending: Vec<Record>,
    ) -> Result<(RecordBatch, Option<RecordBatch>, Vec<Record>)> {
        let nameless = nameless(&rows, &self.partition_by);
        if nameless.is_empty() {
            return Ok((rows, came, pending));
        }
        let mut keep = vec![true; pending.len()];
        for (row, why) in nameless {
            keep[row] = false;
            self.reject(origin, &pending[row], bytes, Class::OutOfRange, why);
        }
        let kept = pending.into_iter().zip(&keep).filter(|(_, keep)| **keep);
        let kept = kept.map(|(record, _)| record).collect();
        let keep = BooleanArray::from(keep);
        let filtered = |rows: &RecordBatch| {
            filter_record_batch(rows, &keep)
                .map_err(|cause| Error::internal("cannot filter rows").caused_by(cause))
        };
        let came = came.as_ref().map(filtered).transpose()?;
        Ok((filtered(&rows)?, came, kept))
    }
}

fn line(origin: &Origin, position: i64, span: Range<usize>) -> Record {
    let record_ts_us = origin.file_ts_us;
    Record { position, record_ts_us, span: Some(span), ..Record::default() }
}
