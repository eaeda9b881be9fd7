//! Bronze: records from a table's sources, each batch in one commit, exactly once.
//!
//! The snapshot that said how far the table has read is the one that the commit is made against,
//! and the commit says how far it has read now; so of two runs that read the same batch one loses,
//! looks again, and goes on behind it. Quarantine is another table and is committed first.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use datafusion::arrow::datatypes::{DataType, Fields};
use serde_json::{Map, Value, json};

use crate::contract::{Contract, Source, SourceKind, TableName};
use crate::error::{Error, Result};
use crate::folder::Watch;
use crate::mistake::to_error;
use crate::project::Project;
use crate::pseudonym::Pseudonyms;
use crate::quarantine;
use crate::query::{Query, limits};
use crate::rowcheck::RowChecks;
use crate::table::{Change, Commit, KEY_PROPERTY, Outcome, Table};
use crate::world::{Event, Failures, Step, StepResult, World};

mod away;
mod changes;
mod examine;
mod feed;
mod folder;
mod known;
mod narrower;
mod raw;
mod stage;
mod topic;

pub use away::away;
pub(crate) use changes::evolve;
use changes::refuse_another_key;
pub use changes::unfollowable;
pub use examine::{examine, examine_quarantine};
use feed::{Brokers, Feed};
use folder::FolderJob;
pub use known::noted;
use narrower::Narrower;
use stage::{Staged, Staging};

/// A run that loses this many rounds in a row leaves the table to the others.
const LOST_ROUNDS_MAX: u32 = 5;

/// What to do about damaged files of a table that reads sources.
pub fn way_out_of_damage(name: &TableName) -> String {
    format!(
        "restore it from a backup; or move the folders {}/{} and _lake/{name} away, and the next run reads the sources again, as far as they are still there",
        name.layer, name.table
    )
}

/// What to do about rows of such a table that another tool added or took away.
pub fn way_out_of_change(name: &TableName, version: u64) -> String {
    format!(
        "what was read of the sources counts as read, and is not read again: if that was no wish, bring version {version} back with that tool (RESTORE), or move the folders {}/{} and _lake/{name} away, and the next run reads the sources again, as far as they are still there",
        name.layer, name.table
    )
}

/// An error about a damaged file of a table that reads sources, with the way out of that: nobody
/// can compute it anew.
pub fn with_way_out(project: &Project, error: Error) -> Error {
    let text = error.to_string();
    let is_meant = |contract: &&Contract| {
        text.contains(&format!("of table {} is ", contract.name))
            && error.hint_text().is_some_and(|hint| hint.contains("--full-refresh"))
    };
    match project.sourced().find(is_meant) {
        Some(contract) => error.hint(way_out_of_damage(&contract.name)),
        None => error,
    }
}

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
pub struct Feeds(
    HashMap<(TableName, String), Feed>,
    HashMap<(TableName, String), Watch>,
    /// Tables that were looked at closely.
    BTreeSet<TableName>,
);

impl Feeds {
    /// Whether there is a topic of which no broker has said anything yet.
    pub fn is_one_unheard(&self) -> bool {
        self.0.values().any(|feed| feed.brokers == Brokers::Unheard)
    }

    /// Whether a topic has a table and quarantine open.
    fn keep_open(&self, table: &TableName) -> bool {
        let mut feeds = self.0.iter().filter(|((name, _), _)| name == table);
        feeds.any(|(_, feed)| feed.table.is_some() && feed.quarantine.is_some())
    }

    /// Closes all connections: they hold what they fetched ahead.
    pub async fn close(&mut self) {
        futures::future::join_all(self.0.values_mut().map(Feed::close)).await;
    }
}

