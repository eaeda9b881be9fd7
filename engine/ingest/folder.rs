//! Bronze from a landing folder: batches of files, listed ahead in a log.

use serde_json::{Value, json};

use super::{Job, LOST_ROUNDS_MAX, Look, Ready, Round, Total};
use crate::batchlog::{Batch, split};
use crate::contract::Source;
use crate::error::{Error, Result};
use crate::folder::{Folder, Log, Reader};
use crate::quarantine;
use crate::table::{Change, Outcome, Table};

/// Files of one batch at most: its list must fit in one small object.
const BATCH_FILES: usize = 10_000;
/// With `--follow`, a file that changed within this time may still be written.
const SETTLED_MS: i64 = 2000;

/// Reads what is in a folder, until there is no more.
pub(super) async fn ingest_folder(
    job: &Job<'_>,
    source: &Source,
    look: &Look,
    total: &mut Total,
) -> Result<()> {
    let (world, table) = (job.world, &job.contract.name);
    let Some(store) = world.lake.landing_store(&source.name)? else {
        let place = world.lake.landing_url(&source.name);
        world.remark(format!("{table}: no folder {place} yet, nothing to read there"));
        return Ok(());
    };
    let scratch = match world.lake.local_root() {
        Some(_) => Some(world.lake.scratch_folder()?),
        None => None,
    };
    let job = FolderJob { job, folder: Folder::new(source.clone(), store, scratch) };
    let settled_before_ms = look.following.then(|| world.clock.now_ms() - SETTLED_MS);
    let mut lost = 0;
    loop {
        let batches = total.batches;
        match job.round(settled_before_ms, total).await? {
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

/// One table, one folder.
struct FolderJob<'a> {
    job: &'a Job<'a>,
    folder: Folder,
}

impl FolderJob<'_> {
    /// Reads what the log says is not committed, then what is new; starts over when it loses.
    async fn round(&self, settled_before_ms: Option<i64>, total: &mut Total) -> Result<Round> {
        let (world, contract) = (self.job.world, self.job.contract);
        let source = self.folder.source.to_string();
        let mut table = world.lake.open_or_create(contract).await?;
        let mut metadata = self.job.evolve(&table, &[])?;
        let own = world.lake.own_store()?;
        let mut log = Log::open(own, &contract.name.to_string(), &source).await?;
        let committed = table.txn(&source).await?.unwrap_or(-1);
        total.version = Some(table.version());
        if committed > log.last().unwrap_or(-1) {
            return Err(Error::data(format!("{} holds batch {committed} of {source}, and the log of batches ends before it", contract.name))
                .hint("restore <root>/_lake, or move the read files away and the table will go on with new ones under a new source name"));
        }
        for number in committed + 1..=log.last().unwrap_or(-1) {
            let batch = log.batch(number).cloned().ok_or_else(|| {
                Error::data(format!(
                    "{}: batch {number} of {source} is folded away and not committed",
                    contract.name
                ))
            })?;
            if !self.batch(&mut table, &batch, metadata.take(), total).await? {
                return Ok(Round::Lost);
            }
        }
        let found = self.folder.look(&mut log, settled_before_ms).await?;
        if found.is_empty {
            let place = world.lake.landing_url(&self.folder.source.name);
            world.remark(format!("{}: no file in {place} yet", contract.name));
        }
        for remark in &found.remarks {
            world.remark(remark.clone());
        }
        let first = log.last().unwrap_or(-1) + 1;
        for batch in split(found.ranges, first, self.job.batch_bytes, BATCH_FILES) {
            world.stop.check()?;
            if !log.append(batch.clone()).await?
                || !self.batch(&mut table, &batch, metadata.take(), total).await?
            {
                return Ok(Round::Lost);
            }
        }
        if let Err(error) = log.fold(table.txn(&source).await?.unwrap_or(-1)).await {
            tracing::warn!(table = %contract.name, %error, "the log of batches was not folded");
        }
        Ok(Round::Finished)
    }

    /// Reads and commits one batch; `false` if another run committed it first.
    async fn batch(
        &self,
        table: &mut Table,
        batch: &Batch,
        metadata: Option<Change>,
        total: &mut Total,
    ) -> Result<bool> {
        let (job, contract) = (self.job, self.job.contract);
        let source = self.folder.source.to_string();
        let mut quarantine = job.world.lake.open_or_create(&job.staging.quarantine).await?;
        let txns = vec![(source.clone(), batch.number)];
        let decided = if job.is_ahead(&quarantine, &txns, table).await? {
            let name = &contract.name;
            quarantine::decided_in_batch(&quarantine, &job.query, name, &source, batch).await?
        } else {
            quarantine::Decided::default()
        };
        let reader = Reader::new(self.folder.clone(), contract.fields());
        let read = |chunks| async move { reader.read(batch, &chunks).await };
        let ((), staged) = job.staging.stage(table, &quarantine, decided, read).await?;
        let info = [("lake.source", json!(source)), ("lake.batch", json!(batch.number))];
        let info = info.map(|(key, value): (&str, Value)| (key.to_owned(), value));
        let before = (batch.number > 0).then(|| batch.number - 1);
        let seen = vec![(source, before)];
        let (info, noted) = (info.into_iter().collect(), Vec::new());
        let ready = Ready { staged, txns, seen, info, metadata, noted };
        job.settle(table, &mut quarantine, ready, total).await
    }
}
