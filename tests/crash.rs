//! Killed at any moment, started twice: the rows are those of a run that nobody disturbed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::support::{Lake, bare, below, same};

const LAYERS: &[&str] = &["bronze", "silver", "gold"];

/// Made-up events, in as many files as there are kills.
const EVENTS: &str = "20000";
const FILES: usize = 12;
/// Far more than any run here takes.
const PATIENCE: Duration = Duration::from_mins(2);

type Bags = BTreeMap<String, Vec<String>>;

/// Files of events and videos, and the rows that they become.
struct World {
    _folder: tempfile::TempDir,
    /// Of each file its path below the landing place and its bytes.
    events: Vec<(String, Vec<u8>)>,
    videos: Vec<(String, Vec<u8>)>,
    undisturbed: Bags,
    elapsed: Duration,
}

/// The events and their rows, made once for all tests here.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let to = format!("folder:{}", folder.path().display());
        let made = bare(&[
            "simulate",
            "--events",
            EVENTS,
            "--seed",
            "11",
            "--to",
            &to,
            "--lose",
            "0.01",
            "--duplicate",
            "0.02",
            "--reorder",
            "0.02",
            "--skew",
            "0.1",
        ]);
        made.says(0, &[]);
        let mut lines: Vec<String> = Vec::new();
        for path in below(&folder.path().join("events")) {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().map(|line| format!("{line}\n")));
        }
        // Some records for quarantine, so that both tables are written.
        for at in (0..lines.len()).step_by(1000) {
            lines.insert(at, format!("{{\"event_id\":\"broken-{at}\"}}\n"));
        }
        let parts = lines.chunks(lines.len().div_ceil(FILES)).enumerate();
        let events = parts
            .map(|(i, part)| (format!("events/part-{i:02}.ndjson"), part.concat().into_bytes()))
            .collect();
        let videos = below(&folder.path().join("videos"))
            .iter()
            .map(|path| (landing_name("videos", path), std::fs::read(path).unwrap()))
            .collect();
        let mut world = World {
            _folder: folder,
            events,
            videos,
            undisturbed: Bags::new(),
            elapsed: Duration::ZERO,
        };
        let lake = world.lake();
        world.land_all(&lake);
        let started = Instant::now();
        lake.ok(&["run", "all"]);
        world.elapsed = started.elapsed();
        world.undisturbed = lake.bags(LAYERS);
        assert!(world.undisturbed["bronze.quarantine"].len() > 10);
        assert!(world.undisturbed["gold.ad_daily"].len() > 10);
        world
    })
}

fn landing_name(folder: &str, path: &Path) -> String {
    format!("{folder}/{}", path.file_name().unwrap().to_string_lossy())
}

impl World {
    /// A lake with small batches, so that one run commits often; the catalogue has landed.
    fn lake(&self) -> Lake {
        let mut lake = Lake::new();
        lake.set("LAKE_INGEST_BATCH_SIZE", "256KiB");
        for (name, bytes) in &self.videos {
            lake.land(name, bytes);
        }
        lake
    }

    fn land_all(&self, lake: &Lake) {
        for (name, bytes) in &self.events {
            lake.land(name, bytes);
        }
    }

    /// Kills runs; at first they take as long as the one that nobody disturbed.
    fn killer(&self, seed: u64) -> Killer {
        Killer::new(seed, self.elapsed)
    }
}

/// Waits for a process for so long; `None` if it still runs.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if started.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Lets a command run for a while and kills it; whether it was still running then.
fn kill_after(lake: &Lake, arguments: &[&str], moment: Duration) -> bool {
    let mut child = lake.start(arguments);
    if let Some(status) = wait(&mut child, moment) {
        assert!(status.success(), "lake {}: {status}", arguments.join(" "));
        false
    } else {
        child.kill().unwrap();
        child.wait().unwrap();
        true
    }
}

/// Kills commands at random moments, most of them in the midst of their work.
pub(crate) struct Killer {
    random: Pcg64,
    /// How long such a command takes: one that was over before its moment tells.
    elapsed: Duration,
    n_runs: usize,
    n_killed: usize,
}

impl Killer {
    pub(crate) fn new(seed: u64, elapsed: Duration) -> Self {
        Self { random: Pcg64::seed_from_u64(seed), elapsed, n_runs: 0, n_killed: 0 }
    }

    /// Starts a command, and kills it if it is not over sooner.
    pub(crate) fn kill(&mut self, lake: &Lake, arguments: &[&str]) {
        let moment = self.elapsed.mul_f64(self.random.random_range(0.02..0.9));
        let started = Instant::now();
        self.n_runs += 1;
        if kill_after(lake, arguments, moment) {
            self.n_killed += 1;
        } else {
            self.elapsed = started.elapsed();
        }
    }

    /// Asserts that most commands were killed: else little was tried.
    #[track_caller]
    pub(crate) fn hit_most(&self) {
        let Self { n_runs, n_killed, .. } = self;
        println!("killed {n_killed} of {n_runs}");
        assert!(2 * n_killed > *n_runs, "only {n_killed} of {n_runs} were killed");
    }
}

/// A run to the end, then the rows must be right, and nothing must be left to do.
fn ends_well(lake: &Lake, what: &str) {
    lake.ok(&["run", "all"]);
    same(&lake.bags(LAYERS), &world().undisturbed, what);
    let again = lake.ok(&["run", "all"]);
    let idle = again.stderr.lines().filter(|line| line.ends_with("up to date")).count();
    assert_eq!(idle, lake.tables(LAYERS).len() - 1, "{what}: something is left:\n{}", again.stderr);
}