/// Reads everything that is in the table's sources when it starts. What is wrong with one source,
/// or with this table, goes to `failures`: the other sources are read all the same.
///
/// # Errors
/// What is wrong with everything, as a store that fails.
pub async fn ingest(
    world: &World,
    contract: &Contract,
    look: &Look,
    feeds: &mut Feeds,
    failures: &mut Failures,
) -> Result<Option<Step>> {
    let started = Instant::now();
    // Nothing is made for a table that cannot be read into.
    let Some(job) = failures.hold(world, Job::new(world, contract))? else { return Ok(None) };
    let mut total = Total::default();
    let mut is_unread = false;
    if !feeds.keep_open(&contract.name) {
        // Both tables are made before the first record; the table is there for others once its
        // sources were looked at.
        let opened = job.open().await;
        let Some(mut table) = failures.hold(world, opened)? else { return Ok(None) };
        is_unread = table.is_unread()?;
        if feeds.2.insert(contract.name.clone()) {
            match look_closely(world, &table).await {
                // New records come in all the same, and a run that goes on does not end by it.
                Err(error) if look.following => world.remark(error.report()),
                looked => drop(failures.hold(world, looked)?),
            }
        }
        let followed = job.follow_contract(&mut table).await;
        let Some(()) = failures.hold(world, followed)? else { return Ok(None) };
        total.version = Some(table.version());
    }
    let (mut is_whole, mut is_read) = (true, true);
    for source in &contract.sources {
        let read = match source.kind {
            SourceKind::Folder => {
                let watch =
                    feeds.1.entry((contract.name.clone(), source.name.clone())).or_default();
                let read = folder::ingest_folder(&job, source, look, watch, &mut total).await;
                // A run that goes on leaves no other table for one folder that has to stop.
                let read = if look.following { folder::told(&job, watch, read) } else { read };
                failures.hold(world, read)?
            }
            SourceKind::Kafka => {
                let feed = feeds.0.entry((contract.name.clone(), source.name.clone())).or_default();
                let read = topic::ingest_topic(&job, source, look, feed, &mut total).await;
                // Brokers that are away are no reason to leave files unread.
                let read = failures.hold_passing(world, read)?;
                is_read &= read != Some(false);
                read.map(drop)
            }
        };
        is_whole &= read.is_some();
    }
    if is_unread && is_whole && is_read && total.batches == 0 {
        let read = job.note_read().await;
        total.version = failures.hold(world, read)?.or(total.version);
    }
    let is_written = total.rows + total.quarantined > 0;
    if !is_whole && !is_written {
        return Ok(None);
    }
    let step = Step {
        table: contract.name.clone(),
        rows: total.rows,
        quarantined: total.quarantined,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        version: total.version,
        result: if is_written { StepResult::Written } else { StepResult::UpToDate },
    };
    world.tell(&Event::Done(step.clone()));
    Ok(Some(step))
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

    /// Makes the table and quarantine where they are missing.
    async fn open(&self) -> Result<Table> {
        let lake = &self.world.lake;
        let held = lake.table(&self.contract.name).await?;
        let key = held.as_ref().map_or(Ok(None), |table| table.property(KEY_PROPERTY))?;
        if key.is_none() {
            self.refuse_second_key().await?;
        }
        let table = match held {
            Some(table) => table,
            None if self.has_source() => lake.open_or_create_unread(self.contract).await?,
            None => lake.open_or_create(self.contract).await?,
        };
        lake.open_or_create(&self.staging.quarantine).await?;
        Ok(table)
    }

    /// Gives the table the columns that the contract has gained: models read them before the first
    /// record that has them.
    async fn follow_contract(&self, table: &mut Table) -> Result<()> {
        // What a table that nobody has read lacks comes with its first commit. Rows are looked at
        // once for each change of the contract, and not again until the next record.
        let is_narrower = Narrower::of(table, self.contract)?.is_some();
        let lacks = lacks_columns(table.schema()?.fields(), self.contract.schema().fields());
        if !table.is_unread()? && (lacks || is_narrower) {
            let metadata = self.evolve(table, &[]).await?;
            let committed = table.commit(Commit { metadata, ..Commit::default() }).await?;
            if matches!(committed, (Outcome::Lost, _)) {
                tracing::info!(table = %self.contract.name, "another run added the new columns");
            }
        }
        Ok(())
    }

    /// Whether a source is there to be read: a folder, or a topic of brokers that are named. One
    /// that cannot be looked at is, too: reading it says why.
    fn has_source(&self) -> bool {
        let (lake, settings) = (&self.world.lake, &self.world.settings);
        self.contract.sources.iter().any(|source| match source.kind {
            SourceKind::Folder => !matches!(lake.landing_place(&source.name), Ok(None)),
            SourceKind::Kafka => settings.get("kafka.brokers").is_some(),
        })
    }

    /// Notes in a table that was made for records that all its sources were looked at: there are
    /// none. Its version.
    async fn note_read(&self) -> Result<u64> {
        let mut table = self.world.lake.open_or_create(self.contract).await?;
        let metadata = self.evolve(&table, &[]).await?;
        if metadata.is_some() {
            // Who was faster has noted it.
            table.commit(Commit { metadata, ..Commit::default() }).await?;
        }
        Ok(table.version())
    }

    /// A table joins others by pseudonyms, which are equal only under one key: a new one must have
    /// that of the lake.
    async fn refuse_second_key(&self) -> Result<()> {
        let Some(pseudonyms) = &self.staging.pseudonyms else { return Ok(()) };
        let others = self.world.project.sourced();
        for other in others.filter(|other| !other.personal.is_empty()) {
            if let Some(table) = self.world.lake.table(&other.name).await? {
                refuse_another_key(&table, pseudonyms, &self.contract.name)?;
            }
        }
        Ok(())
    }

    /// The change that a batch's commit makes to the table's columns and properties.
    async fn evolve(&self, table: &Table, own: &[(String, String)]) -> Result<Option<Change>> {
        evolve(self.world, table, self.contract, self.staging.pseudonyms.as_ref(), own).await
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
        info.insert("lake.rows".to_owned(), json!(staged.n_rows));
        info.insert("lake.quarantined".to_owned(), json!(staged.n_rejected));
        info.insert("lake.rescued".to_owned(), json!(staged.n_rescued));
        info.insert("lake.decode_ms".to_owned(), json!(staged.decode_ns / 1_000_000));
        info.insert("lake.checks".to_owned(), json!(staged.violations.by_check));
        info.insert("lake.checked".to_owned(), json!(staged.violations.n_rows));
        let is_ahead = self.is_ahead(quarantine, &txns, table).await?;
        if staged.n_rejected > 0 || is_ahead {
            let commit = Commit {
                files: staged.rejected,
                txns: self.quarantine_txns(quarantine, &txns, is_ahead).await?,
                info: info.clone(),
                metadata: evolve(self.world, quarantine, &self.staging.quarantine, None, &noted)
                    .await?,
                follows: true,
                ..Commit::default()
            };
            let committed = self.commit_rejected(table, quarantine, &seen, commit).await;
            if !matches!(committed, Ok(true)) {
                table.discard(staged.rows).await;
                return committed;
            }
        }
        let files = staged.rows;
        let commit =
            Commit { files, txns, seen, info, metadata, follows: true, ..Commit::default() };
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
        now.follow().await?;
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

/// A table may not hold any more what was written.
///
/// # Errors
/// Files of the table are gone or damaged: nobody can read it.
async fn look_closely(world: &World, table: &Table) -> Result<()> {
    let (name, damage) = (table.name(), table.damage().await?);
    if damage.is_none() {
        if let Some(version) = table.changed_by_others().await? {
            world.remark(format!(
                "{name}: another tool changed its rows since version {version}, which lake wrote; {}",
                way_out_of_change(name, version)
            ));
        }
        return Ok(());
    }
    Err(Error::data(format!("{name}: {damage}")).hint(way_out_of_damage(name)))
}

/// Whether a table has yet to get columns, or fields of them.
fn lacks_columns(have: &Fields, wanted: &Fields) -> bool {
    wanted.iter().any(|wanted| match have.find(wanted.name()).map(|(_, have)| have.data_type()) {
        None => true,
        Some(DataType::Struct(have)) => match wanted.data_type() {
            DataType::Struct(wanted) => lacks_columns(have, wanted),
            _ => false,
        },
        Some(_) => false,
    })
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
    let key = personal.then(|| world.settings.privacy_key()).transpose();
    let key = key.map_err(|error| error.at(&contract.name))?;
    Ok((checks, key.as_ref().map(Pseudonyms::new)))
}
