//! Runs a model, writes its rows into files, and checks them before anybody can see them.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::contract::{Contract, TableName, quoted, quoted_list};
use crate::error::{Error, Result};
use crate::mistake::to_error;
use crate::model::Model;
use crate::query::{ContentHash, Limits, Query, RowKey, translate};
use crate::rowcheck::{RowChecks, Violations, strict};
use crate::table::{Files, Table, Writer, beyond_years, nameless};
use crate::world::{Event, World};

use super::pins::{Pins, query_on};

/// What a model computed, before its commit.
pub(super) struct Staged {
    pub(super) files: Files,
    pub(super) content: ContentHash,
    pub(super) violations: Violations,
}

/// Runs a model and writes its rows; the checks on them hold.
pub(super) async fn compute(
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
    let schema = contract.schema();
    let frame = match query.plan_into(&model.text, Some(&schema)).await {
        Ok(frame) => frame,
        Err(cause) => {
            return Err(pins.lacking(world, model, inputs).unwrap_or_else(|| failed(cause)));
        }
    };
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
    let planned = frame.clone();
    let streams = query.streams(frame).await.map_err(failed)?;
    let mut workers = JoinSet::new();
    for stream in streams {
        let worker = Worker {
            world: world.clone(),
            file: model.file.clone(),
            contract: contract.clone(),
            checks: checks.clone(),
            stream,
            writer: table.writer(contract, &world.lake.scratch())?,
        };
        workers.spawn(worker.work());
    }
    let (staged, mut result) = join(workers).await;
    if let Err(error) = result {
        result = Err(Query::with_place(planned, &row_keys(world, contract, inputs), error).await);
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

/// The columns by which an error may name a row of the inputs: those of the model's key that an input
/// has, its own key, or where its records stood; no personal ones, under any table.
fn row_keys(world: &World, contract: &Contract, inputs: &[TableName]) -> Vec<RowKey> {
    const OF_BRONZE: [&str; 3] = ["_source_file", "_partition", "_offset"];
    let contracts = &world.project.contracts;
    let personal: Vec<&str> = contracts
        .values()
        .flat_map(|contract| &contract.personal)
        .filter_map(|personal| personal.path.rsplit('.').next())
        .collect();
    let keys = inputs.iter().filter_map(|table| contracts.get(table)).map(|input| {
        let schema = input.schema();
        let mut columns = contract.primary_key.clone();
        columns.retain(|column| schema.field_with_name(column).is_ok());
        if columns.is_empty() {
            columns.clone_from(&input.primary_key);
        }
        if columns.is_empty() && !input.sources.is_empty() {
            columns = OF_BRONZE.map(str::to_owned).to_vec();
        }
        columns.retain(|column| !personal.contains(&column.as_str()));
        RowKey { table: input.name.clone(), columns }
    });
    keys.collect()
}

/// What all workers wrote, and the first error among them.
async fn join(mut workers: JoinSet<Result<Staged>>) -> (Staged, Result<()>) {
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
            // Workers that are stopped because of the first error have nothing to add to it.
            Err(error) => {
                workers.abort_all();
                result = result.and(Err(error));
            }
        }
    }
    (staged, result)
}

