//! The integration tests: one binary, one module a concern.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::many_single_char_names,
    clippy::needless_for_each,
    clippy::similar_names,
    reason = "the values of a test are small, and its names stand for columns"
)]

mod arithmetic;
mod away;
mod bounds;
mod commands;
mod contracts;
mod crash;
mod csv_files;
mod doctor;
mod doubles;
mod due;
mod evolution;
mod exit_codes;
mod forms;
mod headers;
mod json_files;
mod landing;
mod local_times;
mod logs;
mod mistakes;
mod models;
mod msk;
mod names;
mod nesting;
mod others;
mod parquet_damage;
mod parquet_files;
mod parquet_values;
mod persons;
mod printing;
mod records;
mod replay;
mod replayed;
mod right_values;
mod scenarios;
mod shapes;
mod status;
mod subqueries;
mod support;
mod tidy;
mod topic_faults;
mod topic_records;
mod topics;
mod unread;
mod values;
