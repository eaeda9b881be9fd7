//! Bronze from a landing folder: batches of files, listed ahead in a log.
//!
//! A file that has to be looked at, since it was replaced, holds up no other: the run ends with it
//! when all others are read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::away::{away, noted};
use super::{Job, LOST_ROUNDS_MAX, Look, Ready, Round, Total};
use crate::batchlog::{Batch, Range, split};
use crate::contract::{Source, TableName};
use crate::error::{Error, Kind, Result};
use crate::folder::{Folder, Glance, Log, Reader, Watch};
use crate::quarantine;
use crate::table::{Change, Outcome, Table};
use crate::world::Failures;
use crate::years::micros_of_ms;

/// Files of one batch at most: its list must fit in one small object.
const BATCH_FILES: usize = 10_000;

/// Reads what is in a folder, until there is no more.
pub(super) async fn ingest_folder(
    job: &Job<'_>,
    source: &Source,
    look: &Look,
    watch: &mut Watch,
    total: &mut Total,
) -> Result<()> {
    let (world, table) = (job.world, &job.contract.name);
    let Some(place) = world.lake.landing_place(&source.name)? else {
        let place = world.lake.landing_url(&source.name);
        tell(job, watch, vec![format!("{table}: no folder {place} yet, nothing to read there")]);
        return Ok(());
    };
    let scratch = match world.lake.local_root() {
        Some(_) => Some(world.lake.scratch_folder()?),
        None => None,
    };
    let folder = Folder::new(source.clone(), place, scratch);
    let folder = folder.masked(job.contract, job.staging.pseudonyms.as_ref());
    let reader = Reader::new(folder.clone(), job.contract, world.settings.record_limit()?);
    let accept_loss = look.accept_loss.contains(&source.to_string());
    let job = FolderJob { job, folder, reader, following: look.following, accept_loss };
    let mut lost = 0;
    loop {
        let batches = total.batches;
        match job.round(watch, total).await? {
            Round::Finished => return Ok(()),
            Round::Lost if total.batches > batches => lost = 1,
            Round::Lost => lost += 1,
        }
        job.job.say_lost(source);
        if lost == LOST_ROUNDS_MAX {
            return Outcome::Lost.version(&table.to_string()).map(drop);
        }
    }
}

/// Refuses to go on where the log of batches ends before what the table holds.
///
/// # Errors
/// `Data`, with the way out.
pub(super) fn refuse_shorter_log(
    table: &TableName,
    source: &str,
    committed: i64,
    log: &Log,
) -> Result<()> {
    if committed <= log.last().unwrap_or(-1) {
        return Ok(());
    }
    Err(Error::data(format!(
        "{table} holds batch {committed} of {source}, and the log of batches ends before it"
    ))
    .hint("restore <root>/_lake, or move the read files away and the table will go on with new ones under a new source name"))
}

/// The files whose time other readers of a table would fail on: their records have none.
fn odd_times(source: &str, batch: &Batch) -> Vec<String> {
    let is_odd = |range: &&Range| micros_of_ms(range.modified_ms).is_none();
    let remark = |range: &Range| {
        format!(
            "{source}/{}: was changed outside of the years 0001 to 9999, so that _record_ts is NULL \
             for its records; land it again under another name, with a right time",
            range.path
        )
    };
    batch.ranges.iter().filter(is_odd).map(remark).collect()
}

/// Makes remarks, each once in a run.
fn tell(job: &Job<'_>, watch: &mut Watch, mut remarks: Vec<String>) {
    watch.only_new(&mut remarks);
    for remark in remarks {
        job.world.remark(remark);
    }
}

/// Says once why a folder has to stop, as long as nothing changes that.
pub(super) fn told(job: &Job<'_>, watch: &mut Watch, read: Result<()>) -> Result<()> {
    match read {
        Err(error) if error.kind() == Kind::Data => {
            tell(job, watch, vec![in_words(&error)]);
            Ok(())
        }
        read => read,
    }
}

fn in_words(error: &Error) -> String {
    error.report().trim_start_matches("error: ").to_owned()
}

/// One table, one folder.
pub(super) struct FolderJob<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) folder: Folder,
    reader: Reader,
    following: bool,
    /// Whether files that are away are known to be lost.
    pub(super) accept_loss: bool,
}

