//! What a run asks of a table before it reads a record, for who only wants to know.

use super::{Job, evolve};
use crate::contract::{Contract, SourceKind};
use crate::error::Result;
use crate::folder::Log;
use crate::table::KEY_PROPERTY;
use crate::world::World;

/// Asks whether a run would read records into a table. Changes nothing.
///
/// # Errors
/// What the run would stop with, as it says it.
pub async fn examine(world: &World, contract: &Contract) -> Result<()> {
    let job = Job::new(world, contract)?;
    let table = world.lake.table(&contract.name).await?;
    if table.as_ref().map_or(Ok(None), |table| table.property(KEY_PROPERTY))?.is_none() {
        job.refuse_second_key().await?;
    }
    let Some(table) = table else { return Ok(()) };
    job.evolve(&table, &[]).await?;
    let own = world.lake.own_store_to_read()?;
    for source in contract.sources.iter().filter(|source| source.kind == SourceKind::Folder) {
        let source = source.to_string();
        let log = Log::open(own.clone(), &contract.name.to_string(), &source).await?;
        let committed = table.txn(&source).await?.unwrap_or(-1);
        super::folder::refuse_shorter_log(&contract.name, &source, committed, &log)?;
    }
    Ok(())
}

/// Asks whether a run would write rejected records. Changes nothing.
///
/// # Errors
/// What the run would stop with, as it says it.
pub async fn examine_quarantine(world: &World) -> Result<()> {
    let contract = crate::quarantine::contract()?;
    match world.lake.table(&contract.name).await? {
        Some(table) => evolve(world, &table, &contract, None, &[]).await.map(drop),
        None => Ok(()),
    }
}
