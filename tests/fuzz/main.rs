//! Fuzzers of everything that takes bytes from others: the decoder, the readers of CSV, JSON and
//! Parquet files, and the parsers of contracts and models.
//!
//! `cargo bench --bench fuzz -- TARGET [--seconds 60] [--seed N] [--limit BYTES] [--case N]` with a
//! TARGET of decoder, csv, json, parquet, contract or all. A case is made from its seed and number
//! alone, so `--seed` and `--case` repeat it. Each target says what must hold; beside that no case
//! may panic in our code, end the process, take 10 seconds, or more memory than its bound.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::similar_names,
    reason = "a harness: it prints, takes the time, and may fail"
)]

use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

mod contracts;
mod csv;
mod decoder;
mod dice;
mod json;
mod parquet;
mod persons;
mod reading;
mod records;
mod target;
mod watch;

use dice::Dice;
use target::{Outcome, Target};
use watch::Watch;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// As the binary's threads have it.
const STACK_BYTES: usize = 8 << 20;
const TARGETS: [&str; 5] = ["decoder", "csv", "json", "parquet", "contract"];

/// A panic in our own code, also one that the engine catches.
static OUR_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// What the command line asks for.
#[derive(Clone, Debug)]
struct Options {
    targets: Vec<String>,
    seconds: u64,
    seed: u64,
    limit: usize,
    case: Option<u64>,
    /// Where a child notes the number of the case that it is at.
    state: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}: name one of {} or all", TARGETS.join(", "));
            return ExitCode::from(2);
        }
    };
    if options.state.is_some() {
        return hunt_here(&options);
    }
    for target in &options.targets {
        if !hunt_in_child(target, &options) {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.map_or(1, |now| now.as_secs());
    let mut options = Options {
        targets: Vec::new(),
        seconds: 60,
        seed,
        limit: 64 << 10,
        case: None,
        state: None,
    };
    let mut arguments = arguments.filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
            value.ok_or_else(|| format!("{argument} wants a number"))
        };
        match argument.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--limit" => options.limit = usize::try_from(number()?).unwrap_or(usize::MAX),
            "--case" => options.case = Some(number()?),
            "--state" => options.state = arguments.next().map(PathBuf::from),
            "all" => options.targets = TARGETS.map(str::to_owned).to_vec(),
            target if TARGETS.contains(&target) => options.targets.push(target.to_owned()),
            _ => return Err(format!("{argument} is unknown")),
        }
    }
    if options.targets.is_empty() { Err("no target".to_owned()) } else { Ok(options) }
}

/// Hunts in a process of its own, so that one that is killed by what it reads is seen.
fn hunt_in_child(target: &str, options: &Options) -> bool {
    let state = tempfile::NamedTempFile::new().expect("a file for the state");
    let mut command = Command::new(std::env::current_exe().expect("a program has a path"));
    command.args([target, "--seconds", &options.seconds.to_string()]);
    command.args(["--seed", &options.seed.to_string(), "--limit", &options.limit.to_string()]);
    if let Some(case) = options.case {
        command.args(["--case", &case.to_string()]);
    }
    let status = command.arg("--state").arg(state.path()).status().expect("a child starts");
    match status.code() {
        Some(0) => true,
        Some(1) => false,
        _ => {
            let noted = std::fs::read(state.path()).unwrap_or_default();
            let number = noted.get(..8).and_then(|bytes| bytes.try_into().ok());
            let number = u64::from_le_bytes(number.unwrap_or_default());
            println!("{target}: the process died ({status})");
            println!("{}", repeat(target, options, number));
            false
        }
    }
}

/// How to repeat a case by hand.
fn repeat(target: &str, options: &Options, number: u64) -> String {
    let Options { seed, limit, .. } = options;
    format!(
        "repeat: cargo bench --bench fuzz -- {target} --limit {limit} --seed {seed} --case {number}"
    )
}