impl FolderJob<'_> {
    /// Reads what the log says is not committed, then what is new; starts over when it loses.
    async fn round(&self, watch: &mut Watch, total: &mut Total) -> Result<Round> {
        let (world, contract) = (self.job.world, self.job.contract);
        let source = self.folder.source.to_string();
        let mut table = world.lake.open_or_create(contract).await?;
        let mut metadata = self.job.evolve(&table, &[]).await?;
        let own = world.lake.own_store()?;
        let mut log = Log::open(own, &contract.name.to_string(), &source).await?;
        let committed = table.txn(&source).await?.unwrap_or(-1);
        total.version = Some(table.version());
        refuse_shorter_log(&contract.name, &source, committed, &log)?;
        for number in committed + 1..=log.last().unwrap_or(-1) {
            let Some(batch) = log.batch(number).cloned() else {
                return self.folded_away(number, committed).await;
            };
            if !self.batch(&mut table, &batch, metadata.take(), watch, total).await? {
                return Ok(Round::Lost);
            }
        }
        let away = away(&table, &self.folder.source)?;
        let glance = Glance {
            reader: &self.reader,
            now_ms: world.clock.now_ms(),
            following: self.following,
            away: &away,
        };
        let mut found = self.folder.look(&mut log, watch, &glance).await?;
        if found.is_empty {
            let place = world.lake.landing_url(&self.folder.source.name);
            found.remarks.push(format!("{}: no file in {place} yet", contract.name));
        }
        tell(self.job, watch, found.remarks);
        let first = log.last().unwrap_or(-1) + 1;
        for batch in split(found.ranges, first, self.job.batch_bytes, BATCH_FILES) {
            world.stop.check()?;
            if !log.append(batch.clone()).await?
                || !self.batch(&mut table, &batch, metadata.take(), watch, total).await?
            {
                return Ok(Round::Lost);
            }
        }
        let said = self.settle_away(&mut table, &found.again).await?;
        tell(self.job, watch, said.into_iter().collect());
        if let Err(error) = log.fold(table.txn(&source).await?.unwrap_or(-1)).await {
            tracing::warn!(table = %contract.name, %error, "the log of batches was not folded");
        }
        // One such file is no reason for a run that goes on to leave all other tables.
        if self.following {
            let replaced = found.replaced.iter();
            tell(self.job, watch, replaced.map(in_words).collect());
            return Ok(Round::Finished);
        }
        let mut failures = Failures::default();
        for replaced in found.replaced {
            failures.hold(world, Err::<(), Error>(replaced))?;
        }
        failures.end().map(|()| Round::Finished)
    }

    /// A batch that the table had not committed when it was opened is folded away since: another
    /// run has committed it, unless the table went back.
    async fn folded_away(&self, number: i64, committed: i64) -> Result<Round> {
        let (contract, source) = (self.job.contract, self.folder.source.to_string());
        let table = self.job.world.lake.open_or_create(contract).await?;
        if table.txn(&source).await?.unwrap_or(-1) > committed {
            return Ok(Round::Lost);
        }
        Err(Error::data(format!(
            "{}: batch {number} of {source} was committed once, and the table does not have it any more",
            contract.name
        ))
        .hint("bring the table back to its newest version, or land the files again under new names"))
    }

    /// Reads and commits one batch; `false` if another run committed it first.
    async fn batch(
        &self,
        table: &mut Table,
        batch: &Batch,
        metadata: Option<Change>,
        watch: &mut Watch,
        total: &mut Total,
    ) -> Result<bool> {
        let (job, contract) = (self.job, self.job.contract);
        let source = self.folder.source.to_string();
        let mut quarantine = job.world.lake.open_or_create(&job.staging.quarantine).await?;
        let txns = vec![(source.clone(), batch.number)];
        let away = away(table, &self.folder.source)?;
        let is_ahead = job.is_ahead(&quarantine, &txns, table).await?;
        // Also where a run that was cut short had read a file that was away for the next one.
        let places = batch.ranges.iter().map(|range| self.folder.place(&range.path));
        let places = places.filter(|place| is_ahead || away.contains(place));
        let files: BTreeSet<String> = places.map(|place| format!("folder:{place}")).collect();
        let decided = if is_ahead || !files.is_empty() {
            let name = &contract.name;
            quarantine::decided_in_batch(&quarantine, &job.query, name, &source, &files).await?
        } else {
            quarantine::Decided::default()
        };
        let reader = &self.reader;
        let read = |chunks| async move { reader.read(batch, &chunks).await };
        let (done, staged) = job.staging.stage(table, &quarantine, decided, read).await?;
        tell(job, watch, done.remarks);
        let now = self.away_after(&away, batch, done.away);
        let metadata = if now == away {
            metadata
        } else {
            job.evolve(table, &[noted(&self.folder.source, &now)?]).await?
        };
        tell(job, watch, odd_times(&source, batch));
        let info = [("lake.source", json!(source)), ("lake.batch", json!(batch.number))];
        let info = info.map(|(key, value): (&str, Value)| (key.to_owned(), value));
        let before = (batch.number > 0).then(|| batch.number - 1);
        let seen = vec![(source, before)];
        let (info, noted) = (info.into_iter().collect(), Vec::new());
        let ready = Ready { staged, txns, seen, info, metadata, noted };
        job.settle(table, &mut quarantine, ready, total).await
    }
}
