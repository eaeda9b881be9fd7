//! Bronze: records from a table's sources, each batch in one commit, exactly once.
//!
//! The snapshot that said how far the table has read is the one that the commit is made against,
//! and the commit says how far it has read now; so of two runs that read the same batch one loses,
//! looks again, and goes on behind it. Quarantine is another table and is committed first.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::batchlog::{Batch, split};
use crate::contract::{Contract, Source, SourceKind};
use crate::error::{Error, Result};
use crate::folder::{Folder, Log, Reader};
use crate::mistake::to_error;
use crate::pseudonym::Pseudonyms;
use crate::quarantine::{self, Decided};
use crate::query::{Query, limits};
use crate::rowcheck::RowChecks;
use crate::table::{Change, Commit, Evolution, Outcome, Table};
use crate::world::{Event, Step, StepResult, World};

mod stage;

use stage::{Staged, Staging};

/// A run that loses this many rounds in a row leaves the table to the others.
const LOST_ROUNDS_MAX: u32 = 5;
/// Files of one batch at most: its list must fit in one small object.
const BATCH_FILES: usize = 10_000;

/// Reads everything that is in the table's sources when it starts.
///
/// With `settled_ms`, files that changed within that time are left for the next look.
///
/// # Errors
/// A source was replaced or lost, the store failed, or another run was faster five times in a row.
pub async fn ingest(world: &World, contract: &Contract, settled_ms: Option<i64>) -> Result<Step> {
    let started = Instant::now();
    // Both tables are there for SQL even before the first record.
    let version = Some(world.lake.open_or_create(contract).await?.version());
    let mut total = Total { version, ..Total::default() };
    world.lake.open_or_create(&quarantine::contract()?).await?;
    for source in &contract.sources {
        match source.kind {
            SourceKind::Folder => {
                ingest_folder(world, contract, source, settled_ms, &mut total).await?;
            }
            SourceKind::Kafka => world.remark(match world.settings.get("kafka.brokers") {
                None => format!("{source}: left out, `kafka.brokers` is not set"),
                Some(_) => format!("{source}: left out, reading Kafka is not built yet"),
            }),
        }
    }
    let step = Step {
        table: contract.name.clone(),
        rows: total.rows,
        quarantined: total.quarantined,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        version: total.version,
        result: if total.batches > 0 { StepResult::Written } else { StepResult::UpToDate },
    };
    world.tell(&Event::Done(step.clone()));
    Ok(step)
}

#[derive(Debug, Default)]
struct Total {
    rows: u64,
    quarantined: u64,
    batches: u64,
    version: Option<u64>,
}

async fn ingest_folder(
    world: &World,
    contract: &Contract,
    source: &Source,
    settled_ms: Option<i64>,
    total: &mut Total,
) -> Result<()> {
    let Some(store) = world.lake.landing_store(&source.name)? else {
        let place = world.lake.landing_url(&source.name);
        world.remark(format!("{}: no folder {place} yet, nothing to read there", contract.name));
        return Ok(());
    };
    let scratch = match world.lake.local_root() {
        Some(_) => Some(world.lake.scratch_folder()?),
        None => None,
    };
    let job = Job::new(world, contract, Folder::new(source.clone(), store, scratch))?;
    let settled_before_ms = settled_ms.map(|ms| world.clock.now_ms() - ms);
    let mut lost = 0;
    loop {
        let batches = total.batches;
        match job.round(settled_before_ms, total).await? {
            Round::Finished => return Ok(()),
            Round::Lost if total.batches > batches => lost = 1,
            Round::Lost => lost += 1,
        }
        if lost == LOST_ROUNDS_MAX {
            return Outcome::Lost.version(&contract.name.to_string()).map(drop);
        }
    }
}

enum Round {
    Finished,
    Lost,
}

/// One table, one folder.
struct Job<'a> {
    world: &'a World,
    contract: &'a Contract,
    folder: Folder,
    staging: Staging,
    query: Query,
    batch_bytes: u64,
}

impl<'a> Job<'a> {
    fn new(world: &'a World, contract: &'a Contract, folder: Folder) -> Result<Self> {
        let query = Query::new(&limits(&world.settings, None)?)?;
        let text = world.project.files.get(&contract.file).map_or("", String::as_str);
        let checks = RowChecks::plan(contract, text, &query);
        let checks = checks.map_err(|mistakes| to_error(&mistakes, &world.project.files))?;
        let personal = !contract.personal.is_empty();
        let key = if personal { Some(world.settings.privacy_key()?) } else { None };
        Ok(Self {
            world,
            contract,
            folder,
            staging: Staging {
                world: world.clone(),
                contract: contract.clone(),
                checks,
                pseudonyms: key.as_ref().map(Pseudonyms::new),
                quarantine: quarantine::contract()?,
            },
            query,
            batch_bytes: world.settings.bytes("ingest.batch_size")?,
        })
    }

