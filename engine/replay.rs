//! Quarantine once more: records that their table takes now, after a contract or the engine was
//! mended, come in, once.
//!
//! They go into the table first and out of quarantine second: two tables, two commits. Both carry
//! the `txn` `lake/replay/<table>` with one number, which is also the `_ingested_at` of the rows
//! that came in, to the millisecond. Where the table's number is the higher one, the second commit is missing, and the
//! rows of that time say which records must go: the next replay does that first.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{AsArray, BooleanArray};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use serde_json::{Map, Value, json};

use crate::contract::{Contract, OnViolation, TableName, spelled};
use crate::error::{Error, Result};
use crate::ingest::{evolve, rules};
use crate::mistake::did_you_mean;
use crate::pseudonym::Pseudonyms;
use crate::quarantine;
use crate::query::{Query, limits, translate};
use crate::rowcheck::RowChecks;
use crate::table::{Commit, Files, Outcome, StoredFile, Table, Writer};
use crate::world::World;

mod look;
mod reasons;
mod records;
mod settled;

use look::look;
use reasons::Reasons;
use records::{Held, PLACE, Records};

/// A replay that loses this many rounds in a row leaves the table to the others.
const LOST_ROUNDS_MAX: u32 = 5;
/// Rows of quarantine read at once: each may be as long as the longest record.
const ROWS: usize = 256;
/// Rows read at once where their raw bytes are not.
const ROWS_OF_PLACES: usize = 8192;

/// What became of a table's records in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The table.
    pub table: TableName,
    /// Records that came in.
    pub came_in: u64,
    /// Records that stay where they are.
    pub stayed: u64,
}

/// Replays the records of every table that has some in quarantine, or of one.
///
/// # Errors
/// A table that there is not, a contract that the table cannot follow, a store that is unsafe or
/// failed, or others that were faster five times in a row.
pub async fn replay(world: &World, only: Option<&str>) -> Result<Vec<Replayed>> {
    let held = match world.lake.table(&quarantine::name()).await? {
        Some(quarantine) => tables_in(world, &quarantine).await?,
        None => BTreeSet::new(),
    };
    let wanted = wanted(world, &held, only)?;
    if !held.is_empty() {
        world.lake.refuse_unsafe_store().await?;
    }
    let mut replayed = Vec::new();
    for name in wanted {
        let contract = TableName::parse(&name).and_then(|name| world.project.contracts.get(&name));
        match contract.filter(|contract| !contract.sources.is_empty()) {
            Some(contract) if held.contains(&name) => {
                replayed.push(Replay::new(world, contract)?.run().await?);
            }
            Some(_) => world.remark(format!("{name}: none of its records is in quarantine")),
            None => world.remark(format!(
                "{name}: no table of this project takes records any more under that name; those in quarantine stay"
            )),
        }
    }
    if only.is_none() && held.is_empty() {
        world.remark("quarantine is empty");
    }
    Ok(replayed)
}

