//! Silver and gold: runs a model on pinned versions of its inputs and commits what it computes.
//!
//! The commit says which version of each input it holds (one `txn` an input), so a run knows what
//! is due without any state beside the table, and of two runs at once one loses and looks again.
//! Checks run on the written files before the commit: a bad batch is never visible.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::contract::{Contract, TableName};
use crate::error::{Error, Result};
use crate::ingest::with_way_out;
use crate::model::{Model, Refresh};
use crate::project::Project;
use crate::query::Limits;
use crate::table::{Commit, Damage, Evolution, Outcome, Table};
use crate::world::{Event, Step, StepResult, World};

mod compute;
mod pins;
pub use pins::Pins;

use compute::compute;

const LOST_ROUNDS_MAX: u32 = 5;
/// The commit-info key of what a model's rows hash to.
const CONTENT: &str = "lake.content";
/// The commit-info key of the model that computed the rows.
const MODEL: &str = "lake.model";

/// How a run looks at a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Compute and write it anew, due or not.
    pub full: bool,
    /// Look also at what others may have done to the table: a run that goes on does so once.
    pub closely: bool,
}

/// Brings one model's table up to date.
///
/// # Errors
/// A check is broken, an input is missing, the table's files are gone, the store failed, or another
/// run was faster five times.
pub async fn refresh(
    world: &World,
    model: &Model,
    pins: &mut Pins,
    limits: &Limits,
    ask: Ask,
) -> Result<Step> {
    let started = Instant::now();
    let contract = world.project.contracts.get(&model.name);
    let contract =
        contract.ok_or_else(|| Error::internal(format!("{} has no contract", model.name)))?;
    if !matches!(model.refresh, Refresh::Full | Refresh::View) {
        world.remark(format!(
            "{}: its refresh is not built yet, it is computed in full",
            model.file
        ));
    }
    let mut lost = 0;
    let (rows, result, table) = loop {
        match round(world, model, contract, pins, limits, ask).await? {
            Some(done) => break done,
            None => lost += 1,
        }
        if lost == LOST_ROUNDS_MAX {
            Outcome::Lost.version(&model.name.to_string())?;
        }
    };
    let step = Step {
        table: model.name.clone(),
        rows,
        quarantined: 0,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        version: Some(table.version()),
        result,
    };
    pins.put(table);
    world.tell(&Event::Done(step.clone()));
    Ok(step)
}

/// Asks whether a run would write the table of a model. Changes nothing.
///
/// # Errors
/// What the run would stop with, as it says it.
pub async fn examine(world: &World, contract: &Contract) -> Result<()> {
    let Some(table) = world.lake.table(&contract.name).await? else { return Ok(()) };
    table.evolve(contract, &[])?;
    table.refuse_rules_of_others(true)
}

/// One try; `None` if another run was faster.
async fn round(
    world: &World,
    model: &Model,
    contract: &Contract,
    pins: &mut Pins,
    limits: &Limits,
    ask: Ask,
) -> Result<Option<(u64, StepResult, Table)>> {
    let inputs = stored_inputs(&world.project, model);
    // Before anything is made: a table computed from nothing would look like a result.
    pins.require(world, &model.name, &inputs)?;
    let mut table = world.lake.open_or_create(contract).await?;
    pins.catch_up(world, &table, &inputs).await?;
    let fingerprint = fingerprint(world, model, contract, &inputs, pins, limits)?;
    let change = match table.evolve(contract, &[])? {
        Evolution::None => None,
        Evolution::Additive(change) | Evolution::Breaking { change, .. } => Some(change),
    };
    let held = Held::of(&table).await?;
    let is_due = ask.full
        || change.is_some()
        || held.model.as_deref() != Some(&fingerprint)
        || is_behind(&table, &inputs, pins).await?;
    if !is_due {
        if ask.closely {
            look_closely(world, &table, &held).await?;
        }
        return Ok(Some((0, StepResult::UpToDate, table)));
    }
    table.refuse_rules_of_others(true)?;
    let staged = match compute(world, model, contract, &table, &inputs, pins, limits).await {
        Ok(staged) => staged,
        Err(error) => {
            let error = pins.name_damage(&inputs, error).await;
            return Err(with_way_out(&world.project, error));
        }
    };
    let content = staged.content.to_string();
    let unchanged = !ask.full
        && change.is_none()
        && held.content.as_deref() == Some(&content)
        && !held.is_foreign
        && table.damage().await?.is_none();
    let versions = versions(&inputs, pins);
    let mut info = Map::new();
    info.insert(CONTENT.to_owned(), json!(content));
    info.insert(MODEL.to_owned(), json!(fingerprint));
    info.insert("lake.inputs".to_owned(), json!(versions));
    info.insert("lake.checks".to_owned(), json!(staged.violations.by_check));
    let mut files = staged.files;
    if unchanged {
        table.discard(std::mem::take(&mut files)).await;
    }
    let txns = versions.iter().map(|(input, version)| (bookmark(input), *version)).collect();
    let commit =
        Commit { files, replace: !unchanged, txns, info, metadata: change, ..Commit::default() };
    match table.commit(commit).await? {
        (Outcome::Committed(_), _) => {
            let result = if unchanged { StepResult::Unchanged } else { StepResult::Written };
            Ok(Some((staged.content.n_rows(), result, table)))
        }
        (Outcome::Lost, files) => {
            table.discard(files.unwrap_or_default()).await;
            Ok(None)
        }
    }
}