/// Writes one stream of a model's rows.
struct Worker {
    world: World,
    file: String,
    contract: Contract,
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
        let rows = conform(&rows, &self.contract.schema(), &self.file)?;
        require_years(&rows, &self.contract)?;
        require_folder_names(&rows, &self.contract)?;
        self.checks.require_not_null(&rows)?;
        let rows = RecordBatch::try_new(self.contract.schema(), rows.columns().to_vec()).map_err(
            |cause| Error::internal(format!("{}: rows do not fit", self.file)).caused_by(cause),
        )?;
        let rows = self.checks.sort(rows, violations)?.kept;
        content.add(&rows).map_err(|cause| translate("cannot hash rows", cause))?;
        self.writer.write(&rows).await?;
        self.world.tell(&Event::Rows(self.contract.name.clone(), rows.num_rows() as u64));
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

/// Every date and time has a year that other readers know.
fn require_years(rows: &RecordBatch, contract: &Contract) -> Result<()> {
    match beyond_years(rows) {
        None => Ok(()),
        Some((column, n)) => Err(Error::data(format!(
            "{}: `{column}` has dates or times outside of the years 0001 to 9999 in {n} rows",
            contract.name
        ))
        .hint("nothing was committed; other readers would fail on the table: let the model keep to these years, as in least(day + INTERVAL '1 day', DATE '9999-12-31'), or give NULL")),
    }
}

/// Every value of a column that splits the table into folders can name one.
fn require_folder_names(rows: &RecordBatch, contract: &Contract) -> Result<()> {
    match nameless(rows, &contract.partition_by).as_slice() {
        [] => Ok(()),
        [(_, why), ..] => Err(Error::data(format!("{}: {why}", contract.name))
            .hint("nothing was committed; let the model give such rows another value, as 'unknown', or partition by another column")),
    }
}

/// Checks on the whole set of new rows: the keys, and what the model's header says.
async fn set_checks(
    model: &Model,
    contract: &Contract,
    table: &Table,
    query: &Query,
    files: &Files,
) -> Result<()> {
    let keys: Vec<&Vec<String>> =
        [&contract.primary_key].into_iter().chain(&contract.unique).collect();
    if keys.iter().all(|key| key.is_empty()) && model.checks.is_empty() {
        return Ok(());
    }
    let failed = |cause| translate(&format!("{}: a check failed to run", model.file), cause);
    query.register_this(table.staged(files, contract)?)?;
    for key in keys.into_iter().filter(|key| !key.is_empty()) {
        let broken = broken_key(contract, query, key).await.map_err(failed)?;
        if let Some(broken) = broken {
            return Err(Error::data(format!("{}: {broken}", contract.name)).hint(format!(
                "nothing was committed; the key is in {}, the rows come from {}",
                contract.file, model.file
            )));
        }
    }
    for check in &model.checks {
        let failed = |cause| {
            translate(&format!("{}: check `{}` failed to run", model.file, check.name), cause)
        };
        if number(query, &check.broken_sql()).await.map_err(failed)? > 0 {
            return Err(Error::data(format!(
                "{}: check `{}` does not hold: {}",
                model.name, check.name, check.expression
            ))
            .hint(format!("nothing was committed; the check is in {}", model.file)));
        }
    }
    Ok(())
}

/// How the rows break a key, if they do. As in SQL a primary key has no NULLs, and rows with a NULL
/// in unique columns are no copies of each other.
async fn broken_key(
    contract: &Contract,
    query: &Query,
    key: &[String],
) -> Result<Option<String>, DataFusionError> {
    let is_primary = contract.primary_key == key;
    let condition = |is_null: &str, joined: &str| {
        let terms: Vec<String> =
            key.iter().map(|name| format!("{} {is_null}", quoted(name))).collect();
        terms.join(joined)
    };
    let (columns, shown) = (quoted_list(key), key.join(", "));
    if is_primary {
        let some_null = condition("IS NULL", " OR ");
        let n = number(query, &format!("SELECT count(*) FROM this WHERE {some_null}")).await?;
        if n > 0 {
            return Ok(Some(format!("{n} rows have a NULL in their primary key ({shown})")));
        }
    }
    let no_null = condition("IS NOT NULL", " AND ");
    let n = number(query, &format!("SELECT count(*) FROM (SELECT {columns} FROM this WHERE {no_null} GROUP BY {columns} HAVING count(*) > 1)")).await?;
    Ok((n > 0).then(|| format!("{n} keys ({shown}) have more than one row")))
}

/// The one number of a query.
async fn number(query: &Query, sql: &str) -> Result<i64, DataFusionError> {
    let rows = query.collect(sql).await?;
    let first = rows.iter().find(|rows| rows.num_rows() > 0);
    let number = first.and_then(|rows| rows.column(0).as_primitive_opt::<Int64Type>());
    number
        .map(|number| number.value(0))
        .ok_or_else(|| DataFusionError::Internal("a count is no number".to_owned()))
}
