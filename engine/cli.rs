//! The command line: what can be typed, and what happens then.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use engine::error::{Error, Kind, Result};
use engine::settings::{environment, strange_variables};
use engine::world::Stop;
use engine::{output, printable};

mod doctor;
mod init;
mod load;
mod panics;
mod progress;
mod project;
mod prompt;
mod quarantine;
mod rows;
mod run;
mod sql;
mod status;
mod tables;

pub(crate) use init::{in_shell, write};
pub(crate) use load::{Common, Need};
pub(crate) use progress::{Bar, count, spinner};
pub(crate) use tables::Tables;

/// A medallion lakehouse in one binary: events in, Delta tables out.
#[derive(Debug, Parser)]
#[command(name = "lake", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  lake demo                          everything on made-up events, in under a minute
  lake --project demo-lake sql       ask the demo's tables
  lake run all                       do what is due in bronze, silver and gold, and stop

Exit codes: 0 ok, 1 a run or check failed, 2 a mistake in the command or project,
70 a bug of ours, 75 try again, 130 interrupted";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The project's folder [default: the nearest parent folder with a lake.toml]
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Lay [profile.NAME] of lake.toml over the other settings
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// How results look
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
    Ndjson,
    Csv,
    Parquet,
}

impl From<Output> for output::Format {
    fn from(output: Output) -> Self {
        match output {
            Output::Table => Self::Table,
            Output::Json => Self::Json,
            Output::Ndjson => Self::Ndjson,
            Output::Csv => Self::Csv,
            Output::Parquet => Self::Parquet,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything on made-up events, in under a minute
    Demo(crate::demo::Demo),
    /// Make a new project that runs at once
    Init(init::Init),
    /// Make realistic events
    Simulate(crate::demo::Simulate),
    /// Do what is due and stop
    Run(run::Run),
    /// Ask the tables; without a query, a prompt
    Sql(sql::Sql),
    /// How far every table is: next offset, lag, age of the last commit
    Status,
    /// Find every mistake in lake/, sql/, jobs/ and lake.toml
    Check(project::Check),
    /// Records that no table took
    Quarantine(quarantine::Quarantine),
    /// Every setting in force and where it comes from
    Config,
    /// What is wrong with this lake and how to mend it
    Doctor,
    /// Completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether the settings of a project matter to it.
    fn has_settings(&self) -> bool {
        !matches!(self, Self::Init(_) | Self::Completions { .. })
    }

    /// What prints no rows is not asked for them in a format: whoever reads them would wait.
    fn refuse_output(&self, output: Output) -> Result<()> {
        let name = match self {
            Self::Demo(_) => "lake demo",
            Self::Init(_) => "lake init",
            Self::Simulate(_) => "lake simulate",
            Self::Check(_) => "lake check",
            Self::Completions { .. } => "lake completions",
            Self::Quarantine(quarantine) if quarantine.replays() => "lake quarantine replay",
            Self::Run(run) if run.follows() => "lake run --follow",
            _ => return Ok(()),
        };
        if output == Output::Table {
            return Ok(());
        }
        Err(Error::usage(format!("`{name}` prints no rows, so --output has no effect on it"))
            .hint("leave --output away"))
    }
}

/// Stack of the thread that plans queries: planning calls itself once for every term of a long
/// expression. Only what is used is ever taken from memory.
const STACK_BYTES: usize = 1 << 30;

/// Runs the command line; the exit code.
pub(crate) fn main() -> u8 {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run_command_line);
    let ended = thread.map(std::thread::JoinHandle::join);
    match ended {
        Ok(Ok(code)) => code,
        Ok(Err(_)) => {
            panics::tell_withheld();
            70
        }
        Err(cause) => {
            say(&Error::io("cannot start", cause).report());
            75
        }
    }
}

fn run_command_line() -> u8 {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where even the help cannot be printed, the exit code still tells.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    log_to_stderr(&arguments.global);
    panics::report();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(8 << 20).build();
    let result = runtime.map_err(|cause| Error::io("cannot start", cause)).and_then(|runtime| {
        let result = runtime.block_on(interruptible(arguments));
        // Work that was given up at the second Ctrl-C is not waited for.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => 0,
        Err(error) => {
            if error.kind() == Kind::Internal {
                panics::tell_withheld();
            }
            if error.kind() != Kind::Interrupted {
                say(&error.report());
            }
            error.exit_code()
        }
    }
}

/// The first Ctrl-C asks to finish what is begun; the second gives up.
async fn interruptible(arguments: Arguments) -> Result<()> {
    let stop = Stop::default();
    let watch = async {
        interrupt().await;
        stop.ask();
        say("finishing what is begun; Ctrl-C again gives up");
        interrupt().await;
        panics::give_up();
    };
    tokio::select! {
        result = dispatch(arguments, stop.clone()) => result,
        () = watch => Err(Error::interrupted()),
    }
}

async fn interrupt() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

async fn dispatch(arguments: Arguments, stop: Stop) -> Result<()> {
    arguments.command.refuse_output(arguments.global.output)?;
    if !arguments.global.quiet && arguments.command.has_settings() {
        for note in strange_variables(&environment()) {
            say(&format!("note: {note}"));
        }
    }
    let following = matches!(&arguments.command, Command::Run(run) if run.follows());
    let common = Common { global: arguments.global, stop, following };
    match arguments.command {
        Command::Demo(demo) => demo.run(&common).await,
        Command::Init(init) => init.run(&common),
        Command::Simulate(simulate) => simulate.run(&common).await,
        Command::Run(run) => run.run(&common).await,
        Command::Sql(sql) => sql.run(&common).await,
        Command::Status => status::status(&common).await,
        Command::Check(check) => check.run(&common).await,
        Command::Quarantine(quarantine) => Box::pin(quarantine.run(&common)).await,
        Command::Config => project::config(&common),
        Command::Doctor => doctor::doctor(&common).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "lake", &mut script);
            write_out(&script);
            Ok(())
        }
    }
}

fn log_to_stderr(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        _ => "debug",
    };
    // A conflict that we handle is an error to delta-rs: only -v shows what it says.
    let library = if global.verbose == 0 { ",deltalake_core=off" } else { "" };
    let filter = tracing_subscriber::EnvFilter::new(format!(
        "{level},engine={level},buoyant_kernel=off,delta_kernel=off{library}"
    ));
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .with_target(false);
    match global.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Prints text for people: stdout. Control characters are escaped, since they may be a record's.
pub(crate) fn print(text: &str) {
    write_out(printable::lines(text).as_bytes());
}

/// Writes bytes to stdout as they are. Who closes the pipe has seen enough.
fn write_out(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Says something to people: stderr. Names of files are in it, which others choose.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable::lines(text));
}
