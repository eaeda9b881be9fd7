//! One look through quarantine: what the contract takes now becomes files of the table.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::chunk::{Chunk, Record};
use crate::clock::day_of;
use crate::error::Result;
use crate::intake::Intake;
use crate::quarantine::Decided;
use crate::table::{Files, Table, Writer};

use super::reasons::Reasons;
use super::records::{Held, Records, origin, time_us};
use super::settled::Frontier;
use super::{ROWS, Replay};

/// Records that come in with one commit: which ones is known until they are out of quarantine.
const RECORDS_MAX: u64 = 500_000;

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Files,
    pub(super) n_rows: u64,
    pub(super) n_rescued: u64,
    /// The records that the rows were.
    pub(super) taken: Records,
    /// Records that stay in quarantine.
    pub(super) stayed: u64,
    /// How many of them ingest has yet to settle, by their source.
    pub(super) waiting: BTreeMap<String, u64>,
    /// Why others of them stay, where quarantine says something else.
    pub(super) reasons: Reasons,
    /// Whether that was all, or enough for one commit.
    pub(super) is_whole: bool,
}

/// Looks through the rows of quarantine; rows that come in have the time `number`.
pub(super) async fn look(
    replay: &Replay<'_>,
    table: &Table,
    quarantine: &Table,
    number: i64,
) -> Result<Found> {
    let (contract, checks) = (replay.contract, replay.checks.clone());
    let mut look = Look {
        replay,
        name: contract.name.to_string(),
        frontier: Frontier { contract, table, quarantine },
        intake: Intake::new(contract, checks, replay.pseudonyms.clone(), number)?,
        number,
        writer: table.writer(contract, &replay.world.lake.scratch())?,
        day: (contract.partition_by == ["_ingest_date"]).then(|| day_of(number)),
        n_bytes: 0,
        found: Found::default(),
    };
    match look.through(quarantine).await {
        Ok(()) => Ok(Found {
            files: look.writer.close().await?,
            n_rescued: look.intake.n_rescued,
            ..look.found
        }),
        Err(error) => {
            look.writer.abort().await;
            Err(error)
        }
    }
}

struct Look<'a> {
    replay: &'a Replay<'a>,
    name: String,
    frontier: Frontier<'a>,
    intake: Intake,
    number: i64,
    writer: Writer,
    /// The day that all rows come in on, if it splits the table into folders.
    day: Option<i32>,
    /// Bytes of the records that were taken, and of their neighbours.
    n_bytes: u64,
    found: Found,
}

impl Look<'_> {
    async fn through(&mut self, quarantine: &Table) -> Result<()> {
        for file in quarantine.files()? {
            let ours = |held: &Held, row: usize| held.table(row) == self.name;
            if !self.replay.finds(quarantine, &file, &ours).await? {
                continue;
            }
            let schema = self.replay.quarantine.schema();
            let mut reader = quarantine.read(&file, &schema, ROWS).await?;
            while let Some(rows) = reader.next().await? {
                let is_enough =
                    self.found.n_rows >= RECORDS_MAX || self.n_bytes >= self.replay.batch_bytes;
                if (self.found.n_rows > 0 && is_enough) || self.found.reasons.is_full() {
                    return Ok(());
                }
                let held = Held::of(&rows)?;
                for rows in runs(&held) {
                    self.records(&held, rows).await?;
                }
            }
        }
        self.found.is_whole = true;
        Ok(())
    }

    /// Takes what it can of rows that have one source.
    async fn records(&mut self, held: &Held, rows: Range<usize>) -> Result<()> {
        let source = held.source(rows.start);
        let origin = origin(source, held.place(rows.start).time_us);
        let (mut bytes, mut records) = (Vec::new(), Vec::new());
        let ours: Vec<usize> = rows.filter(|row| held.table(*row) == self.name).collect();
        for row in ours.iter().copied() {
            let is_record = origin.is_some() && held.is_record(row);
            let Some(raw) = held.raw(row).filter(|_| is_record) else {
                self.found.stayed += 1;
                continue;
            };
            let place = held.place(row);
            if let Some(unsettled) = self.frontier.unsettled(source, &place).await? {
                *self.found.waiting.entry(unsettled).or_default() += 1;
                self.found.stayed += 1;
                continue;
            }
            let mut kept = |part: &[u8]| {
                bytes.extend_from_slice(part);
                bytes.len() - part.len()..bytes.len()
            };
            records.push(Record {
                partition: place.partition,
                position: place.position,
                record_ts_us: place.time_us,
                span: Some(kept(raw)),
                key: held.key(row).map(&mut kept),
                headers: held.headers(row).map(|headers| kept(headers.as_bytes())),
                too_large: None,
            });
        }
        match origin {
            Some((origin, generation)) if !records.is_empty() => {
                let n_bytes = bytes.len() as u64;
                self.intake.ingested_at_us = time_us(self.number, generation);
                self.take(&Chunk::records(origin, bytes, records), n_bytes).await?;
                let rejected = std::mem::take(&mut self.intake.rejected);
                self.found.stayed += rejected.len() as u64;
                self.found.reasons.add(held, ours.into_iter(), rejected);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn take(&mut self, chunk: &Chunk, n_bytes: u64) -> Result<()> {
        self.intake.take(chunk, &Decided::default())?;
        let taken = std::mem::take(&mut self.intake.rows);
        if !taken.is_empty() {
            self.n_bytes += n_bytes;
        }
        for rows in taken {
            self.found.taken.add(&rows)?;
            self.found.n_rows += rows.num_rows() as u64;
            match self.day {
                Some(day) => self.writer.write_day(rows, "_ingest_date", day).await?,
                None => self.writer.write(&rows).await?,
            }
        }
        Ok(())
    }
}

/// The rows of a batch by their source, in order: of one after the other.
fn runs(held: &Held) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in 0..held.n_rows() {
        match runs.last_mut() {
            Some(run) if held.source(run.start) == held.source(row) => run.end = row + 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}
