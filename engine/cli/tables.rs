//! All tables of a lake, for SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use engine::contract::TableName;
use engine::error::{Error, Kind, Result};
use engine::ingest::with_way_out;
use engine::model::Refresh;
use engine::project::Project;
use engine::query::{Query, explain, limits, translate};
use engine::refresh::{Pins, stored_inputs};
use engine::world::World;

use super::Output;

/// A lake's tables at one moment, and a folder to spill to while they are read.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) query: Query,
    /// Tables of the project that nothing has made yet.
    missing: Vec<String>,
    /// Views of which nothing has made an input yet, each with the inputs that are missing.
    unready: BTreeMap<String, Vec<TableName>>,
    project: Arc<Project>,
    /// Tables that are read at an older version.
    versions: Vec<(TableName, u64)>,
    pins: Pins,
    /// Tables that cannot be opened: whoever does not ask them is not concerned.
    broken: BTreeMap<String, Error>,
    _scratch: Option<tempfile::TempDir>,
}

impl Tables {
    /// Opens every table there is; `versions` pins some of them: `gold.x=12`.
    pub(crate) async fn open(world: &World, versions: &[(TableName, u64)]) -> Result<Self> {
        let scratch = world
            .lake
            .local_root()
            .filter(|root| root.is_dir())
            .and_then(|_| world.lake.scratch_folder().ok());
        let query =
            Query::new(&limits(&world.settings, scratch.as_ref().map(tempfile::TempDir::path))?)?;
        let (mut pins, mut broken) = (Pins::default(), BTreeMap::new());
        let quarantine = engine::quarantine::name();
        for name in world.project.contracts.keys().chain([&quarantine]) {
            match world.lake.table(name).await {
                Ok(table) => table.into_iter().for_each(|table| pins.put(table)),
                // The store is the same for all tables.
                Err(error) if error.kind() == Kind::Retry => return Err(error),
                Err(error) => drop(broken.insert(name.to_string(), error)),
            }
        }
        for (name, version) in versions {
            pins.put(world.lake.table_at(name, *version).await?);
        }
        let (mut missing, mut unready) = (Vec::new(), BTreeMap::new());
        for name in world.project.contracts.keys().chain([&quarantine]) {
            match pins.get(name) {
                Some(table) => query.register(name, table.provider()?)?,
                None if broken.contains_key(&name.to_string()) => {}
                None => missing.push(name.to_string()),
            }
        }
        for name in &world.project.order {
            let model = &world.project.models[name];
            if model.refresh != Refresh::View {
                continue;
            }
            match query.register_view(name, &model.text).await {
                Ok(()) => {}
                // A table that it reads is not there.
                Err(cause) if cause.to_string().contains("not found") => {
                    missing.push(name.to_string());
                    let mut inputs = stored_inputs(&world.project, model);
                    inputs.retain(|input| missing.contains(&input.to_string()));
                    if !inputs.is_empty() {
                        unready.insert(name.to_string(), inputs);
                    }
                }
                Err(cause) => {
                    let mistake = explain(&model.file, &model.text, &cause);
                    let error = engine::mistake::in_query(&mistake, &model.text);
                    broken.insert(name.to_string(), error);
                }
            }
        }
        let (project, versions) = (Arc::clone(&world.project), versions.to_vec());
        Ok(Self { query, missing, unready, project, versions, pins, broken, _scratch: scratch })
    }

    /// Runs a query and prints its rows; the number of rows.
    pub(crate) async fn print(&self, sql: &str, output: Output) -> Result<u64> {
        match self.print_rows(sql, output).await {
            Err(error) => {
                let error = self.name_damage(sql, error).await;
                Err(with_way_out(&self.project, error))
            }
            printed => printed,
        }
    }

    /// Names the damaged file that an error is about, if it is one of a table in the query.
    async fn name_damage(&self, sql: &str, error: Error) -> Error {
        for table in self.pins.tables().filter(|table| sql.contains(&table.name().table)) {
            if let Some(found) = table.find_damage(&error).await {
                return found;
            }
        }
        error
    }

