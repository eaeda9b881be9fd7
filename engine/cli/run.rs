//! `lake run`.

use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use engine::error::{Error, Result};
use engine::plan::plan;
use engine::run::{Request, follow, run};
use engine::world::{Event, Step, StepResult, World};

use super::rows::show;
use super::{Common, Need, Output};

/// Do what is due and stop
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// bronze, silver, gold, another layer of the project, or all
    layer: String,
    /// Go on until Ctrl-C: the first finishes and commits, the second gives up
    #[arg(long)]
    follow: bool,
    /// Only these tables
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    select: Vec<String>,
    /// Compute everything anew, due or not
    #[arg(long)]
    full_refresh: bool,
    /// Go on although records of this source, as in kafka:events, are lost: once, and noted
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    accept_loss: Vec<String>,
}

impl Run {
    /// Whether it goes on until it is stopped.
    pub(crate) fn follows(&self) -> bool {
        self.follow
    }

    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        // A layer that only reads sources runs also while somebody mends a model.
        let parsed = common.world(Need::Parsed).await?;
        let needs_models = !plan(&parsed.project, &self.layer, &self.select)?.refresh.is_empty();
        let world = if needs_models { common.world(Need::Planned).await? } else { parsed };
        let request = Request {
            layer: self.layer,
            select: self.select,
            full_refresh: self.full_refresh,
            accept_loss: self.accept_loss,
        };
        if self.follow {
            return follow(&world, &request).await.map(drop);
        }
        let output = common.global.output;
        if output == Output::Table {
            return run(&world, &request).await.map(drop);
        }
        // A run that fails has done something, too.
        let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
        let (kept, listener) = (Arc::clone(&steps), Arc::clone(&world.listener));
        let listener = Arc::new(move |event: &Event| {
            if let Event::Done(step) = event {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(step.clone());
            }
            listener(event);
        });
        let ended = run(&World { listener, ..world }, &request).await;
        let steps = std::mem::take(&mut *steps.lock().unwrap_or_else(PoisonError::into_inner));
        show(&batch(&steps)?, output)?;
        ended.map(drop)
    }
}

/// What a run did, a row for each table.
fn batch(steps: &[Step]) -> Result<RecordBatch> {
    let numbers = |value: fn(&Step) -> Option<u64>| -> ArrayRef {
        let values = steps.iter().map(|step| value(step).and_then(|n| i64::try_from(n).ok()));
        Arc::new(values.collect::<Int64Array>())
    };
    let results = steps.iter().map(|step| match step.result {
        StepResult::Written => Some("written"),
        StepResult::Unchanged => Some("unchanged"),
        StepResult::UpToDate => Some("up_to_date"),
    });
    let tables = steps.iter().map(|step| Some(step.table.to_string()));
    let columns: [(&str, ArrayRef); 6] = [
        ("table_name", Arc::new(tables.collect::<StringArray>())),
        ("result", Arc::new(results.collect::<StringArray>())),
        ("rows", numbers(|step| Some(step.rows))),
        ("quarantined", numbers(|step| Some(step.quarantined))),
        ("elapsed_ms", numbers(|step| Some(step.elapsed_ms))),
        ("version", numbers(|step| step.version)),
    ];
    let columns = columns.map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|cause| Error::internal("the steps are no table").caused_by(cause))
}
