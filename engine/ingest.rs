//! Bronze: records from a table's sources, each batch in one commit, exactly once.
//!
//! The snapshot that said how far the table has read is the one that the commit is made against,
//! and the commit says how far it has read now; so of two runs that read the same batch one loses,
//! looks again, and goes on behind it. Quarantine is another table and is committed first.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::batchlog::{Batch, split};
use crate::contract::{Contract, Source, SourceKind};
use crate::error::{Error, Result};
use crate::folder::{Chunk, Folder, Log, Reader};
use crate::intake::{Intake, Origin};
use crate::mistake::to_error;
use crate::pseudonym::Pseudonyms;
use crate::quarantine::{self, Decided};
use crate::query::{Query, limits};
use crate::rowcheck::{RowChecks, Violations};
use crate::table::{Change, Commit, Evolution, Files, Outcome, Table, Writer};
use crate::world::{Event, Step, StepResult, World};

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
    checks: RowChecks,
    query: Query,
    pseudonyms: Option<Pseudonyms>,
    quarantine: Contract,
    batch_bytes: u64,
}

/// What a batch became before its commit.
#[derive(Debug, Default)]
struct Staged {
    rows: Files,
    rejected: Files,
    n_rows: u64,
    n_rejected: u64,
    n_rescued: u64,
    violations: Violations,
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
            checks,
            query,
            pseudonyms: key.as_ref().map(Pseudonyms::new),
            quarantine: quarantine::contract()?,
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
        let mut quarantine = self.world.lake.open_or_create(&self.quarantine).await?;
        let app = format!("{}/{source}", self.contract.name);
        let ahead = quarantine.txn(&app).await?.is_some_and(|last| last >= batch.number);
        let decided = if ahead {
            quarantine::decided(&quarantine, &self.query, &self.contract.name, &source, batch)
                .await?
        } else {
            Decided::new()
        };
        let staged = self.stage(table, &quarantine, batch, decided).await?;
        if let Err(error) = self.checks.within_tolerance(&staged.violations) {
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
            let committed = match quarantine.commit(commit).await {
                Ok(committed) => committed,
                Err(error) => {
                    table.discard(staged.rows).await;
                    return Err(error);
                }
            };
            if let (Outcome::Lost, files) = committed {
                quarantine.discard(files.unwrap_or_default()).await;
                table.discard(staged.rows).await;
                return Ok(false);
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

    /// Decodes and writes a batch: one reader, as many workers as cores.
    async fn stage(
        &self,
        table: &Table,
        quarantine: &Table,
        batch: &Batch,
        decided: Decided,
    ) -> Result<Staged> {
        let (sender, receiver) = mpsc::channel::<Chunk>(4);
        let receiver = Arc::new(Mutex::new(receiver));
        let decided = Arc::new(decided);
        let now_us = self.world.clock.now_us();
        let mut workers = JoinSet::new();
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let worker = Worker {
                world: self.world.clone(),
                contract: self.contract.clone(),
                intake: Intake::new(
                    self.contract,
                    self.checks.clone(),
                    self.pseudonyms.clone(),
                    now_us,
                )?,
                rows: table.writer(self.contract)?,
                rejected: quarantine.writer(&self.quarantine)?,
                quarantine: self.quarantine.clone(),
                now_us,
                staged: Staged::default(),
            };
            workers.spawn(worker.work(Arc::clone(&receiver), Arc::clone(&decided)));
        }
        drop(receiver);
        let reader = Reader::new(self.folder.clone(), self.contract.fields());
        let read = reader.read(batch, &sender).await;
        drop(sender);
        let mut staged = Staged::default();
        let mut result = read;
        while let Some(worker) = workers.join_next().await {
            match worker
                .map_err(|cause| Error::internal("a worker broke").caused_by(cause))
                .and_then(|done| done)
            {
                Ok(done) => staged.add(done),
                Err(error) => result = result.and(Err(error)),
            }
        }
        if let Err(error) = result {
            table.discard(staged.rows).await;
            quarantine.discard(staged.rejected).await;
            return Err(error);
        }
        Ok(staged)
    }
}

impl Staged {
    fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.rejected.extend(other.rejected);
        self.n_rows += other.n_rows;
        self.n_rejected += other.n_rejected;
        self.n_rescued += other.n_rescued;
        self.violations.merge(&other.violations);
    }
}

/// Decodes chunks and writes their rows.
struct Worker {
    world: World,
    contract: Contract,
    intake: Intake,
    rows: Writer,
    rejected: Writer,
    quarantine: Contract,
    now_us: i64,
    staged: Staged,
}

impl Worker {
    async fn work(
        mut self,
        chunks: Arc<Mutex<mpsc::Receiver<Chunk>>>,
        decided: Arc<Decided>,
    ) -> Result<Staged> {
        let result = loop {
            let chunk = chunks.lock().await.recv().await;
            let Some(chunk) = chunk else { break Ok(()) };
            if let Err(error) = self.chunk(&chunk, &decided).await {
                break Err(error);
            }
        };
        if let Err(error) = result {
            self.rows.abort().await;
            self.rejected.abort().await;
            return Err(error);
        }
        self.staged.violations = std::mem::take(&mut self.intake.violations);
        self.staged.n_rescued = self.intake.n_rescued;
        self.staged.rows = self.rows.close().await?;
        self.staged.rejected = self.rejected.close().await?;
        Ok(self.staged)
    }

    async fn chunk(&mut self, chunk: &Chunk, decided: &Decided) -> Result<()> {
        let source = format!("folder:{}", chunk.file);
        let origin = Origin {
            source: &source,
            topic: None,
            partition: None,
            file: Some(&chunk.file),
            record_ts_us: Some(chunk.modified_us),
        };
        match &chunk.fault {
            None => self.intake.lines(&origin, &chunk.lines, chunk.first_record, decided)?,
            Some(fault) => {
                self.world.remark(format!(
                    "{}: {fault}; what could not be read is in quarantine",
                    chunk.file
                ));
                self.intake.fault(&origin, chunk.first_record, fault, decided);
            }
        }
        let partitioned_by_day = self.contract.partition_by == ["_ingest_date"];
        let days = i32::try_from(self.now_us.div_euclid(86_400_000_000)).unwrap_or(i32::MAX);
        let mut n_rows = 0;
        for rows in std::mem::take(&mut self.intake.rows) {
            n_rows += rows.num_rows() as u64;
            if partitioned_by_day {
                self.rows.write_day(rows, "_ingest_date", days).await?;
            } else {
                self.rows.write(&rows).await?;
            }
        }
        let rejected = std::mem::take(&mut self.intake.rejected);
        if !rejected.is_empty() {
            let rows =
                quarantine::rows(&self.quarantine, &self.contract.name, &rejected, self.now_us)?;
            self.rejected.write(&rows).await?;
        }
        self.staged.n_rows += n_rows;
        self.staged.n_rejected += rejected.len() as u64;
        self.world.tell(&Event::Rows(self.contract.name.clone(), n_rows));
        Ok(())
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