    async fn print_rows(&self, sql: &str, output: Output) -> Result<u64> {
        use datafusion::arrow::datatypes::SchemaRef;
        use futures::StreamExt;
        let frame = match self.query.plan(sql).await {
            Ok(frame) => frame,
            Err(cause) => return Err(self.mistake(sql, &cause).await),
        };
        let failed = |cause| self.failed(cause);
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let is_plan =
            matches!(frame.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
        let mut rows = frame.execute_stream().await.map_err(failed)?;
        let out = std::io::BufWriter::new(std::io::stdout());
        let mut printer = match engine::output::Printer::new(output.into(), &schema, out) {
            // Who closes the pipe has seen enough.
            Err(error) if error.kind() == Kind::Interrupted => return Ok(0),
            printer => printer?,
        };
        if is_plan {
            printer = printer.with_lines();
        }
        let mut n_rows = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(failed)?;
            n_rows += batch.num_rows() as u64;
            match printer.write(&batch) {
                // Who closes the pipe has seen enough.
                Err(error) if error.kind() == Kind::Interrupted => return Ok(n_rows),
                written => written?,
            }
        }
        let cut_at = match printer.finish() {
            Err(error) if error.kind() == Kind::Interrupted => return Ok(n_rows),
            finished => finished?,
        };
        if let Some(n) = cut_at {
            super::say(&format!(
                "only the first rows of {n} are shown; --output csv or ndjson prints all"
            ));
        }
        Ok(n_rows)
    }

    /// Why a query that was planned gave no rows.
    fn failed(&self, cause: DataFusionError) -> Error {
        let error = translate("the query failed", cause);
        let text = error.to_string();
        let mut versions = self.versions.iter();
        match versions.find(|(name, _)| text.contains(&name.to_string())) {
            Some((name, version)) => error.at(format!("version {version} of {name}")).hint(
                "files that only old versions name are removed when a table is vacuumed: read a newer version",
            ),
            None => error,
        }
    }

    /// What is wrong with a query, and what was probably meant.
    async fn mistake(&self, sql: &str, cause: &DataFusionError) -> Error {
        let mut mistake = explain("query", sql, cause);
        if let Some(name) =
            mistake.message.split('\'').nth(1).filter(|_| mistake.message.contains("not found"))
        {
            let name = name.trim_start_matches("lake.").trim_start_matches("public.").to_owned();
            if let Some(broken) = self.broken.get(&name) {
                return again(broken);
            }
            mistake.message = format!("there is no table `{name}`");
            if mistake.span.is_none() {
                mistake = mistake.find(sql, &name);
            }
            let names: Vec<String> =
                self.query.names().await.iter().map(|(name, _)| name.to_string()).collect();
            mistake.hint = Some(if let Some(inputs) = self.unready.get(&name) {
                let layers: BTreeSet<_> = inputs.iter().map(|input| &input.layer).collect();
                let inputs: Vec<_> = inputs.iter().map(ToString::to_string).collect();
                let runs: Vec<_> =
                    layers.iter().map(|layer| format!("`lake run {layer}`")).collect();
                format!(
                    "it is a view of {}, which nothing has made yet: {} does",
                    inputs.join(", "),
                    runs.join(" and ")
                )
            } else if self.missing.contains(&name) {
                format!(
                    "nothing has made it yet: `lake run {}` does",
                    name.split('.').next().unwrap_or("all")
                )
            } else {
                match engine::mistake::did_you_mean(&name, names.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("the tables: {}", names.join(", ")),
                }
            });
        }
        let writes = ["DDL not supported: ", "DML not supported: ", "Statement not supported: "];
        if writes.iter().any(|words| cause.find_root().to_string().contains(words)) {
            "`lake sql` only reads: this statement would change something"
                .clone_into(&mut mistake.message);
            mistake.hint =
                Some("tables change by `lake run`; --output csv writes a result".to_owned());
        }
        engine::mistake::in_query(&mistake, sql)
    }
}

/// The same error once more: a prompt may ask for a broken table many times.
fn again(error: &Error) -> Error {
    let text = error.report().trim_start_matches("error: ").to_owned();
    match error.kind() {
        Kind::Usage => Error::usage(text),
        _ => Error::data(text),
    }
}