    /// Reads what the log says is not committed, then what is new; starts over when it loses.
    async fn round(&self, settled_before_ms: Option<i64>, total: &mut Total) -> Result<Round> {
        let source = self.folder.source.to_string();
        let mut table = self.world.lake.open_or_create(self.contract).await?;
        let metadata = evolve(&table, self.contract)?;
        let mut log =
            Log::open(self.world.lake.own_store()?, &self.contract.name.to_string(), &source)
                .await?;
        let committed = table.txn(&source).await?.unwrap_or(-1);
        total.version = Some(table.version());
        if committed > log.last().unwrap_or(-1) {
            return Err(Error::data(format!("{} holds batch {committed} of {source}, and the log of batches ends before it", self.contract.name))
                .hint("restore <root>/_lake, or move the read files away and the table will go on with new ones under a new source name"));
        }
        let mut metadata = metadata;
        for number in committed + 1..=log.last().unwrap_or(-1) {
            let batch = log.batch(number).cloned().ok_or_else(|| {
                Error::data(format!(
                    "{}: batch {number} of {source} is folded away and not committed",
                    self.contract.name
                ))
            })?;
            if !self.batch(&mut table, &batch, metadata.take(), total).await? {
                return Ok(Round::Lost);
            }
        }
        let found = self.folder.look(&mut log, settled_before_ms).await?;
        if found.is_empty {
            let place = self.world.lake.landing_url(&self.folder.source.name);
            self.world.remark(format!("{}: no file in {place} yet", self.contract.name));
        }
        for remark in &found.remarks {
            self.world.remark(remark.clone());
        }
        let first = log.last().unwrap_or(-1) + 1;
        for batch in split(found.ranges, first, self.batch_bytes, BATCH_FILES) {
            self.world.stop.check()?;
            if !log.append(batch.clone()).await?
                || !self.batch(&mut table, &batch, metadata.take(), total).await?
            {
                return Ok(Round::Lost);
            }
        }
        if let Err(error) = log.fold(table.txn(&source).await?.unwrap_or(-1)).await {
            tracing::warn!(table = %self.contract.name, %error, "the log of batches was not folded");
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
        let source = self.folder.source.to_string();
        let mut quarantine = self.world.lake.open_or_create(&self.staging.quarantine).await?;
        let app = format!("{}/{source}", self.contract.name);
        let ahead = quarantine.txn(&app).await?.is_some_and(|last| last >= batch.number);
        let decided = if ahead {
            quarantine::decided(&quarantine, &self.query, &self.contract.name, &source, batch)
                .await?
        } else {
            Decided::new()
        };
        let reader = Reader::new(self.folder.clone(), self.contract.fields());
        let read = |chunks| async move { reader.read(batch, &chunks).await };
        let staged = self.staging.stage(table, &quarantine, decided, read).await?;
        if let Err(error) = self.staging.checks.within_tolerance(&staged.violations) {
            table.discard(staged.rows).await;
            quarantine.discard(staged.rejected).await;
            return Err(error);
        }
        let info = self.info(batch, &staged);
        let (n_rows, n_rejected) = (staged.n_rows, staged.n_rejected);
        if n_rejected > 0 {
            let app = if ahead { format!("{app}/late") } else { app };
            let commit = Commit {
                files: staged.rejected,
                txns: vec![(app, batch.number)],
                info: info.clone(),
                once: true,
                ..Commit::default()
            };
            let committed = commit_first(&mut quarantine, commit).await;
            if !matches!(committed, Ok(true)) {
                table.discard(staged.rows).await;
                return committed;
            }
        }
        let commit = Commit {
            files: staged.rows,
            txns: vec![(source, batch.number)],
            info,
            metadata,
            once: true,
            ..Commit::default()
        };
        match table.commit(commit).await? {
            (Outcome::Committed(version), _) => {
                total.rows += n_rows;
                total.quarantined += n_rejected;
                total.batches += 1;
                total.version = Some(version);
                Ok(true)
            }
            (Outcome::Lost, files) => {
                table.discard(files.unwrap_or_default()).await;
                Ok(false)
            }
        }
    }

    fn info(&self, batch: &Batch, staged: &Staged) -> Map<String, Value> {
        let mut info = Map::new();
        info.insert("lake.source".to_owned(), json!(self.folder.source.to_string()));
        info.insert("lake.batch".to_owned(), json!(batch.number));
        info.insert("lake.rows".to_owned(), json!(staged.n_rows));
        info.insert("lake.quarantined".to_owned(), json!(staged.n_rejected));
        info.insert("lake.rescued".to_owned(), json!(staged.n_rescued));
        info.insert("lake.checks".to_owned(), json!(staged.violations.by_check));
        info
    }
}

/// Commits rejected records; `false` if another run did so first.
async fn commit_first(quarantine: &mut Table, commit: Commit) -> Result<bool> {
    match quarantine.commit(commit).await? {
        (Outcome::Committed(_), _) => Ok(true),
        (Outcome::Lost, files) => {
            quarantine.discard(files.unwrap_or_default()).await;
            Ok(false)
        }
    }
}

/// The change of columns that a table needs, if it is one that old rows survive.
fn evolve(table: &Table, contract: &Contract) -> Result<Option<Change>> {
    match table.evolve(contract)? {
        Evolution::None => Ok(None),
        Evolution::Additive(action) => Ok(Some(action)),
        Evolution::Breaking(_) => Err(Error::usage(format!(
            "{} was made under another contract: columns went or changed their type",
            contract.name
        ))
        .hint(format!(
            "undo the change in {}, or give the new shape a new table name",
            contract.file
        ))),
    }
}
