//! The versions that one run reads, and a query on them.

use std::collections::BTreeMap;

use crate::contract::TableName;
use crate::error::{Error, Result};
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
}

impl Pins {
    /// Pins every table that is not computed by this run at its newest version.
    pub async fn take(world: &World) -> Result<Self> {
        let mut pins = Self::default();
        let quarantine = crate::quarantine::name();
        for name in world.project.contracts.keys().chain([&quarantine]) {
            if let Some(table) = world.lake.table(name).await? {
                pins.put(table);
            }
        }
        Ok(pins)
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

    /// The table as this run sees it.
    pub fn get(&self, name: &TableName) -> Option<&Table> {
        self.tables.get(name)
    }
}

/// A query on the pinned inputs of a model; an input that does not exist yet has no rows.
pub(super) async fn query_on(
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
