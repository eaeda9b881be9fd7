//! What is in a topic, by a client that is not ours: what a table and quarantine are held against.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::kafka::{Broker, PATIENCE};

/// A record as it is in a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp_ms: Option<i64>,
}

/// What is committed in a topic, in the order of partitions and offsets.
///
/// An open transaction hides what comes after it in its partition.
pub(crate) fn read_topic(broker: &Broker, topic: &str) -> Vec<Message> {
    let mut config = broker.client();
    config.set("group.id", "ledger").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("auto.offset.reset", "earliest");
    // Aborted records and marks at the end are no messages: only this tells that there are no more.
    config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "20");
    let consumer: BaseConsumer = config.create().unwrap();

    let mut unread: BTreeSet<i32> = (0..broker.n_partitions(topic)).collect();
    assert!(!unread.is_empty(), "there is no topic {topic}");
    let mut assignment = TopicPartitionList::new();
    for partition in &unread {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();

    let mut messages = Vec::new();
    // The client gets over errors by itself: they are worth a word only if it does not.
    let mut last_error = None;
    let started = Instant::now();
    while !unread.is_empty() {
        assert!(started.elapsed() < PATIENCE, "{topic}: {unread:?} have no end: {last_error:?}");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unread.remove(&partition);
            }
            Some(Err(error)) => last_error = Some(error),
            Some(Ok(message)) => messages.push(Message {
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                timestamp_ms: message.timestamp().to_millis(),
            }),
        }
    }
    messages.sort();
    messages
}
