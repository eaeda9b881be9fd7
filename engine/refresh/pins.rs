//! The versions that one run reads, and a query on them.

use std::collections::BTreeMap;

use crate::contract::TableName;
use crate::error::{Error, Kind, Result};
use crate::model::{Model, Refresh};
use crate::project::Project;
use crate::query::{Limits, Query, translate};
use crate::table::Table;
use crate::world::World;

use super::{bookmark, version_of};

/// The input versions that one run reads: everything in it sees the same state.
#[derive(Debug, Default)]
pub struct Pins {
    tables: BTreeMap<TableName, Table>,
    /// Tables that cannot be opened, and why: only models that read them fail.
    broken: BTreeMap<TableName, String>,
}

impl Pins {
    /// Pins every table that is not computed by this run at its newest version.
    ///
    /// # Errors
    /// The store failed. A table that is broken is no error before a model reads it.
    pub async fn take(world: &World) -> Result<Self> {
        let mut pins = Self::default();
        let quarantine = crate::quarantine::name();
        for name in world.project.contracts.keys().chain([&quarantine]) {
            match world.lake.table(name).await {
                Ok(table) => table.into_iter().for_each(|table| pins.put(table)),
                Err(error) if matches!(error.kind(), Kind::Data | Kind::Usage) => {
                    pins.broken.insert(name.clone(), error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(pins)
    }

    /// Refuses a model of which an input is not there, or cannot be read.
    ///
    /// # Errors
    /// `Data`: the input, and which command makes it.
    pub(super) fn require(
        &self,
        world: &World,
        model: &TableName,
        inputs: &[TableName],
    ) -> Result<()> {
        let Some(input) = inputs.iter().find(|input| self.get(input).is_none()) else {
            return Ok(());
        };
        if let Some(why) = self.broken.get(input) {
            return Err(Error::data(format!("{model}: its input cannot be read: {why}")));
        }
        let contract = world.project.contracts.get(input);
        let is_read = contract.is_some_and(|contract| !contract.sources.is_empty());
        let how = if is_read { "reads its source" } else { "makes it" };
        Err(Error::data(format!("{model}: its input {input} does not exist yet"))
            .hint(format!("`lake run {}` {how}, `lake run all` does both", input.layer)))
    }

    /// Why a model cannot be planned: an input has yet to get a column that its contract has gained.
    pub(super) fn lacking(
        &self,
        world: &World,
        model: &Model,
        inputs: &[TableName],
    ) -> Option<Error> {
        inputs.iter().find_map(|input| {
            let (have, contract) = (self.get(input)?, world.project.contracts.get(input)?);
            let (have, wanted) = (have.schema().ok()?, contract.schema());
            let mut lacking =
                wanted.fields().iter().filter(|field| have.index_of(field.name()).is_err());
            let column = lacking.next()?.name();
            let error = Error::data(format!(
                "{}: its input {input} has no column `{column}` yet, which {} has",
                model.name, contract.file
            ));
            let layer = &input.layer;
            Some(error.hint(format!("`lake run {layer}` adds it, `lake run all` does both")))
        })
    }

    /// Pins inputs anew of which `table` holds a later version than this run sees: another run
    /// came from behind and passed, and its rows must not be replaced by older ones.
    pub(super) async fn catch_up(
        &mut self,
        world: &World,
        table: &Table,
        inputs: &[TableName],
    ) -> Result<()> {
        for input in inputs {
            let held = table.txn(&bookmark(&input.to_string())).await?;
            let pinned = self.get(input).map_or(-1, version_of);
            if held.is_some_and(|held| held > pinned)
                && let Some(newest) = world.lake.table(input).await?
            {
                self.put(newest);
            }
        }
        Ok(())
    }

    /// Pins one table anew, after this run has moved it.
    pub fn put(&mut self, table: Table) {
        self.tables.insert(table.name().clone(), table);
    }

    /// All tables that are pinned.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    /// Names the damaged file that an error is about, if it is one of these tables.
    pub async fn name_damage(&self, names: &[TableName], error: Error) -> Error {
        for table in names.iter().filter_map(|name| self.get(name)) {
            if let Some(found) = table.find_damage(&error).await {
                return found;
            }
        }
        error
    }

    /// Whether nothing has made a table yet.
    pub fn lacks(&self, name: &TableName) -> bool {
        self.get(name).is_none() && !self.broken.contains_key(name)
    }

    /// The table as this run sees it.
    pub fn get(&self, name: &TableName) -> Option<&Table> {
        self.tables.get(name)
    }
}

/// A query on the pinned inputs of a model, which are there ([`Pins::require`]).
pub(super) async fn query_on(
    world: &World,
    model: &Model,
    inputs: &[TableName],
    pins: &Pins,
    limits: &Limits,
) -> Result<Query> {
    let query = Query::new(limits)?;
    for input in inputs.iter().filter_map(|input| pins.get(input)) {
        query.register(input.name(), input.provider()?)?;
    }
    for name in &world.project.order {
        let view = &world.project.models[name];
        let used = view.refresh == Refresh::View && reads(&world.project, model, name);
        if used {
            let registered = query.register_view(name, &view.text).await;
            registered.map_err(|cause| {
                pins.lacking(world, model, inputs).unwrap_or_else(|| {
                    translate(&format!("{}: cannot plan the view", view.file), cause)
                })
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
