//! `lake simulate`: made-up events, into a landing folder or to Kafka.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::NaiveDate;
use clap::Args;
use engine::error::{Error, Kind, Result};

use super::simulate::{Faults, FolderSink, KafkaSink, Options, Rate, Report, Sink, simulate};
use super::{label, say, tell};
use crate::cli::{Common, count, spinner};

/// Partitions of a topic that is made here.
const PARTITIONS: i32 = 4;
/// At full speed the moving line is told once in so many events.
const TOLD: u64 = 1 << 14;

/// Make realistic events
#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// How many events
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// The same seed makes the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where they go: folder:DIR makes DIR/events and DIR/videos; kafka:events is the topics events
    /// and videos, kafka:x-events is x-events and x-videos
    #[arg(long, value_name = "folder:DIR|kafka:TOPIC")]
    to: String,
    /// How many events in a second, minute or hour: 5000/s, 300/min, 1000000/h; only for
    /// kafka:TOPIC [default: no limit]
    #[arg(long)]
    rate: Option<String>,
    /// Partitions of topics that have to be made; only for kafka:TOPIC [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// The first day, UTC
    #[arg(long, default_value = "2026-03-01")]
    start: NaiveDate,
    /// Write what really happened: one JSON line a playback
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Videos in the catalogue
    #[arg(long, default_value_t = 400)]
    videos: u32,
    /// Share of events that get lost, 0..1
    #[arg(long, default_value_t = 0.0)]
    lose: f64,
    /// Share of events that come twice
    #[arg(long, default_value_t = 0.0)]
    duplicate: f64,
    /// Share of events that come minutes to hours late
    #[arg(long, default_value_t = 0.0)]
    delay: f64,
    /// Share of events that come out of order
    #[arg(long, default_value_t = 0.0)]
    reorder: f64,
    /// Share of devices whose clock is wrong, by hours
    #[arg(long, default_value_t = 0.0)]
    skew: f64,
}

/// Where events go.
enum Place<'a> {
    Folder(&'a Path),
    Topic { name: &'a str, rate: Option<Rate> },
}

impl Simulate {
    pub(crate) async fn run(self, common: &Common) -> Result<()> {
        let common = common.clone();
        // On a thread of its own, so that Ctrl-C is heard meanwhile.
        let made = tokio::task::spawn_blocking(move || self.make(&common)).await;
        made.map_err(|cause| Error::internal("the simulator broke").caused_by(cause))?
    }

    fn make(&self, common: &Common) -> Result<()> {
        let place = self.place()?;
        let mut sink = self.open(&place, common)?;
        let mut truth = self.truth.as_deref().map(create).transpose()?;
        let truth_out = truth.as_mut().map(|out| out as &mut dyn Write);
        let started = Instant::now();
        let bar = (!common.quiet()).then(|| spinner("made-up events"));
        let told = place.told();
        let mut events = 0;
        let mut progress = |so_far: u64| {
            events = so_far;
            if let Some(bar) = bar.as_ref().filter(|_| so_far.is_multiple_of(told)) {
                bar.set_position(so_far);
            }
            common.stop.check()
        };
        let made = simulate(&self.options(), sink.as_mut(), truth_out, &mut progress);
        let made = finish(made, sink.as_mut());
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let stopped = made.as_ref().is_err_and(|error| error.kind() == Kind::Interrupted);
        if stopped && !common.quiet() {
            say(&format!("stopped after {} events", count(events)));
        }
        let report = made?;
        if let Some(mut out) = truth {
            out.flush().map_err(|cause| Error::io("cannot write the truth", cause))?;
        }
        if !common.quiet() {
            tell(&report, started);
        }
        Ok(())
    }

    fn place(&self) -> Result<Place<'_>> {
        let rate = self.rate.as_deref().map(Rate::parse).transpose()?;
        match self.to.split_once(':').filter(|(_, name)| !name.is_empty()) {
            Some(("folder", _)) if rate.is_some() => Err(Error::usage("--rate is for kafka:TOPIC")),
            Some(("folder", _)) if self.partitions.is_some() => {
                Err(Error::usage("--partitions is for kafka:TOPIC"))
            }
            Some(("folder", dir)) => Ok(Place::Folder(Path::new(dir))),
            Some(("kafka", name)) => Ok(Place::Topic { name, rate }),
            _ => Err(Error::usage(format!("--to {}: not a place events can go to", self.to))
                .hint("write --to folder:DIR or --to kafka:TOPIC")),
        }
    }

    fn open(&self, place: &Place<'_>, common: &Common) -> Result<Box<dyn Sink>> {
        match *place {
            Place::Folder(dir) => {
                Ok(Box::new(FolderSink::new(dir, &label(self.seed, self.start_ms()))?))
            }
            Place::Topic { name, rate } => {
                let partitions = self.partitions.unwrap_or(PARTITIONS);
                let (settings, stop) = (common.settings_anywhere()?, common.stop.clone());
                Ok(Box::new(KafkaSink::connect(&settings, name, partitions, rate, stop)?))
            }
        }
    }

    fn options(&self) -> Options {
        let mut options = Options::new(self.events, self.seed, self.start_ms());
        options.videos = self.videos;
        options.faults = Faults {
            lose: self.lose,
            duplicate: self.duplicate,
            delay: self.delay,
            reorder: self.reorder,
            skew: self.skew,
        };
        options
    }

    fn start_ms(&self) -> i64 {
        self.start.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()
    }
}

impl Place<'_> {
    /// The moving line is told once in so many events: at full speed seldom, else often enough to
    /// be seen moving.
    fn told(&self) -> u64 {
        match self {
            Place::Topic { rate: Some(rate), .. } => (rate.per_second() / 10).clamp(1, TOLD),
            _ => TOLD,
        }
    }
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path)
        .map_err(|cause| Error::io(format!("cannot write {}", path.display()), cause))?;
    Ok(BufWriter::new(file))
}

/// Completes what was made, also when somebody stopped it.
fn finish(made: Result<Report>, sink: &mut dyn Sink) -> Result<Report> {
    match made {
        Err(error) if error.kind() != Kind::Interrupted => Err(error),
        _ => sink.finish().and(made),
    }
}
