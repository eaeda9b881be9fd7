//! The integration tests: one binary, one module a concern.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod commands;
mod crash;
mod csv_files;
mod json_files;
mod landing;
mod mistakes;
mod models;
mod msk;
mod names;
mod parquet_files;
mod records;
mod replay;
mod scenarios;
mod status;
mod support;
mod tidy;
mod topic_faults;
mod topics;
