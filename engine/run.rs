//! `lake run`: does what is due, in order, and stops; or goes on until it is asked to stop.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::contract::TableName;
use crate::error::{Error, Kind, Result};
use crate::ingest::{Feeds, Look, ingest};
use crate::plan::{Plan, plan};
use crate::query::limits;
use crate::refresh::{Ask, Pins, refresh, stored_inputs};
use crate::table::Table;
use crate::world::{Event, Failures, Step, World};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `bronze`, `silver`, `gold`, another layer, or `all`.
    pub layer: String,
    /// Only these tables, if any.
    pub select: Vec<String>,
    /// Compute everything anew, due or not.
    pub full_refresh: bool,
    /// Sources whose lost records are known to be lost: reading goes on behind them.
    pub accept_loss: Vec<String>,
}

/// A run that goes on is tried again for so long.
const OUTAGE_MAX: Duration = Duration::from_mins(5);
/// The longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How often a run that waits looks whether it is asked to stop.
const STOP_ASKED: Duration = Duration::from_millis(100);

/// Does what is due and stops.
///
/// # Errors
/// What is wrong with one source or one model, once the others are done: only what depends on a
/// model that failed is held back. What is wrong with everything ends the run at once. What was
/// committed before stays.
pub async fn run(world: &World, request: &Request) -> Result<Vec<Step>> {
    let plan = prepare(world, request).await?;
    let look = Look { following: false, accept_loss: request.accept_loss.clone() };
    let ask = Ask { full: request.full_refresh, closely: true };
    carry_out(world, &plan, ask, &look, &mut Feeds::default()).await
}

/// Does what is due, again and again, until somebody asks to stop.
///
/// # Errors
/// As [`run`], but what may pass ends it only after five minutes; and `Interrupted` when it was asked to stop, once all that was begun is committed.
pub async fn follow(world: &World, request: &Request) -> Result<Vec<Step>> {
    let plan = prepare(world, request).await?;
    let mut ask = Ask { full: request.full_refresh, closely: true };
    let look = Look { following: true, accept_loss: request.accept_loss.clone() };
    let mut feeds = Feeds::default();
    let interval_ms = world.settings.duration_ms("ingest.interval")?.unsigned_abs();
    let interval = Duration::from_millis(interval_ms);
    let (mut is_whole, mut failing, mut wait) = (false, None, interval);
    let ended = loop {
        let began = Instant::now();
        match carry_out(world, &plan, ask, &look, &mut feeds).await {
            Ok(_) => {
                if failing.is_some() {
                    world.remark(format!("{} it goes well again", world.clock.time_of_day()));
                }
                (ask, is_whole, failing, wait) = (Ask::default(), true, None, interval);
            }
            // It went well before, so it may again: a store or a broker is away for a while. The
            // store has answered in any case; brokers that never did may have another address.
            Err(error)
                if error.kind() == Kind::Retry
                    && (is_whole || !feeds.is_one_unheard())
                    && failing.is_none_or(|since: Instant| since.elapsed() < OUTAGE_MAX) =>
            {
                if failing.is_none() && !world.stop.asked() {
                    world.tell(&Event::Failed(error.report()));
                    world.remark(format!("{} trying again", world.clock.time_of_day()));
                }
                failing = failing.or_else(|| Some(Instant::now()));
                wait = (wait * 2).min(RETRY_MAX).max(interval);
            }
            Err(error) => break error,
        }
        while let Some(left) = wait.checked_sub(began.elapsed()).filter(|_| !world.stop.asked()) {
            tokio::time::sleep(left.min(STOP_ASKED)).await;
        }
        if let Err(error) = world.stop.check() {
            break error;
        }
    };
    feeds.close().await;
    Err(ended)
}

