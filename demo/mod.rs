//! What speaks of videos: the simulator, and the demo with its queries and its chart.

mod chart;
mod show;
mod simulate;
mod simulate_command;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use engine::error::{Error, Result};
use engine::run::{Request, run};
use engine::world::StepResult;
use include_dir::{Dir, include_dir};

use self::simulate::Sink;
use crate::cli::{Common, Need, count, in_shell};

pub(crate) use self::simulate_command::Simulate;

static CONTRACTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/lake");
static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sql");
static JOBS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/jobs");

const LAKE_TOML: &str =
    "# The demo's lake. `lake config` lists every setting and where its value comes from.
root = \"data/lake\"
landing = \"data/landing\"

[privacy]
key_file = \"privacy.key\"   # made for this demo: a lake with people in it keeps its key elsewhere
";

/// Show everything on made-up events, in under a minute
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The folder of the demo's project and lake
    #[arg(long, default_value = "demo-lake")]
    dir: PathBuf,
    /// How many events to make up
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Other seeds make other events
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Demo {
    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        let started = Instant::now();
        let landing = self.dir.join("data/landing");
        let events = landing.join("events");
        if self.dir.exists() && !self.dir.join("lake.toml").exists() && !is_empty(&self.dir) {
            return Err(Error::usage(format!("{} is not empty and no demo", self.dir.display()))
                .hint("choose another folder with --dir"));
        }
        make_project(&self.dir)?;
        if events.exists() {
            say(&format!("{} has its events already: nothing new is made up", self.dir.display()));
        } else {
            self.make_events(&landing)?;
        }
        let world = common.world_in(&self.dir, Need::Planned).await?;
        let steps = run(&world, &Request { layer: "all".to_owned(), ..Request::default() }).await?;
        if steps.iter().all(|step| step.result == StepResult::UpToDate) {
            say("nothing was due: the lake is as it was");
        }
        show::show(&world).await?;
        let dir = in_shell(&self.dir);
        let landing = in_shell(Path::new(&format!("folder:{}/data/landing", self.dir.display())));
        say(&format!("\ndone in {:.1} s. Next:", started.elapsed().as_secs_f64()));
        for command in [
            format!(
                "lake --project {dir} sql \"SELECT * FROM gold.video_daily_rates ORDER BY plays DESC LIMIT 5\""
            ),
            format!("lake --project {dir} sql            # a prompt: \\d lists the tables"),
            format!(
                "lake simulate --events 200000 --seed 2 --start 2026-03-03 --to {landing} && lake --project {dir} run all"
            ),
        ] {
            say(&format!("  {command}"));
        }
        Ok(())
    }

    /// Makes the events aside and moves them into place when they are whole.
    fn make_events(&self, landing: &Path) -> Result<()> {
        let aside = self.dir.join("data/.making");
        let failed = |cause| Error::io(format!("cannot write below {}", self.dir.display()), cause);
        if aside.exists() {
            std::fs::remove_dir_all(&aside).map_err(failed)?;
        }
        let started = Instant::now();
        let mut options = simulate::Options::new(self.events, self.seed, START_MS);
        options.faults = simulate::Faults::realistic();
        let mut sink = simulate::FolderSink::new(&aside, &label(self.seed, START_MS))?;
        let report = simulate::simulate(&options, &mut sink, None, &mut |_| Ok(()))?;
        sink.finish()?;
        std::fs::create_dir_all(landing).map_err(failed)?;
        for part in ["videos", "events"] {
            std::fs::rename(aside.join(part), landing.join(part)).map_err(failed)?;
        }
        std::fs::remove_dir_all(&aside).map_err(failed)?;
        tell(&report, started);
        Ok(())
    }
}

/// 2026-03-01, the first day of the made-up events.
const START_MS: i64 = 1_772_323_200_000;

/// What the files of one simulation are called: other days and seeds stand beside them.
fn label(seed: u64, start_ms: i64) -> String {
    let day = chrono::DateTime::from_timestamp_millis(start_ms).unwrap_or_default();
    format!("{}-seed{seed}", day.format("%Y-%m-%d"))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn make_project(dir: &Path) -> Result<()> {
    let failed = |cause| Error::io(format!("cannot make the demo in {}", dir.display()), cause);
    std::fs::create_dir_all(dir).map_err(failed)?;
    for (name, files) in [("lake", &CONTRACTS), ("sql", &MODELS), ("jobs", &JOBS)] {
        crate::cli::write(files, &dir.join(name))?;
    }
    let key = dir.join("privacy.key");
    if !key.exists() {
        write_secret(&key, &hex::encode(rand::random::<[u8; 32]>())).map_err(failed)?;
    }
    let settings = dir.join("lake.toml");
    if !settings.exists() {
        std::fs::write(settings, LAKE_TOML).map_err(failed)?;
    }
    Ok(())
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}

fn tell(report: &simulate::Report, started: Instant) {
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = count(report.events.saturating_mul(1000) / ms);
    say(&format!(
        "  {:24} {:>12} rows  {rate:>12} rows/s  {}.{} s",
        "made-up events",
        count(report.events),
        ms / 1000,
        ms % 1000 / 100
    ));
}

fn say(text: &str) {
    crate::cli::say(text);
}
