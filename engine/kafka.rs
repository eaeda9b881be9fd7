//! Topics of Kafka. The only door to librdkafka.
//!
//! Partitions are assigned by hand, at offsets that the table gives; there is no group to join and
//! nothing to rebalance. Only committed transactions are seen. Offsets of the group are written
//! after the table's commit, for people's lag tools, and never read.

mod client;
mod consumer;
mod failure;
mod headers;
mod producer;
mod progress;
mod raw;

pub use consumer::Consumer;
pub use producer::Producer;
pub use progress::{Batch, Outcome, Range, Reached};
pub use raw::Topic;