fn hunt_here(options: &Options) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(String::new(), ToString::to_string);
        let ours = place.starts_with("engine/") || place.starts_with("tests/");
        if ours || !engine::guard::is_guarded() {
            let mut seen = OUR_PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            seen.get_or_insert_with(|| format!("a panic at {place}: {panic}"));
        }
    }));
    let (name, limit) = (options.targets[0].clone(), options.limit);
    let options = options.clone();
    let hunt = move || match name.as_str() {
        "decoder" => hunt(&mut decoder::DecoderTarget::new(), &name, &options),
        "csv" => hunt(&mut csv::CsvTarget::new(limit), &name, &options),
        "json" => hunt(&mut json::JsonTarget::new(limit), &name, &options),
        "parquet" => hunt(&mut parquet::ParquetTarget::new(limit), &name, &options),
        _ => hunt(&mut contracts::ContractTarget::new(), &name, &options),
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(hunt);
    match thread.expect("a thread starts").join() {
        Ok(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What a hunt has come to.
#[derive(Default)]
struct Sum {
    cases: u64,
    outcome: Outcome,
    /// The greatest memory of a case, and the greatest part of its bound that one took.
    memory: usize,
    part: f64,
    longest: Duration,
}

fn hunt<T: Target>(target: &mut T, name: &str, options: &Options) -> bool {
    let started = Instant::now();
    let watch = Watch::start(name, options);
    let state = options.state.as_ref().and_then(|path| std::fs::File::create(path).ok());
    let mut sum = Sum::default();
    let first = options.case.unwrap_or(0);
    for number in first.. {
        if let Some(state) = &state {
            let _ = state.write_all_at(&number.to_le_bytes(), 0);
        }
        let case = target.case(&mut Dice::new(options.seed, number));
        if options.case.is_some() {
            // Written before it runs: it may end the process.
            println!("{name}: the case is in {}", written(name, number, &T::files(&case)));
        }
        if let Err(broken) = one(target, &case, &watch, number, &mut sum) {
            println!("{name}: {broken}");
            println!("the case is in {}", written(name, number, &T::files(&case)));
            println!("{}", repeat(name, options, number));
            return false;
        }
        if options.case.is_some() || started.elapsed().as_secs() >= options.seconds {
            break;
        }
    }
    print(name, options, &sum, started.elapsed());
    let starved = sum.outcome.accepted == 0 || sum.outcome.rejected == 0;
    if starved && options.case.is_none() {
        println!("{name}: nothing was accepted, or nothing rejected: the hunt does not reach deep");
    }
    options.case.is_some() || !starved
}

fn one<T: Target>(
    target: &mut T,
    case: &T::Case,
    watch: &Watch,
    number: u64,
    sum: &mut Sum,
) -> Result<(), String> {
    watch.begin(number);
    let started = Instant::now();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let ran = catch_unwind(AssertUnwindSafe(|| target.run(case)));
    let memory = MEMORY.peak_usage().saturating_sub(before);
    let judged = ran.and_then(|came| {
        catch_unwind(AssertUnwindSafe(|| came.and_then(|came| target.judge(case, came))))
    });
    watch.end();
    let ours = OUR_PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some(panic) = ours {
        return Err(panic);
    }
    let outcome = judged.map_err(|_| "a panic".to_owned())??;
    let bound = target.memory(case);
    if memory > bound {
        return Err(format!("it took {memory} bytes of memory, and may take {bound}"));
    }
    sum.cases += 1;
    sum.outcome.accepted += outcome.accepted;
    sum.outcome.rejected += outcome.rejected;
    sum.memory = sum.memory.max(memory);
    sum.part = sum.part.max(memory as f64 / bound as f64);
    sum.longest = sum.longest.max(started.elapsed());
    Ok(())
}

fn print(name: &str, options: &Options, sum: &Sum, elapsed: Duration) {
    println!(
        "{name:9} {} cases in {:.0} s ({:.0}/s), {} accepted, {} rejected; most memory {} KiB ({:.0} % of its bound), longest {} ms; seed {}",
        sum.cases,
        elapsed.as_secs_f64(),
        sum.cases as f64 / elapsed.as_secs_f64(),
        sum.outcome.accepted,
        sum.outcome.rejected,
        sum.memory >> 10,
        sum.part * 100.0,
        sum.longest.as_millis(),
        options.seed
    );
}

/// Writes the files of a case into a folder of its own, and names it.
fn written(name: &str, number: u64, files: &[(String, &[u8])]) -> String {
    let folder = std::env::temp_dir().join(format!("fuzz-{name}-{}-{number}", std::process::id()));
    for (path, bytes) in files {
        let path = folder.join(path);
        let _ = path.parent().map(std::fs::create_dir_all);
        if let Err(cause) = std::fs::write(&path, bytes) {
            return format!("no file, since {} cannot be written: {cause}", path.display());
        }
    }
    folder.display().to_string()
}
