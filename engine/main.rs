//! `lake`: parses arguments, loads the project, calls one function, prints, chooses the exit code.

mod cli;
#[path = "../demo/mod.rs"]
mod demo;

use std::process::ExitCode;

/// Queries and decoding allocate from many threads: mimalloc keeps its pages in check.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(cli::main())
}