/// The tables that have records in quarantine.
async fn tables_in(world: &World, quarantine: &Table) -> Result<BTreeSet<String>> {
    let query = Query::new(&limits(&world.settings, None)?)?;
    query.register(&quarantine::name(), quarantine.provider()?)?;
    let batches = query.collect("SELECT DISTINCT table_name FROM bronze.quarantine").await;
    let batches = batches.map_err(|cause| translate("cannot read bronze.quarantine", cause))?;
    let mut tables = BTreeSet::new();
    for rows in batches {
        let names = cast(rows.column(0), &DataType::Utf8)
            .map_err(|cause| Error::internal("quarantine's tables").caused_by(cause))?;
        tables.extend(names.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(tables)
}

fn wanted(world: &World, held: &BTreeSet<String>, only: Option<&str>) -> Result<BTreeSet<String>> {
    let Some(only) = only else { return Ok(held.clone()) };
    let known: Vec<String> =
        world.project.sourced().map(|contract| contract.name.to_string()).collect();
    let named = spelled(only).map_or_else(|| only.to_owned(), |name| name.to_string());
    if held.contains(&named) || known.contains(&named) {
        return Ok(BTreeSet::from([named]));
    }
    let error = Error::usage(format!("there is no table {only} that reads a source"));
    Err(match did_you_mean(only, known.iter().map(String::as_str)) {
        Some(known) => error.hint(format!("did you mean `{known}`?")),
        None => error.hint(format!("those that do: {}", known.join(", "))),
    })
}

/// A row that breaks a check stays in quarantine, whatever the contract wants for a new one: a
/// record is never lost, nor all others held up, by asking again.
fn lenient(contract: &Contract) -> Contract {
    let mut contract = contract.clone();
    for check in &mut contract.checks {
        if check.violation.action != OnViolation::Warn {
            check.violation.action = OnViolation::Quarantine;
        }
    }
    contract
}

/// The replay of one table.
struct Replay<'a> {
    world: &'a World,
    contract: &'a Contract,
    checks: RowChecks,
    pseudonyms: Option<Pseudonyms>,
    quarantine: Contract,
    /// The columns of quarantine that say which record a row is.
    places: SchemaRef,
    query: Query,
    /// The `txn` of both commits.
    app: String,
    /// Bytes of records that come in with one commit.
    batch_bytes: u64,
}

/// What became of one round.
enum Round {
    /// Another replay was faster.
    Lost,
    /// An earlier replay had to be finished first.
    Finished,
    /// So many came in.
    Took { came_in: u64, stayed: u64, waiting: BTreeMap<String, u64>, is_whole: bool },
}

impl<'a> Replay<'a> {
    fn new(world: &'a World, contract: &'a Contract) -> Result<Self> {
        let query = Query::new(&limits(&world.settings, None)?)?;
        let (checks, pseudonyms) = rules(world, &lenient(contract), &query)?;
        let quarantine = quarantine::contract()?;
        let schema = quarantine.schema();
        let places = schema.fields().iter().filter(|field| PLACE.contains(&field.name().as_str()));
        let places = Schema::new(places.cloned().collect::<Vec<_>>());
        Ok(Self {
            world,
            contract,
            checks,
            pseudonyms,
            places: places.into(),
            quarantine,
            query,
            app: format!("lake/replay/{}", contract.name),
            batch_bytes: world.settings.bytes("ingest.batch_size")?,
        })
    }

    /// Takes in what fits, one commit after the other.
    async fn run(&self) -> Result<Replayed> {
        let (world, name) = (self.world, &self.contract.name);
        let (mut total, mut lost) = (0, 0);
        loop {
            world.stop.check()?;
            match self.round().await? {
                Round::Took { came_in, stayed, waiting, is_whole } => {
                    (total, lost) = (total + came_in, 0);
                    if !is_whole {
                        continue;
                    }
                    for (source, n) in &waiting {
                        world.remark(format!(
                            "{name}: {n} records of {source} are left: a run has yet to settle them, `lake run {}` first",
                            name.layer
                        ));
                    }
                    if total == 0 && waiting.is_empty() {
                        world.remark(format!(
                            "{name}: its contract takes none of its records in quarantine; `lake quarantine list` says why"
                        ));
                    }
                    return Ok(Replayed { table: name.clone(), came_in: total, stayed });
                }
                Round::Finished => world.remark(format!(
                    "{name}: an earlier replay was cut short; what it took in is out of quarantine now"
                )),
                Round::Lost => {
                    world.remark(format!("{name}: another run was faster; this one looks again"));
                    lost += 1;
                }
            }
            if lost == LOST_ROUNDS_MAX {
                Outcome::Lost.version(&name.to_string())?;
            }
        }
    }

    async fn round(&self) -> Result<Round> {
        let lake = &self.world.lake;
        // Quarantine first: where the table, opened later, is still behind it, a run was cut short
        // or is at work.
        let mut quarantine = lake.open_or_create(&self.quarantine).await?;
        let mut table = lake.open_or_create(self.contract).await?;
        let left = quarantine.txn(&self.app).await?;
        let entered = table.txn(&self.app).await?;
        if let Some(number) = entered.filter(|number| left.is_none_or(|left| left < *number)) {
            let taken = self.taken_by(&table, number).await?;
            self.clear(&mut quarantine, &taken, &Reasons::default(), number).await?;
            return Ok(Round::Finished);
        }
        let metadata =
            evolve(self.world, &table, self.contract, self.pseudonyms.as_ref(), &[]).await?;
        // Whole milliseconds: the statistics of files are no finer.
        let last_ms = entered.max(left).unwrap_or(0).div_euclid(1000);
        let number = self.world.clock.now_ms().max(last_ms + 1) * 1000;
        // Its state is large, and would be carried by all that wait for it.
        let found = Box::pin(look(self, &table, &quarantine, number)).await?;
        let (stayed, waiting, is_whole) = (found.stayed, found.waiting, found.is_whole);
        if found.n_rows > 0 {
            let commit = Commit {
                files: found.files,
                txns: vec![(self.app.clone(), number)],
                seen: vec![(self.app.clone(), entered)],
                info: info(&[
                    ("lake.rows", json!(found.n_rows)),
                    ("lake.rescued", json!(found.n_rescued)),
                ]),
                metadata,
                ..Commit::default()
            };
            if let (Outcome::Lost, files) = table.commit(commit).await? {
                table.discard(files.unwrap_or_default()).await;
                return Ok(Round::Lost);
            }
        }
        if found.n_rows > 0 || !found.reasons.is_empty() {
            self.clear(&mut quarantine, &found.taken, &found.reasons, number).await?;
        }
        Ok(Round::Took { came_in: found.n_rows, stayed, waiting, is_whole })
    }

    /// The records that came in with a replay.
    async fn taken_by(&self, table: &Table, number: i64) -> Result<Records> {
        let name = &self.contract.name;
        let time = |us: i64| format!("arrow_cast({us}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
        self.query.register(name, table.provider()?)?;
        let sql = format!(
            "SELECT _topic, _partition, _offset, _record_ts, _ingested_at, _source_file FROM \"{}\".\"{}\" WHERE _ingested_at BETWEEN {} AND {}",
            name.layer,
            name.table,
            time(number),
            time(number + 999)
        );
        let batches = self.query.collect(&sql).await;
        let batches = batches.map_err(|cause| translate(&format!("cannot read {name}"), cause))?;
        let mut taken = Records::default();
        for rows in &batches {
            taken.add(rows)?;
        }
        Ok(taken)
    }

    /// Takes records out of quarantine. They are in the table: only this may be repeated. Of others
    /// it says why they stay.
    async fn clear(
        &self,
        quarantine: &mut Table,
        taken: &Records,
        reasons: &Reasons,
        number: i64,
    ) -> Result<()> {
        for _ in 0..LOST_ROUNDS_MAX {
            // Another replay may have seen that this is missing, and done it.
            let left = quarantine.txn(&self.app).await?;
            if left.is_some_and(|last| last >= number) {
                return Ok(());
            }
            let (remove, files) = self.rest(quarantine, taken, reasons).await?;
            let commit = Commit {
                files,
                remove,
                txns: vec![(self.app.clone(), number)],
                seen: vec![(self.app.clone(), left)],
                info: info(&[("lake.replayed", json!(taken.len()))]),
                // The files are written with the columns that quarantine has today.
                metadata: evolve(self.world, quarantine, &self.quarantine, None, &[]).await?,
                ..Commit::default()
            };
            match quarantine.commit(commit).await? {
                (Outcome::Committed(_), _) => return Ok(()),
                (Outcome::Lost, files) => quarantine.discard(files.unwrap_or_default()).await,
            }
            quarantine.reload().await?;
        }
        Outcome::Lost.version(&self.quarantine.name.to_string()).map(drop)
    }

    /// The files of quarantine that hold some of the records, and new ones with what else is there.
    async fn rest(
        &self,
        quarantine: &Table,
        taken: &Records,
        reasons: &Reasons,
    ) -> Result<(BTreeSet<String>, Files)> {
        let mut writer = quarantine.writer(&self.quarantine, &self.world.lake.scratch())?;
        match self.write_rest(quarantine, taken, reasons, &mut writer).await {
            Ok(remove) => Ok((remove, writer.close().await?)),
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    async fn write_rest(
        &self,
        quarantine: &Table,
        taken: &Records,
        reasons: &Reasons,
        writer: &mut Writer,
    ) -> Result<BTreeSet<String>> {
        let name = self.contract.name.to_string();
        let goes = |held: &Held, row: usize| {
            held.table(row) == name
                && held.is_record(row)
                && taken.holds(held.source(row), &held.place(row))
        };
        let changes = |held: &Held, row: usize| {
            goes(held, row)
                || (held.table(row) == name && reasons.may_hold(held.source(row), &held.place(row)))
        };
        let mut remove = BTreeSet::new();
        for file in quarantine.files()? {
            if !self.finds(quarantine, &file, &changes).await? {
                continue;
            }
            let mut reader = quarantine.read(&file, &self.quarantine.schema(), ROWS).await?;
            while let Some(rows) = reader.next().await? {
                let held = Held::of(&rows)?;
                let stays: Vec<bool> = (0..rows.num_rows()).map(|row| !goes(&held, row)).collect();
                let rows = reasons.renewed(&rows, &held, &name)?;
                let stays = filter_record_batch(&rows, &BooleanArray::from(stays))
                    .map_err(|cause| Error::internal("cannot filter rows").caused_by(cause))?;
                if stays.num_rows() > 0 {
                    writer.write(&stays).await?;
                }
            }
            remove.insert(file.path);
        }
        Ok(remove)
    }

    /// Whether a file of quarantine has a row of that kind; the raw bytes are not read.
    async fn finds(
        &self,
        quarantine: &Table,
        file: &StoredFile,
        kind: &impl Fn(&Held, usize) -> bool,
    ) -> Result<bool> {
        let mut reader = quarantine.read(file, &self.places, ROWS_OF_PLACES).await?;
        while let Some(rows) = reader.next().await? {
            let held = Held::of(&rows)?;
            if (0..rows.num_rows()).any(|row| kind(&held, row)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What the commit info says of a replay.
fn info(entries: &[(&str, Value)]) -> Map<String, Value> {
    let source = ("lake.source", json!("quarantine"));
    let entries = entries.iter().cloned().chain([source]);
    entries.map(|(key, value)| (key.to_owned(), value)).collect()
}
