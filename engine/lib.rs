//! A medallion lakehouse engine: records from files and Kafka become Delta tables, SQL models become more.
//!
//! The modules in reading order, in rows of strata: a module imports its own row or rows above it,
//! never below (tested in `tests/tidy.rs`). ARCHITECTURE.md walks through them.

// base
pub mod clock;
pub mod dialect;
pub mod error;
pub mod guard;
pub mod mistake;
pub mod printable;
pub mod settings;
// decide: pure, no input or output
pub mod batchlog;
pub mod chunk;
pub mod contract;
pub mod decode;
pub mod job;
pub mod model;
pub mod offsets;
pub mod plan;
pub mod project;
pub mod pseudonym;
// act: one door per heavy dependency
pub mod folder;
pub mod intake;
pub mod kafka;
pub mod lake;
pub mod quarantine;
pub mod query;
pub mod rowcheck;
pub mod table;
// verbs
pub mod check;
pub mod ingest;
pub mod output;
pub mod refresh;
pub mod replay;
pub mod run;
pub mod status;
pub mod world;
