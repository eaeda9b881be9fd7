//! What is kept of a topic between two looks, and work with its client, which may wait.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::contract::Source;
use crate::error::{Error, Result};
use crate::kafka::Consumer;
use crate::table::Table;
use crate::world::{Failures, World};

/// A run that follows tries a partition again that could not be read: its log may be mended.
const BROKEN_AGAIN: Duration = Duration::from_mins(1);

/// What is kept of a topic between two looks.
#[derive(Debug, Default)]
pub(super) struct Feed {
    pub(super) consumer: Option<Consumer>,
    pub(super) table: Option<Table>,
    pub(super) quarantine: Option<Table>,
    pub(super) brokers: Brokers,
    /// Whether the topic was not there when a look began: all of it came after.
    pub(super) was_missing: bool,
    /// Whether a look went through, so that a loss that was accepted before it is behind us.
    pub(super) is_read: bool,
    /// Since when the client cannot read on some partitions.
    pub(super) broken_since: Option<Instant>,
    /// What was said of them.
    pub(super) told: BTreeSet<String>,
}

/// Whether brokers answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Brokers {
    /// None ever did.
    #[default]
    Unheard,
    Answering,
    /// They did, and do not now.
    Silent,
}

impl Feed {
    /// Works with the client on a thread that may wait.
    pub(super) async fn ask<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Consumer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut consumer =
            self.consumer.take().ok_or_else(|| Error::internal("there is no consumer"))?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut consumer);
            (consumer, result)
        });
        let (consumer, result) =
            done.await.map_err(|cause| Error::internal("the reader broke").caused_by(cause))?;
        self.consumer = Some(consumer);
        result
    }

    /// Notes that brokers answer; what was so before.
    pub(super) fn hears(&mut self) -> Brokers {
        std::mem::replace(&mut self.brokers, Brokers::Answering)
    }

    /// The partitions that could not be read to their ends, and why.
    pub(super) fn broken(&self, topic: &str, next: &[i64], ends: &[i64]) -> Vec<(usize, Error)> {
        let mut broken =
            self.consumer.as_ref().map_or_else(Vec::new, |reader| reader.broken(topic));
        broken.retain(|(at, _)| next.get(*at) < ends.get(*at));
        broken
    }

    /// What becomes of such partitions: what was read of them, and all others, are committed. The
    /// run ends with them; one that follows goes on without.
    pub(super) fn hold_broken(
        &mut self,
        world: &World,
        following: bool,
        errors: Vec<Error>,
    ) -> Result<()> {
        let mut failures = Failures::default();
        for error in errors {
            if following {
                self.broken_since.get_or_insert_with(Instant::now);
                let text = error.report().trim_start_matches("error: ").to_owned();
                if self.told.insert(text.clone()) {
                    world.remark(text);
                }
            } else {
                failures.hold(world, Err::<(), Error>(error))?;
            }
        }
        failures.end()
    }

    /// The brokers stopped answering: what stands where, and what may be the reason.
    pub(super) fn stalled(&self, source: &Source, next: &[i64], ends: &[i64]) -> Error {
        let error =
            |at: String| Error::retry(format!("{source}: the brokers stopped answering{at}"));
        let open = next.iter().zip(ends).position(|(next, end)| next < end);
        let limit = self.consumer.as_ref().and_then(Consumer::small_limit);
        match (open, limit) {
            (Some(at), Some(limit)) => error(format!(" at offset {} of partition {at}", next[at]))
                .hint(format!("what was read is committed; an answer that is larger than {limit} breaks the connection: raise it in kafka.options (LAKE_KAFKA_OPTIONS); else run again when they are back")),
            _ => error(String::new())
                .hint("what was read is committed; run again when they are back"),
        }
    }

    /// Closes a client that could not read some partitions, after a while.
    pub(super) async fn forget_broken(&mut self) {
        if self.broken_since.is_some_and(|since| since.elapsed() >= BROKEN_AGAIN) {
            self.close().await;
        }
    }

    /// Closes the connection. Whatever it fetched must not come again after another start.
    pub(super) async fn close(&mut self) {
        self.broken_since = None;
        if let Some(consumer) = self.consumer.take() {
            consumer.close().await;
        }
    }
}
