//! Bronze: records from a table's sources, each batch in one commit, exactly once.
//!
//! The snapshot that said how far the table has read is the one that the commit is made against,
//! and the commit says how far it has read now; so of two runs that read the same batch one loses,
//! looks again, and goes on behind it. Quarantine is another table and is committed first.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::contract::{Contract, Source, SourceKind, TableName};
use crate::error::{Error, Result};
use crate::folder::Watch;
use crate::mistake::to_error;
use crate::pseudonym::Pseudonyms;
use crate::quarantine;
use crate::query::{Query, limits};
use crate::rowcheck::RowChecks;
use crate::table::{Change, Commit, Evolution, Outcome, Table};
use crate::world::{Event, Failures, Step, StepResult, World};

mod feed;
mod folder;
mod known;
mod stage;
mod topic;

use feed::{Brokers, Feed};
pub use known::noted;
use stage::{Staged, Staging};

/// A run that loses this many rounds in a row leaves the table to the others.
const LOST_ROUNDS_MAX: u32 = 5;

/// How to look at the sources.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The run goes on: files that are still written are left for the next look, records that come
    /// while a topic is read are taken, and brokers that went away are waited for.
    pub following: bool,
    /// Sources whose lost records are known to be lost.
    pub accept_loss: Vec<String>,
}

/// What a run that goes on keeps between two looks: for each table and topic a connection, for each
/// table and folder what was told of it.
#[derive(Debug, Default)]
pub struct Feeds(HashMap<(TableName, String), Feed>, HashMap<(TableName, String), Watch>);

impl Feeds {
    /// Whether there is a topic of which no broker has said anything yet.
    pub fn is_one_unheard(&self) -> bool {
        self.0.values().any(|feed| feed.brokers == Brokers::Unheard)
    }

    /// Closes all connections: they hold what they fetched ahead.
    pub async fn close(&mut self) {
        futures::future::join_all(self.0.values_mut().map(Feed::close)).await;
    }
}

/// Reads everything that is in the table's sources when it starts.
///
/// # Errors
/// A source was replaced or lost (the others are read before the run ends), the store failed, or
/// another run was faster five times in a row.
pub async fn ingest(
    world: &World,
    contract: &Contract,
    look: &Look,
    feeds: &mut Feeds,
) -> Result<Step> {
    let started = Instant::now();
    // Both tables are there for SQL even before the first record.
    let version = Some(world.lake.open_or_create(contract).await?.version());
    let mut total = Total { version, ..Total::default() };
    world.lake.open_or_create(&quarantine::contract()?).await?;
    let job = Job::new(world, contract)?;
    let mut failures = Failures::default();
    for source in &contract.sources {
        let read = match source.kind {
            SourceKind::Folder => {
                let watch =
                    feeds.1.entry((contract.name.clone(), source.name.clone())).or_default();
                folder::ingest_folder(&job, source, look, watch, &mut total).await
            }
            SourceKind::Kafka => {
                let feed = feeds.0.entry((contract.name.clone(), source.name.clone())).or_default();
                topic::ingest_topic(&job, source, look, feed, &mut total).await
            }
        };
        failures.hold(world, read)?;
    }
    let is_written = total.rows + total.quarantined > 0;
    let step = Step {
        table: contract.name.clone(),
        rows: total.rows,
        quarantined: total.quarantined,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        version: total.version,
        result: if is_written { StepResult::Written } else { StepResult::UpToDate },
    };
    let ended = failures.end();
    if ended.is_ok() || is_written {
        world.tell(&Event::Done(step.clone()));
    }
    ended.map(|()| step)
}

#[derive(Debug, Default)]
struct Total {
    rows: u64,
    quarantined: u64,
    batches: u64,
    version: Option<u64>,
}

enum Round {
    Finished,
    Lost,
}

/// What reading a table's sources needs, whatever they are.
struct Job<'a> {
    world: &'a World,
    contract: &'a Contract,
    staging: Staging,
    query: Query,
    batch_bytes: u64,
}

/// A batch before its commits.
struct Ready {
    staged: Staged,
    /// How far the batch brings the table.
    txns: Vec<(String, i64)>,
    /// How far the table was when the batch was read.
    seen: Vec<(String, Option<i64>)>,
    /// What the commit info says of it.
    info: Map<String, Value>,
    metadata: Option<Change>,
    /// Properties that quarantine gets with it.
    noted: Vec<(String, String)>,
}

impl<'a> Job<'a> {
    fn new(world: &'a World, contract: &'a Contract) -> Result<Self> {
        let query = Query::new(&limits(&world.settings, None)?)?;
        let (checks, pseudonyms) = rules(world, contract, &query)?;
        Ok(Self {
            world,
            contract,
            staging: Staging {
                world: world.clone(),
                contract: contract.clone(),
                checks,
                pseudonyms,
                quarantine: quarantine::contract()?,
            },
            query,
            batch_bytes: world.settings.bytes("ingest.batch_size")?,
        })
    }

