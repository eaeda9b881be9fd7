//! Silver and gold: runs a model on pinned versions of its inputs and commits what it computes.
//!
//! The commit says which version of each input it holds (one `txn` an input), so a run knows what
//! is due without any state beside the table, and of two runs at once one loses and looks again.
//! Checks run on the written files before the commit: a bad batch is never visible.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::contract::{Contract, TableName};
use crate::error::{Error, Result};
use crate::mistake::to_error;
use crate::model::{Model, Refresh};
use crate::project::Project;
use crate::query::{ContentHash, Limits, Query, translate};
use crate::rowcheck::{RowChecks, Violations, strict};
use crate::table::{Commit, Evolution, Files, Outcome, Table, Writer};
use crate::world::{Event, Step, StepResult, World};

const LOST_ROUNDS_MAX: u32 = 5;
/// The commit-info key of what a model's rows hash to.
const CONTENT: &str = "lake.content";
/// The commit-info key of the model that computed the rows.
const MODEL: &str = "lake.model";

/// The input versions that one run reads: everything in it sees the same state.
#[derive(Debug, Default)]
pub struct Pins {
    tables: BTreeMap<TableName, Table>,
}

impl Pins {
    /// Pins every table that is not computed by this run at its newest version.
    pub async fn take(world: &World) -> Result<Self> {
        let mut pins = Self::default();
        for name in world.project.contracts.keys() {
            if let Some(table) = world.lake.table(name).await? {
                pins.tables.insert(name.clone(), table);
            }
        }
        Ok(pins)
    }

    /// Pins one table anew, after this run has moved it.
    pub fn put(&mut self, table: Table) {
        self.tables.insert(table.name().clone(), table);
    }

    /// The table as this run sees it.
    pub fn get(&self, name: &TableName) -> Option<&Table> {
        self.tables.get(name)
    }
}