#[test]
fn killed_while_files_keep_coming_every_row_is_there_once() {
    let world = world();
    let mut killer = world.killer(21);
    let lake = world.lake();
    for (i, (name, bytes)) in world.events.iter().enumerate() {
        lake.land(name, bytes);
        let layer = ["all", "bronze", "all"][i % 3];
        killer.kill(&lake, &["run", layer]);
    }
    killer.hit_most();
    ends_well(&lake, "killed while files kept coming, seed 21");
}

#[test]
fn killed_again_and_again_at_the_same_work_every_row_is_there_once() {
    let world = world();
    let mut killer = world.killer(22);
    let lake = world.lake();
    world.land_all(&lake);
    for _ in 0..FILES {
        killer.kill(&lake, &["run", "all"]);
    }
    killer.hit_most();
    ends_well(&lake, "killed again and again, seed 22");
}

#[test]
fn killed_while_silver_and_gold_are_computed_anew_they_are_as_before() {
    let world = world();
    let mut killer = world.killer(23);
    let lake = world.lake();
    world.land_all(&lake);
    lake.ok(&["run", "bronze"]);
    for i in 0..8 {
        let layer = ["silver", "all"][i % 2];
        killer.kill(&lake, &["run", layer, "--full-refresh"]);
    }
    lake.ok(&["run", "silver"]);
    for _ in 0..4 {
        killer.kill(&lake, &["run", "gold", "--full-refresh"]);
    }
    killer.hit_most();
    ends_well(&lake, "killed in silver and gold, seed 23");
}

/// Waits for processes that may lose, but must not fail.
#[track_caller]
pub(crate) fn all_end_well(children: &mut [Child]) {
    for child in children {
        let status = wait(child, PATIENCE);
        if status.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let code = status.and_then(|status| status.code());
        assert!(matches!(code, Some(0 | 75)), "{code:?}");
    }
}

#[test]
fn runs_at_the_same_time_lose_and_double_nothing() {
    let world = world();
    let lake = world.lake();
    world.land_all(&lake);
    let mut children: Vec<Child> = (0..3).map(|_| lake.start(&["run", "all"])).collect();
    all_end_well(&mut children);
    ends_well(&lake, "three runs at the same time");
}

#[test]
fn an_interrupted_run_commits_what_it_began_and_exits_130() {
    let world = world();
    let lake = world.lake();
    world.land_all(&lake);
    let mut child = lake.start(&["run", "all", "--follow"]);
    let begun = lake.root().join("bronze/events/_delta_log/00000000000000000001.json");
    let started = Instant::now();
    while !begun.exists() {
        assert!(started.elapsed() < PATIENCE, "nothing was begun");
        std::thread::sleep(Duration::from_millis(1));
    }
    interrupt(&child);
    let status = wait(&mut child, PATIENCE);
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(status.and_then(|status| status.code()), Some(130));
    ends_well(&lake, "interrupted");
}

/// Sends Ctrl-C to a process.
fn interrupt(child: &Child) {
    let mut shell = std::process::Command::new("sh");
    let status = shell.arg("-c").arg(format!("kill -INT {}", child.id())).status().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn what_killed_runs_leave_behind_is_only_files_that_no_table_names() {
    let world = world();
    let mut killer = world.killer(24);
    let lake = world.lake();
    world.land_all(&lake);
    for _ in 0..6 {
        killer.kill(&lake, &["run", "all"]);
    }
    killer.hit_most();
    lake.ok(&["run", "all"]);
    let root = lake.root();
    let mut left: Vec<PathBuf> = below(&root);
    let n_files = left.len();
    left.retain(|path| !path.starts_with(root.join("_lake")));
    for table in lake.tables(LAYERS) {
        let folder = root.join(table.replace('.', "/"));
        let named = named(&folder);
        assert!(!named.is_empty(), "{table} names no file");
        for (path, size) in &named {
            let found = std::fs::metadata(path).map(|metadata| metadata.len()).ok();
            assert_eq!(found, Some(*size), "{table} names {}", path.display());
        }
        left.retain(|path| {
            let is_log = path.starts_with(folder.join("_delta_log"));
            let is_data = path.extension().is_some_and(|ending| ending == "parquet");
            !(path.starts_with(&folder) && (is_log || is_data))
        });
    }
    assert!(left.is_empty(), "of {n_files} files these belong to no table: {left:?}");
    let outside: Vec<PathBuf> = below(lake.folder())
        .into_iter()
        .filter(|path| {
            !path.starts_with(lake.root()) && !path.starts_with(lake.folder().join("landing"))
        })
        .collect();
    assert!(outside.is_empty(), "written outside the root: {outside:?}");
}

/// Every file that a version of a table names, and its size.
fn named(table: &Path) -> BTreeMap<PathBuf, u64> {
    let mut named = BTreeMap::new();
    let log = below(&table.join("_delta_log"));
    for commit in log.iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
        for line in std::fs::read_to_string(commit).unwrap().lines() {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(path) = action["add"]["path"].as_str() {
                assert!(!path.contains('%'), "{path} must be decoded");
                named.insert(table.join(path), action["add"]["size"].as_u64().unwrap());
            }
        }
    }
    named
}
