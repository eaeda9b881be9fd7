//! What is kept of a topic between two looks, and work with its client, which may wait.

use crate::error::{Error, Result};
use crate::kafka::Consumer;
use crate::table::Table;

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

    /// Closes the connection. Whatever it fetched must not come again after another start.
    pub(super) async fn close(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            consumer.close().await;
        }
    }
}