/// Brings one model's table up to date.
///
/// # Errors
/// A check is broken, an input is missing, the store failed, or another run was faster five times.
pub async fn refresh(
    world: &World,
    model: &Model,
    pins: &mut Pins,
    limits: &Limits,
    full: bool,
) -> Result<Step> {
    let started = Instant::now();
    let contract = world.project.contracts.get(&model.name);
    let contract =
        contract.ok_or_else(|| Error::internal(format!("{} has no contract", model.name)))?;
    let mut lost = 0;
    let (rows, result, table) = loop {
        match round(world, model, contract, pins, limits, full).await? {
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

/// One try; `None` if another run was faster.
async fn round(
    world: &World,
    model: &Model,
    contract: &Contract,
    pins: &Pins,
    limits: &Limits,
    full: bool,
) -> Result<Option<(u64, StepResult, Table)>> {
    let mut table = world.lake.open_or_create(contract).await?;
    let inputs = stored_inputs(&world.project, model);
    let fingerprint = fingerprint(world, model, &inputs, pins, limits)?;
    let change = match table.evolve(contract)? {
        Evolution::None => None,
        Evolution::Additive(change) | Evolution::Breaking(change) => Some(change),
    };
    if !full && change.is_none() && is_current(&table, &inputs, pins, &fingerprint).await? {
        return Ok(Some((0, StepResult::UpToDate, table)));
    }
    let staged = compute(world, model, contract, &table, &inputs, pins, limits).await?;
    let before = table.last_info(CONTENT).await?;
    let content = staged.content.to_string();
    let unchanged = change.is_none() && before.as_ref().and_then(Value::as_str) == Some(&content);
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

fn versions(inputs: &[TableName], pins: &Pins) -> BTreeMap<String, i64> {
    let pinned = inputs.iter().filter_map(|input| Some((input, pins.get(input)?)));
    pinned
        .map(|(input, table)| {
            (input.to_string(), i64::try_from(table.version()).unwrap_or(i64::MAX))
        })
        .collect()
}

/// What the rows depend on besides the versions of the inputs: the SQL of the model and of the
/// views it reads, which tables its inputs are, and the reporting zone if it makes dates.
fn fingerprint(
    world: &World,
    model: &Model,
    inputs: &[TableName],
    pins: &Pins,
    limits: &Limits,
) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(&model.fingerprint);
    let mut open = model.inputs.clone();
    let mut text = model.text.clone();
    while let Some(view) = open.pop().and_then(|input| world.project.models.get(&input)) {
        if view.refresh == Refresh::View {
            digest.update(&view.fingerprint);
            text.push_str(&view.text);
            open.extend(view.inputs.iter().cloned());
        }
    }
    if text.contains("reporting_date") {
        digest.update(limits.reporting_tz.name());
    }
    for input in inputs {
        digest.update(pins.get(input).map(Table::id).transpose()?.unwrap_or_default());
    }
    Ok(hex::encode(&digest.finalize()[..8]))
}

/// Whether the table holds the model's rows for the pinned versions already. Commits of an input
/// that change no rows wake nobody.
async fn is_current(
    table: &Table,
    inputs: &[TableName],
    pins: &Pins,
    fingerprint: &str,
) -> Result<bool> {
    if table.last_info(MODEL).await?.as_ref().and_then(Value::as_str) != Some(fingerprint) {
        return Ok(false);
    }
    for input in inputs {
        let held = table.txn(&bookmark(&input.to_string())).await?;
        let current = match (held, pins.get(input)) {
            (None, None) => true,
            (Some(held), Some(input)) => match u64::try_from(held) {
                Ok(held) => !input.changed_since(held).await?,
                Err(_) => false,
            },
            _ => false,
        };
        if !current {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A query on the pinned inputs of a model; an input that does not exist yet has no rows.
pub async fn query_on(
    world: &World,
    model: &Model,
    inputs: &[TableName],
    pins: &Pins,
    limits: &Limits,
) -> Result<Query> {
    let query = Query::new(limits)?;
    for input in inputs {
        match (pins.get(input), world.project.contracts.get(input)) {
            (Some(table), _) => query.register(input, table.provider()?)?,
            (None, Some(contract)) => query.register_empty(input, contract.schema())?,
            (None, None) => query.register_empty(input, crate::quarantine::contract()?.schema())?,
        }
    }
    for name in &world.project.order {
        let view = &world.project.models[name];
        let used = view.refresh == Refresh::View && reads(&world.project, model, name);
        if used {
            let registered = query.register_view(name, &view.text).await;
            registered.map_err(|cause| {
                translate(&format!("{}: cannot plan the view", view.file), cause)
            })?;
        }
    }
    Ok(query)
}

fn reads(project: &Project, model: &Model, view: &TableName) -> bool {
    model.inputs.iter().any(|input| {
        input == view
            || project
                .models
                .get(input)
                .is_some_and(|inner| inner.refresh == Refresh::View && reads(project, inner, view))
    })
}

/// What a model computed, before its commit.
struct Staged {
    files: Files,
    content: ContentHash,
    violations: Violations,
}

async fn compute(
    world: &World,
    model: &Model,
    contract: &Contract,
    table: &Table,
    inputs: &[TableName],
    pins: &Pins,
    limits: &Limits,
) -> Result<Staged> {
    let query = query_on(world, model, inputs, pins, limits).await?;
    let failed = |cause| translate(&format!("{} failed", model.file), cause);
    let frame = query.plan(&model.text).await.map_err(failed)?;
    contract.accepts(frame.schema().as_arrow()).map_err(|difference| {
        Error::usage(format!(
            "{} does not fit its contract {}: {difference}",
            model.file, contract.file
        ))
        .hint("`lake check` shows every difference")
    })?;
    let checks = strict(contract);
    let text = world.project.files.get(&contract.file).map_or("", String::as_str);
    let checks = RowChecks::plan(&checks, text, &query)
        .map_err(|mistakes| to_error(&mistakes, &world.project.files))?;
    let streams = query.streams(frame).await.map_err(failed)?;
    let mut workers = JoinSet::new();
    for stream in streams {
        let worker = Worker {
            world: world.clone(),
            file: model.file.clone(),
            table: contract.name.clone(),
            schema: contract.schema(),
            checks: checks.clone(),
            stream,
            writer: table.writer(contract)?,
        };
        workers.spawn(worker.work());
    }
    let mut staged = Staged {
        files: Files::default(),
        content: ContentHash::default(),
        violations: Violations::default(),
    };
    let mut result = Ok(());
    while let Some(worker) = workers.join_next().await {
        match worker
            .map_err(|cause| Error::internal("a worker broke").caused_by(cause))
            .and_then(|done| done)
        {
            Ok(done) => {
                staged.files.extend(done.files);
                staged.content.merge(done.content);
                staged.violations.merge(&done.violations);
            }
            Err(error) => {
                result = Err(error);
                workers.abort_all();
            }
        }
    }
    if result.is_ok() {
        result = checks.within_tolerance(&staged.violations);
    }
    if result.is_ok() {
        result = set_checks(model, contract, table, &query, &staged.files).await;
    }
    match result {
        Ok(()) => Ok(staged),
        Err(error) => {
            table.discard(staged.files).await;
            Err(error)
        }
    }
}

/// Writes one stream of a model's rows.
struct Worker {
    world: World,
    file: String,
    table: TableName,
    schema: SchemaRef,
    checks: RowChecks,
    stream: SendableRecordBatchStream,
    writer: Writer,
}

impl Worker {
    async fn work(mut self) -> Result<Staged> {
        let mut content = ContentHash::default();
        let mut violations = Violations::default();
        let result = loop {
            let Some(rows) = self.stream.next().await else { break Ok(()) };
            if let Err(error) = self.batch(rows, &mut content, &mut violations).await {
                break Err(error);
            }
        };
        if let Err(error) = result {
            self.writer.abort().await;
            return Err(error);
        }
        Ok(Staged { files: self.writer.close().await?, content, violations })
    }

    async fn batch(
        &mut self,
        rows: Result<RecordBatch, DataFusionError>,
        content: &mut ContentHash,
        violations: &mut Violations,
    ) -> Result<()> {
        let rows = rows.map_err(|cause| translate(&format!("{} failed", self.file), cause))?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let rows = conform(&rows, &self.schema, &self.file)?;
        self.checks.require_not_null(&rows)?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), rows.columns().to_vec())
            .map_err(|cause| {
                Error::internal(format!("{}: rows do not fit", self.file)).caused_by(cause)
            })?;
        let rows = self.checks.sort(rows, violations)?.kept;
        content.add(&rows).map_err(|cause| translate("cannot hash rows", cause))?;
        self.writer.write(&rows).await?;
        self.world.tell(&Event::Rows(self.table.clone(), rows.num_rows() as u64));
        Ok(())
    }
}

/// Columns as the contract has them: plain strings, the literal NULL typed; NULLs are not judged.
fn conform(rows: &RecordBatch, schema: &SchemaRef, file: &str) -> Result<RecordBatch> {
    let columns = rows
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>();
    let nullable: Vec<_> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    columns
        .and_then(|columns| RecordBatch::try_new(Arc::new(Schema::new(nullable)), columns))
        .map_err(|cause| {
            Error::data(format!("{file}: rows do not fit the contract")).caused_by(cause)
        })
}

/// Checks on the whole set of new rows: the primary key, and what the model's header says.
async fn set_checks(
    model: &Model,
    contract: &Contract,
    table: &Table,
    query: &Query,
    files: &Files,
) -> Result<()> {
    if contract.primary_key.is_empty() && model.checks.is_empty() {
        return Ok(());
    }
    let failed = |cause| translate(&format!("{}: a check failed to run", model.file), cause);
    query.register_this(table.staged(files, contract)?)?;
    if !contract.primary_key.is_empty() {
        let key = contract.primary_key.join(", ");
        let sql = format!(
            "SELECT count(*) FROM (SELECT {key} FROM this GROUP BY {key} HAVING count(*) > 1)"
        );
        let doubled = scalar(query, &sql).await.map_err(failed)?;
        if doubled != "0" {
            return Err(Error::data(format!(
                "{}: {doubled} keys ({key}) have more than one row",
                contract.name
            ))
            .hint(format!(
                "nothing was committed; the primary key is in {}, the rows come from {}",
                contract.file, model.file
            )));
        }
    }
    for check in &model.checks {
        let holds = scalar(query, &format!("SELECT {}", check.expression)).await.map_err(failed)?;
        if holds == "false" {
            return Err(Error::data(format!(
                "{}: check `{}` does not hold: {}",
                model.name, check.name, check.expression
            ))
            .hint(format!("nothing was committed; the check is in {}", model.file)));
        }
    }
    Ok(())
}

/// The one value of a query as text; empty for NULL.
async fn scalar(query: &Query, sql: &str) -> Result<String, DataFusionError> {
    for rows in query.collect(sql).await? {
        if rows.num_rows() > 0 {
            return Ok(array_value_to_string(rows.column(0), 0)?);
        }
    }
    Ok(String::new())
}