    /// The `txn` by which quarantine counts what the table counts as `app`.
    fn quarantine_app(&self, app: &str) -> String {
        format!("{}/{app}", self.contract.name)
    }

    /// Whether quarantine was committed for records that the table has yet to decide.
    async fn is_ahead(
        &self,
        quarantine: &Table,
        txns: &[(String, i64)],
        table: &Table,
    ) -> Result<bool> {
        for (app, _) in txns {
            let theirs = quarantine.txn(&self.quarantine_app(app)).await?;
            if theirs.is_some() && theirs > table.txn(app).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Commits a batch, quarantine first; `false` if another run was faster, and nothing is left of
    /// the batch.
    async fn settle(
        &self,
        table: &mut Table,
        quarantine: &mut Table,
        ready: Ready,
        total: &mut Total,
    ) -> Result<bool> {
        let Ready { staged, txns, seen, mut info, metadata, noted } = ready;
        if let Err(error) = self.staging.checks.within_tolerance(&staged.violations) {
            staged.discard(table, quarantine).await;
            return Err(error);
        }
        info.insert("lake.rows".to_owned(), json!(staged.n_rows));
        info.insert("lake.quarantined".to_owned(), json!(staged.n_rejected));
        info.insert("lake.rescued".to_owned(), json!(staged.n_rescued));
        info.insert("lake.decode_ms".to_owned(), json!(staged.decode_ns / 1_000_000));
        info.insert("lake.checks".to_owned(), json!(staged.violations.by_check));
        let is_ahead = self.is_ahead(quarantine, &txns, table).await?;
        if staged.n_rejected > 0 || is_ahead {
            let commit = Commit {
                files: staged.rejected,
                txns: self.quarantine_txns(quarantine, &txns, is_ahead).await?,
                info: info.clone(),
                metadata: evolve(quarantine, &self.staging.quarantine, &noted)?,
                ..Commit::default()
            };
            let committed = self.commit_rejected(table, quarantine, &seen, commit).await;
            if !matches!(committed, Ok(true)) {
                table.discard(staged.rows).await;
                return committed;
            }
        }
        let commit = Commit { files: staged.rows, txns, seen, info, metadata, ..Commit::default() };
        match table.commit(commit).await? {
            (Outcome::Committed(version), _) => {
                total.rows += staged.n_rows;
                total.quarantined += staged.n_rejected;
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

    /// How far a batch brings quarantine. Where it is ahead already it does not go back; then a
    /// count of its own sees to it that of two runs only one decides what is late.
    async fn quarantine_txns(
        &self,
        quarantine: &Table,
        txns: &[(String, i64)],
        is_ahead: bool,
    ) -> Result<Vec<(String, i64)>> {
        let mut forward = Vec::new();
        for (app, version) in txns {
            let app = self.quarantine_app(app);
            if quarantine.txn(&app).await?.is_none_or(|last| last < *version) {
                forward.push((app, *version));
            }
        }
        if is_ahead {
            let late = self.quarantine_app("late");
            let last = quarantine.txn(&late).await?.unwrap_or(0);
            forward.push((late, last + 1));
        }
        Ok(forward)
    }

    /// Commits rejected records; `false` if another run was faster. A run that slept while others
    /// went on must not add what they have decided, so it looks at the table first.
    async fn commit_rejected(
        &self,
        table: &Table,
        quarantine: &mut Table,
        seen: &[(String, Option<i64>)],
        commit: Commit,
    ) -> Result<bool> {
        let mut now = table.clone();
        now.reload().await?;
        if !now.is_as_seen(seen).await? {
            quarantine.discard(commit.files).await;
            return Ok(false);
        }
        match quarantine.commit(commit).await? {
            (Outcome::Committed(_), _) => Ok(true),
            (Outcome::Lost, files) => {
                quarantine.discard(files.unwrap_or_default()).await;
                Ok(false)
            }
        }
    }

    fn say_lost(&self, source: &Source) {
        self.world.remark(format!(
            "{}: another run was faster with {source}; what this one had read is dropped, and it goes on behind the other",
            self.contract.name
        ));
    }
}

/// What decides on a record: the checks of its contract, and the key of pseudonyms if it has any.
pub(crate) fn rules(
    world: &World,
    contract: &Contract,
    query: &Query,
) -> Result<(RowChecks, Option<Pseudonyms>)> {
    let text = world.project.files.get(&contract.file).map_or("", String::as_str);
    let checks = RowChecks::plan(contract, text, query);
    let checks = checks.map_err(|mistakes| to_error(&mistakes, &world.project.files))?;
    let personal = !contract.personal.is_empty();
    let key = if personal { Some(world.settings.privacy_key()?) } else { None };
    Ok((checks, key.as_ref().map(Pseudonyms::new)))
}

/// The change of columns or properties that a table needs, if it is one that old rows survive.
pub(crate) fn evolve(
    table: &Table,
    contract: &Contract,
    own: &[(String, String)],
) -> Result<Option<Change>> {
    match table.evolve(contract, own)? {
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