/// Plans a run, and looks whether the store is one that may be written.
async fn prepare(world: &World, request: &Request) -> Result<Plan> {
    let plan = plan(&world.project, &request.layer, &request.select)?;
    let mut sources: Vec<String> = Vec::new();
    for contract in plan.ingest.iter().filter_map(|name| world.project.contracts.get(name)) {
        sources.extend(contract.sources.iter().map(ToString::to_string));
    }
    if let Some(unknown) = request.accept_loss.iter().find(|name| !sources.contains(name)) {
        return Err(Error::usage(format!("--accept-loss {unknown}: this run has no such source"))
            .hint(format!("its sources are {}", sources.join(", "))));
    }
    if plan != Plan::default() {
        world.lake.refuse_unsafe_store().await?;
    }
    Ok(plan)
}

async fn carry_out(
    world: &World,
    plan: &Plan,
    ask: Ask,
    look: &Look,
    feeds: &mut Feeds,
) -> Result<Vec<Step>> {
    if *plan != Plan::default() {
        world.lake.refuse_missing_root()?;
    }
    let mut failures = Failures::default();
    let read = read_sources(world, plan, look, feeds, &mut failures).await;
    if !look.following {
        feeds.close().await;
    }
    if read.is_err() {
        world.lake.refuse_missing_root()?;
    }
    let (mut steps, stopped) = read?;
    steps.extend(run_models(world, plan, &stopped, ask, &mut failures).await?);
    failures.end()?;
    Ok(steps)
}

/// What became of the tables that read sources, and those of which one stopped before a record came.
async fn read_sources<'a>(
    world: &World,
    plan: &'a Plan,
    look: &Look,
    feeds: &mut Feeds,
    failures: &mut Failures,
) -> Result<(Vec<Step>, Vec<&'a TableName>)> {
    let (mut steps, mut stopped) = (Vec::new(), Vec::new());
    for name in &plan.ingest {
        world.stop.check()?;
        let contract = world.project.contracts.get(name).ok_or_else(|| unplanned(name))?;
        match ingest(world, contract, look, feeds, failures).await? {
            Some(step) => steps.push(step),
            None => stopped.push(name),
        }
    }
    Ok((steps, stopped))
}

/// Brings the models up to date, each after its inputs. One that fails holds back what depends on
/// it: that would be computed from rows that are not right yet. So does a source that failed before
/// it was ever read: that would be computed from rows that nobody has counted.
async fn run_models(
    world: &World,
    plan: &Plan,
    stopped: &[&TableName],
    ask: Ask,
    failures: &mut Failures,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if plan.refresh.is_empty() {
        return Ok(steps);
    }
    let scratch = world.lake.scratch_folder()?;
    let limits = limits(&world.settings, Some(scratch.path()))?;
    let mut pins = Pins::take(world).await?;
    let mut failed = BTreeSet::new();
    for name in &plan.ingest {
        let is_blank = pins.get(name).map_or(Ok(false), Table::is_blank)?;
        if pins.lacks(name) || (is_blank && stopped.contains(&name)) {
            failed.insert(name);
        }
    }
    let mut held_back: BTreeSet<&TableName> = BTreeSet::new();
    for name in &plan.refresh {
        world.stop.check()?;
        let model = world.project.models.get(name).ok_or_else(|| unplanned(name))?;
        let inputs = stored_inputs(&world.project, model);
        if inputs.iter().any(|input| failed.contains(input) || held_back.contains(input)) {
            held_back.insert(name);
            continue;
        }
        let step = refresh(world, model, &mut pins, &limits, ask).await;
        match failures.hold(world, step)? {
            Some(step) => steps.push(step),
            None => drop(failed.insert(name)),
        }
    }
    if !failed.is_empty() {
        let list = |names: &BTreeSet<&TableName>| {
            names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("failed: {}", list(&failed));
        if !held_back.is_empty() {
            text.push_str(&format!("; held back, since they depend on it: {}", list(&held_back)));
        }
        world.remark(text);
    }
    Ok(steps)
}

fn unplanned(name: &TableName) -> Error {
    Error::internal(format!("{name} is planned and not in the project"))
}