/// What the newest commit of ours says that a table holds.
#[derive(Debug, Default)]
struct Held {
    /// The hash of its rows.
    content: Option<String>,
    /// The fingerprint of the model that computed them.
    model: Option<String>,
    /// The version of that commit.
    version: u64,
    /// Whether another tool added or removed rows since: the hash says nothing then.
    is_foreign: bool,
}

impl Held {
    async fn of(table: &Table) -> Result<Self> {
        let Some((version, info)) = table.last_info(CONTENT).await? else {
            return Ok(Self::default());
        };
        let text = |key: &str| info.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_foreign = table.changed_since(version).await?;
        Ok(Self { content: text(CONTENT), model: text(MODEL), version, is_foreign })
    }
}

/// A table that is not due may still not hold what was computed.
///
/// # Errors
/// Files of the table are gone or damaged: nobody can read it.
async fn look_closely(world: &World, table: &Table, held: &Held) -> Result<()> {
    let name = table.name();
    let damage = table.damage().await?;
    if !damage.is_none() {
        let way_out = way_out_of_damage(name, &damage);
        return Err(Error::data(format!("{name}: {damage}")).hint(way_out));
    }
    if held.is_foreign {
        world.remark(format!(
            "{name}: another tool changed its rows since version {}, which lake wrote; {}",
            held.version,
            anew(name)
        ));
    }
    Ok(())
}

/// What to do about damaged files of a table that a model computes.
pub fn way_out_of_damage(name: &TableName, damage: &Damage) -> String {
    if damage.is_of_log() {
        let place = format!("{}/{}", name.layer, name.table);
        return format!(
            "restore it from a backup, or move the folder {place} away: `lake run {}` makes the table anew",
            name.layer
        );
    }
    anew(name)
}

fn anew(name: &TableName) -> String {
    format!("`lake run {} --select {name} --full-refresh` computes it anew", name.layer)
}

/// The `txn` that says which version of an input a table holds.
fn bookmark(input: &str) -> String {
    format!("input/{input}")
}

/// The tables that a model reads, through views to what is stored.
pub fn stored_inputs(project: &Project, model: &Model) -> Vec<TableName> {
    let mut stored = Vec::new();
    let mut open = model.inputs.clone();
    while let Some(input) = open.pop() {
        match project.models.get(&input) {
            Some(view) if view.refresh == Refresh::View => open.extend(view.inputs.iter().cloned()),
            _ => stored.push(input),
        }
    }
    stored.sort();
    stored.dedup();
    stored
}

fn version_of(table: &Table) -> i64 {
    i64::try_from(table.version()).unwrap_or(i64::MAX)
}

fn versions(inputs: &[TableName], pins: &Pins) -> BTreeMap<String, i64> {
    let pinned = inputs.iter().filter_map(|input| Some((input, pins.get(input)?)));
    pinned.map(|(input, table)| (input.to_string(), version_of(table))).collect()
}

/// What the rows depend on besides the versions of the inputs: the SQL of the model and of the
/// views it reads, the contract that decides which rows are right, which tables its inputs are, and
/// the reporting zone if it makes dates.
fn fingerprint(
    world: &World,
    model: &Model,
    contract: &Contract,
    inputs: &[TableName],
    pins: &Pins,
    limits: &Limits,
) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(&model.fingerprint);
    digest.update(contract.fingerprint());
    let mut open = model.inputs.clone();
    let mut text = model.text.clone();
    text.extend(contract.checks.iter().map(|check| check.expression.as_str()));
    while let Some(input) = open.pop() {
        let view = world.project.models.get(&input);
        if let Some(view) = view.filter(|view| view.refresh == Refresh::View) {
            digest.update(&view.fingerprint);
            text.push_str(&view.text);
            open.extend(view.inputs.iter().cloned());
        }
    }
    // SQL does not care about the case of a function's name.
    if text.to_ascii_lowercase().contains("reporting_date") {
        digest.update(limits.reporting_tz.name());
    }
    for input in inputs {
        digest.update(pins.get(input).map(Table::id).transpose()?.unwrap_or_default());
    }
    Ok(hex::encode(&digest.finalize()[..8]))
}

/// Whether rows of an input changed since the version that the table holds.
async fn is_behind(table: &Table, inputs: &[TableName], pins: &Pins) -> Result<bool> {
    for input in inputs {
        let held = table.txn(&bookmark(&input.to_string())).await?;
        let current = match (held.map(u64::try_from), pins.get(input)) {
            (None, None) => true,
            (Some(Ok(held)), Some(input)) => !input.changed_since(held).await?,
            _ => false,
        };
        if !current {
            return Ok(true);
        }
    }
    Ok(false)
}
