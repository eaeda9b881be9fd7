//! Why records are still in quarantine, where that is not what it says of them: a contract that was
//! mended may refuse them for another reason than the one before.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::records::{Held, Place};
use crate::error::{Error, Result};
use crate::quarantine::Rejected;

/// Reasons that are written with one commit: they are in memory until then.
const REASONS_MAX: usize = 100_000;

/// A kind of fault, and the fault.
type Reason = (&'static str, String);

/// The reasons of some records that quarantine gives another one of.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    by_source: HashMap<String, HashMap<Place, Vec<(u64, Reason)>>>,
    n: usize,
}

/// A record's bytes, where several have one place: as much of a file as was there at each look.
fn hash(raw: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    raw.hash(&mut hasher);
    hasher.finish()
}

impl Reasons {
    pub(super) fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Whether no more are taken.
    pub(super) fn is_full(&self) -> bool {
        self.n >= REASONS_MAX
    }

    /// Takes those of `rejected` that `held`, which has their records in these rows, does not give.
    pub(super) fn add(
        &mut self,
        held: &Held,
        rows: impl Iterator<Item = usize>,
        rejected: Vec<Rejected>,
    ) {
        if rejected.is_empty() {
            return;
        }
        let raw = |row: usize| hash(held.raw(row).unwrap_or_default());
        let rows: HashMap<(Place, u64), usize> =
            rows.map(|row| ((held.place(row), raw(row)), row)).collect();
        for Rejected { source, partition, position, record_ts_us, class, message, raw, .. } in
            rejected
        {
            let place = Place { partition, position, time_us: record_ts_us };
            let raw = hash(&raw.unwrap_or_default());
            let Some(row) = rows.get(&(place, raw)) else { continue };
            if held.reason(*row) != (class, &message) {
                let places = self.by_source.entry(source).or_default();
                places.entry(place).or_default().push((raw, (class, message)));
                self.n += 1;
            }
        }
    }

    /// Whether there may be one for the record of this place.
    pub(super) fn may_hold(&self, source: &str, place: &Place) -> bool {
        self.by_source.get(source).is_some_and(|places| places.contains_key(place))
    }

    fn of(&self, held: &Held, row: usize) -> Option<&Reason> {
        let reasons = self.by_source.get(held.source(row))?.get(&held.place(row))?;
        let raw = hash(held.raw(row).unwrap_or_default());
        reasons.iter().find(|(other, _)| *other == raw).map(|(_, reason)| reason)
    }

    /// Rows of quarantine with these reasons, as far as they are of `table`.
    ///
    /// # Errors
    /// Only by a bug of ours.
    pub(super) fn renewed(
        &self,
        rows: &RecordBatch,
        held: &Held,
        table: &str,
    ) -> Result<RecordBatch> {
        let of = |row: usize| if held.table(row) == table { self.of(held, row) } else { None };
        let found: Vec<Option<&Reason>> = (0..held.n_rows()).map(of).collect();
        if found.iter().all(Option::is_none) {
            return Ok(rows.clone());
        }
        let numbered = || found.iter().enumerate();
        let classes: StringArray = numbered()
            .map(|(row, new)| Some(new.map_or(held.reason(row).0, |(class, _)| class)))
            .collect();
        let messages: StringArray = numbered()
            .map(|(row, new)| Some(new.map_or(held.reason(row).1, |(_, message)| message)))
            .collect();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (name, values) in [("error_class", classes), ("error_message", messages)] {
            let at = rows.schema().index_of(name);
            columns[at.map_err(|cause| Error::internal("quarantine").caused_by(cause))?] =
                Arc::new(values);
        }
        RecordBatch::try_new(rows.schema(), columns)
            .map_err(|cause| Error::internal("quarantine rows").caused_by(cause))
    }
}
