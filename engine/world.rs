//! Everything a command works on: the project, its lake, the settings, the clock, and who listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Clock;
use crate::contract::TableName;
use crate::error::{Error, Kind, Result};
use crate::lake::Lake;
use crate::project::Project;
use crate::settings::Settings;

/// What a run tells while it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many rows of a table so far.
    Rows(TableName, u64),
    /// A table is done.
    Done(Step),
    /// Something worth knowing that stops nothing.
    Remark(String),
    /// The report of an error besides the one that the run ends with.
    Failed(String),
}

/// What became of one table in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The table.
    pub table: TableName,
    /// Rows written.
    pub rows: u64,
    /// Records that went to quarantine.
    pub quarantined: u64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// The table's version afterwards.
    pub version: Option<u64>,
    /// What happened.
    pub result: StepResult,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// Rows were committed.
    Written,
    /// The rows were computed, and are those that the table has.
    Unchanged,
    /// Nothing was due.
    UpToDate,
}

/// Who hears the events.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Set by the first Ctrl-C: finish what is begun, commit it, begin nothing new.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks to stop.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// An error if somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.asked() { Err(Error::interrupted()) } else { Ok(()) }
    }
}

/// The arguments that every command shares.
#[derive(Clone)]
pub struct World {
    /// What the files say.
    pub project: Arc<Project>,
    /// The settings in force.
    pub settings: Settings,
    /// Where the tables are.
    pub lake: Lake,
    /// The time.
    pub clock: Clock,
    /// Who hears what happens.
    pub listener: Listener,
    /// Whether to stop.
    pub stop: Stop,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({})", self.lake.root())
    }
}

impl World {
    /// Tells the listener.
    pub fn tell(&self, event: &Event) {
        (self.listener)(event);
    }

    /// Tells the listener something worth knowing.
    pub fn remark(&self, text: impl Into<String>) {
        self.tell(&Event::Remark(text.into()));
    }
}

/// Errors of things that stand apart, such as the sources of a run and its models: what is wrong
/// with one must not hold up the others, and one of the errors is the run's in the end.
#[derive(Debug, Default)]
pub struct Failures(Option<Error>);

impl Failures {
    /// Holds an error back; the value if there is none.
    ///
    /// # Errors
    /// What is wrong with everything ends the run at once: `Interrupted`, `Internal`, and `Retry`,
    /// as the storage is the same for all.
    pub fn hold<T>(&mut self, world: &World, result: Result<T>) -> Result<Option<T>> {
        self.hold_if(world, result, |kind| matches!(kind, Kind::Data | Kind::Usage))
    }

    /// As [`Failures::hold`], and holds back what may pass, too: it is about this one alone.
    ///
    /// # Errors
    /// `Interrupted` and `Internal`.
    pub fn hold_passing<T>(&mut self, world: &World, result: Result<T>) -> Result<Option<T>> {
        self.hold_if(world, result, |kind| matches!(kind, Kind::Data | Kind::Usage | Kind::Retry))
    }

    fn hold_if<T>(
        &mut self,
        world: &World,
        result: Result<T>,
        is_held: impl Fn(Kind) -> bool,
    ) -> Result<Option<T>> {
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error,
        };
        let is_held = is_held(error.kind());
        let ending = match self.0.take() {
            None => error,
            Some(first) if first.report() == error.report() => first,
            Some(first) => {
                // What may pass does not hide what does not.
                let is_first = match (first.kind(), error.kind()) {
                    (Kind::Retry, kind) => kind == Kind::Retry,
                    (_, Kind::Retry) => true,
                    _ => is_held,
                };
                let (ending, told) = if is_first { (first, error) } else { (error, first) };
                world.tell(&Event::Failed(told.report()));
                ending
            }
        };
        if !is_held {
            return Err(ending);
        }
        self.0 = Some(ending);
        Ok(None)
    }

    /// The error that the run ends with, if one was held back.
    ///
    /// # Errors
    /// That error.
    pub fn end(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
