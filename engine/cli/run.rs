//! `lake run`.

use clap::Args;
use engine::error::Result;
use engine::plan::plan;
use engine::run::{Request, follow, run};

use super::{Common, Need};

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
            follow(&world, &request).await?;
        } else {
            run(&world, &request).await?;
        }
        Ok(())
    }
}
