//! A lake whose events come from a topic, and the proof that every record is in exactly one place.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::kafka::{Broker, Message, Producer, read_topic, topic};
use super::{Lake, REPOSITORY, below};

/// A lake of the project that ships, reading topics of its own.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    pub(crate) lake: Lake,
    pub(crate) broker: &'a Broker,
    /// The events' topic.
    pub(crate) topic: String,
    project: tempfile::TempDir,
}

impl<'a> Stream<'a> {
    /// A lake, and no topic yet.
    pub(crate) fn without_topic(broker: &'a Broker, name: &str) -> Self {
        let topic = topic(name);
        let project = tempfile::tempdir().unwrap();
        let from = Path::new(REPOSITORY);
        for path in ["lake", "sql", "jobs"].iter().flat_map(|part| below(&from.join(part))) {
            let to = project.path().join(path.strip_prefix(from).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.replace("kafka:events", &format!("kafka:{topic}"));
            let text = text.replace("kafka:videos", &format!("kafka:{topic}-videos"));
            std::fs::write(to, text).unwrap();
        }
        std::fs::write(project.path().join("lake.toml"), "").unwrap();
        let mut lake = Lake::of(project.path());
        lake.set("LAKE_KAFKA_BROKERS", broker.address());
        Self { lake, broker, topic, project }
    }

    /// A lake, and its events' topic.
    pub(crate) fn new(broker: &'a Broker, name: &str, partitions: i32) -> Self {
        let stream = Self::without_topic(broker, name);
        broker.create_topic(&stream.topic, partitions);
        stream
    }

    /// The folder of its project, to change.
    pub(crate) fn project(&self) -> &Path {
        self.project.path()
    }

    /// The name of the source.
    pub(crate) fn source(&self) -> String {
        format!("kafka:{}", self.topic)
    }

    /// Sends records, to one partition after the other.
    pub(crate) fn send<T: AsRef<[u8]>>(&self, records: impl IntoIterator<Item = T>) {
        let n_partitions = self.broker.n_partitions(&self.topic);
        let producer = Producer::new(self.broker);
        for (partition, record) in (0..n_partitions).cycle().zip(records) {
            producer.send(&self.topic, partition, Some(b"key"), Some(record.as_ref()));
        }
        producer.flush();
    }

    /// Asserts that what is committed in the topic is what the table and quarantine hold, each
    /// record in one of them, once, as it was sent. Returns how many are in each.
    #[track_caller]
    pub(crate) fn holds(&self, ledger: &[Message]) -> (usize, usize) {
        let sent: BTreeMap<(i64, i64), &Message> = ledger
            .iter()
            .map(|message| ((message.partition.into(), message.offset), message))
            .collect();
        let place = |row: &Value, partition: &str, offset: &str| {
            (row[partition].as_i64().unwrap(), row[offset].as_i64().unwrap())
        };
        let rows = self.lake.rows(&format!(
            "SELECT _partition, _offset, event_id FROM bronze.events WHERE _topic = '{}'",
            self.topic
        ));
        let mut found = Vec::new();
        for row in &rows {
            let place = place(row, "_partition", "_offset");
            let message = sent.get(&place).unwrap_or_else(|| panic!("{place:?} was never sent"));
            let value: Value = serde_json::from_slice(message.value.as_deref().unwrap()).unwrap();
            assert_eq!(row["event_id"], value["event_id"], "{place:?}");
            found.push(place);
        }
        let rejected = self.lake.rows(&format!(
            "SELECT partition, position, raw FROM bronze.quarantine WHERE table_name = 'bronze.events' AND source = '{}'",
            self.source()
        ));
        for row in &rejected {
            let place = place(row, "partition", "position");
            let message = sent.get(&place).unwrap_or_else(|| panic!("{place:?} was never sent"));
            assert_eq!(
                row["raw"].as_str().map(str::to_owned),
                message.value.as_ref().map(hex::encode)
            );
            found.push(place);
        }
        found.sort_unstable();
        let twice = found.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(twice, None, "a record is in two places");
        let missing = sent.keys().find(|place| found.binary_search(place).is_err());
        assert_eq!(missing, None, "a record is in no place");
        (rows.len(), rejected.len())
    }

    /// As [`Self::holds`], with what is in the topic now.
    #[track_caller]
    pub(crate) fn holds_all(&self) -> (usize, usize) {
        self.holds(&read_topic(self.broker, &self.topic))
    }

    /// The next offsets that the events' table knows, by partition.
    #[track_caller]
    pub(crate) fn next_offsets(&self) -> Vec<i64> {
        let output = self.lake.ok(&["status", "--output", "ndjson"]);
        let rows = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let source = self.source();
        rows.filter(|row| row["source"] == source.as_str())
            .map(|row| row["next_offset"].as_i64().unwrap_or(-1))
            .collect()
    }
}
