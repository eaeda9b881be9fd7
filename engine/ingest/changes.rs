//! What a changed contract, or another key, asks of a table that has rows.

use crate::contract::{Contract, TableName};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::mistake::{Mistake, to_error};
use crate::project::Project;
use crate::pseudonym::Pseudonyms;
use crate::table::{Change, Difference, Evolution, KEY_PROPERTY, NARROWED_PROPERTY, Table};
use crate::world::World;

use super::narrower::{Narrower, noted, told};
use super::raw::refuse_raw;

/// The change of columns or properties that a table needs, if it is one that old rows survive.
///
/// # Errors
/// `Usage`: rows that the table holds do not fit the contract, with the places in the contract, or
/// they hold pseudonyms under another key.
pub(crate) async fn evolve(
    world: &World,
    table: &Table,
    contract: &Contract,
    pseudonyms: Option<&Pseudonyms>,
    own: &[(String, String)],
) -> Result<Option<Change>> {
    table.refuse_rules_of_others(false)?;
    let mut own = own.to_vec();
    if let Some(pseudonyms) = pseudonyms {
        refuse_another_key(table, pseudonyms, table.name())?;
        own.push((KEY_PROPERTY.to_owned(), pseudonyms.key_id().to_owned()));
    }
    if !contract.sources.is_empty() {
        own.push(noted(contract));
    }
    match table.evolve(contract, &own)? {
        Evolution::None => return Ok(None),
        Evolution::Additive(_) => refuse_raw(world, table, contract).await?,
        Evolution::Breaking { differences, .. } => {
            let mistakes = mistakes(contract, differences);
            return Err(to_error(&mistakes, &world.project.files));
        }
    }
    if let Some(narrower) = Narrower::of(table, contract)? {
        let found = narrower.look(world, table, contract).await?;
        if !found.is_empty() {
            world.remark(told(contract, &found));
        }
        own.push((NARROWED_PROPERTY.to_owned(), found));
    }
    match table.evolve(contract, &own)? {
        Evolution::None => Ok(None),
        Evolution::Additive(change) | Evolution::Breaking { change, .. } => Ok(Some(change)),
    }
}

/// Why a table with records cannot follow its contract, at the places in it.
fn mistakes(contract: &Contract, differences: Vec<Difference>) -> Vec<Mistake> {
    let mistake = |difference: Difference| {
        let head = difference.column.split('.').next().unwrap_or_default();
        let column = contract.columns.iter().find(|column| column.field.name == head);
        let mistake = Mistake::new(&contract.file, difference.message).hint(format!(
            "{} has rows that cannot be read again: undo the change, allow NULL in a new column, or give the new shape a new table name",
            contract.name
        ));
        match column {
            Some(column) => mistake.span(column.span.clone()),
            None => mistake,
        }
    };
    differences.into_iter().map(mistake).collect()
}

/// What a run would say of contracts that the tables of a lake cannot follow. Only the tables' logs
/// are read, and nothing is made. What cannot be read says nothing here.
pub async fn unfollowable(lake: &Lake, project: &Project) -> Vec<Mistake> {
    let mut found = Vec::new();
    for contract in project.sourced() {
        let Ok(Some(table)) = lake.table(&contract.name).await else { continue };
        if let Ok(Evolution::Breaking { differences, .. }) = table.evolve(contract, &[]) {
            found.extend(mistakes(contract, differences));
        }
    }
    found
}

/// Under another key every person would be two from now on: in `table`, or in the new table `name`
/// beside it.
pub(super) fn refuse_another_key(
    table: &Table,
    pseudonyms: &Pseudonyms,
    name: &TableName,
) -> Result<()> {
    let Some(before) = table.property(KEY_PROPERTY)? else { return Ok(()) };
    if before == pseudonyms.key_id() || table.files()?.is_empty() {
        return Ok(());
    }
    let whose = match table.name() {
        own if own == name => "its pseudonyms".to_owned(),
        other => format!("the pseudonyms of {other} in this lake"),
    };
    Err(Error::usage(format!(
        "{name}: {whose} were made under the key {before}, and `privacy.key` is {}",
        pseudonyms.key_id()
    ))
    .hint("set LAKE_PRIVACY_KEY to the key that the lake was made with: persons are found across its tables only under one key; rows under a new key need another root (LAKE_ROOT)"))
}
