//! Records as they came, beside their rows with pseudonyms: a CHECK judges what a producer sent, as it
//! does in any database. These rows are looked at and never kept.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};

use super::arrival::Arrival;
use super::registry;
use crate::chunk::Record;
use crate::contract::{Contract, KEY};
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::pseudonym::Pseudonyms;
use crate::rowcheck::RowChecks;

/// Decodes records a second time.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) decoder: Decoder,
    arrival: Arrival,
    n_columns: usize,
}

impl Raw {
    /// `None` where no check looks at a personal column, so that nothing is decoded twice.
    pub(super) fn new(contract: &Contract, checks: &RowChecks) -> Result<Option<Self>> {
        let personal: Vec<&str> =
            contract.personal.iter().map(|personal| personal.path.as_str()).collect();
        if !checks.look_at(&personal) {
            return Ok(None);
        }
        let ids = Pseudonyms::kept_ids();
        Ok(Some(Self {
            arrival: Arrival::new(contract, Some(&ids)),
            decoder: Decoder::new(contract, Some(ids))?,
            n_columns: contract.columns.len(),
        }))
    }

    /// Takes a record of which a row was made.
    pub(super) fn decode(&mut self, record: &[u8], is_message: bool) -> Result<()> {
        let json = if is_message { registry::unframed(record) } else { record };
        let decoded = self.decoder.decode(json);
        // Of the reject nothing is told: it is another one than that of the record.
        decoded.map_err(|_| Error::internal("a record is read in two ways"))
    }

    /// The rows of a batch with what came in the columns of the contract and in `_key`.
    pub(super) fn rows(
        &mut self,
        rows: &RecordBatch,
        records: &[Record],
        bytes: &[u8],
    ) -> Result<RecordBatch> {
        let came = self.decoder.finish()?;
        let schema = rows.schema();
        let key = schema.index_of(KEY).ok();
        let columns = rows.columns().iter().enumerate().map(|(at, column)| -> ArrayRef {
            match came.get(at).filter(|_| at < self.n_columns) {
                Some(came) => Arc::clone(came),
                None if Some(at) == key => self.arrival.keys(records, bytes),
                None => Arc::clone(column),
            }
        });
        RecordBatch::try_new(Arc::clone(&schema), columns.collect())
            .map_err(|cause| Error::internal("what came does not fit").caused_by(cause))
    }
}
