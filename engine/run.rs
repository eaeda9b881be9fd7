//! `lake run`: does what is due, in order, and stops; or goes on until it is asked to stop.

use std::time::Duration;

use crate::contract::TableName;
use crate::error::{Error, Result};
use crate::ingest::ingest;
use crate::plan::{Plan, plan};
use crate::query::limits;
use crate::refresh::{Pins, refresh};
use crate::world::{Step, World};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `bronze`, `silver`, `gold`, another layer, or `all`.
    pub layer: String,
    /// Only these tables, if any.
    pub select: Vec<String>,
    /// Compute everything anew, due or not.
    pub full_refresh: bool,
}

/// A file that changed within this time may still be written.
const SETTLED_MS: i64 = 2000;
/// How long a following run waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Does what is due and stops.
///
/// # Errors
/// The first step that fails ends the run; what was committed before stays.
pub async fn run(world: &World, request: &Request) -> Result<Vec<Step>> {
    let plan = plan(&world.project, &request.layer, &request.select)?;
    carry_out(world, &plan, request.full_refresh, None).await
}

/// Does what is due, again and again, until somebody asks to stop.
///
/// # Errors
/// As [`run`]; and `Interrupted` when it was asked to stop, once all that was begun is committed.
pub async fn follow(world: &World, request: &Request) -> Result<Vec<Step>> {
    let plan = plan(&world.project, &request.layer, &request.select)?;
    let mut full_refresh = request.full_refresh;
    loop {
        carry_out(world, &plan, full_refresh, Some(SETTLED_MS)).await?;
        full_refresh = false;
        for _ in 0..4 {
            world.stop.check()?;
            tokio::time::sleep(LOOK_AGAIN / 4).await;
        }
    }
}

async fn carry_out(
    world: &World,
    plan: &Plan,
    full_refresh: bool,
    settled_ms: Option<i64>,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for name in &plan.ingest {
        world.stop.check()?;
        let contract = world.project.contracts.get(name).ok_or_else(|| unplanned(name))?;
        steps.push(ingest(world, contract, settled_ms).await?);
    }
    if plan.refresh.is_empty() {
        return Ok(steps);
    }
    let scratch = world.lake.scratch_folder()?;
    let limits = limits(&world.settings, Some(scratch.path()))?;
    let mut pins = Pins::take(world).await?;
    for name in &plan.refresh {
        world.stop.check()?;
        let model = world.project.models.get(name).ok_or_else(|| unplanned(name))?;
        steps.push(refresh(world, model, &mut pins, &limits, full_refresh).await?);
    }
    Ok(steps)
}

fn unplanned(name: &TableName) -> Error {
    Error::internal(format!("{name} is planned and not in the project"))
}
