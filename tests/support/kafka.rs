//! A genuine Kafka for the tests: `tests/kafka/broker`, and clients that fill and read topics.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

pub(crate) use super::ledger::{Message, read_topic};
use super::{Output, REPOSITORY};

/// Far more than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A broker of its own, gone with the test.
#[derive(Debug)]
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    listeners: BTreeMap<String, String>,
    admin: AdminClient<DefaultClientContext>,
}

impl Broker {
    /// Starts one with options of `tests/kafka/broker`: `--sasl`, `--tls`, `KEY=VALUE`.
    ///
    /// `None` where there can be no Kafka, which is then said: the test does nothing.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        Self::launch(options).inspect_err(|reason| skipped(reason)).ok()
    }

    /// The one broker of all tests that need only topics of their own.
    ///
    /// Nobody drops it: it is killed when this process is gone.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Result<Broker, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::launch(&[]));
        shared.as_ref().inspect_err(|reason| skipped(reason)).ok()
    }

    /// Starts one, or says why there can be no Kafka.
    fn launch(options: &[&str]) -> Result<Self, String> {
        static JARS: OnceLock<Result<String, String>> = OnceLock::new();
        // Tests run beside each other, and Kafka is to be fetched once.
        JARS.get_or_init(|| script(&["jars"])).clone()?;
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_string_lossy().into_owned();
        let own = std::process::id().to_string();
        let mut arguments = vec!["start", place.as_str(), "--with", own.as_str(), "--remove"];
        arguments.extend_from_slice(options);
        let mut listeners = BTreeMap::new();
        for line in script(&arguments)?.lines() {
            let (name, address) = line.split_once(' ').unwrap_or(("plain", line));
            listeners.insert(name.to_owned(), address.to_owned());
        }
        let admin = client(&listeners["plain"]).create().unwrap();
        Ok(Self { folder, listeners, admin })
    }

    /// Host and port of the listener without security.
    pub(crate) fn address(&self) -> &str {
        self.listener("plain")
    }

    /// Host and port of a listener that the options asked for: `sasl`, `ssl`, `sasl_ssl`.
    pub(crate) fn listener(&self, name: &str) -> &str {
        &self.listeners[name]
    }

    /// Where its files are: `ca.pem`, `broker.log`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The settings of any client of the listener without security.
    pub(crate) fn client(&self) -> ClientConfig {
        client(self.address())
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        self.script("kill");
    }

    /// Starts it again with its data and ports, after [`Self::kill`] or [`Self::stop`] or as it
    /// runs; it serves when this returns.
    pub(crate) fn restart(&self) {
        self.script("restart");
    }

    /// Stops it in good order.
    pub(crate) fn stop(&self) {
        self.script("stop");
    }

    /// Lets it hang: connections stay open, and nothing is answered.
    pub(crate) fn pause(&self) {
        self.script("pause");
    }

    /// Ends [`Self::pause`].
    pub(crate) fn resume(&self) {
        self.script("resume");
    }

    fn script(&self, command: &str) {
        script(&[command, &self.folder.path().to_string_lossy()]).unwrap();
    }

    /// Makes a topic.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) {
        self.create_topic_with(topic, partitions, &[]);
    }

    /// Makes a topic with settings of its own: `("retention.ms", "1000")`.
    pub(crate) fn create_topic_with(
        &self,
        topic: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        new.config.extend_from_slice(settings);
        done(block_on(self.admin.create_topics([&new], &within_patience())));
        self.wait_for_partitions(topic, partitions);
    }

    /// Removes a topic with its records.
    pub(crate) fn delete_topic(&self, topic: &str) {
        done(block_on(self.admin.delete_topics(&[topic], &within_patience())));
        self.wait_for_partitions(topic, 0);
    }

    /// Gives a topic more partitions, so that it has so many in all.
    pub(crate) fn add_partitions(&self, topic: &str, total: i32) {
        let new = NewPartitions::new(topic, usize::try_from(total).unwrap());
        done(block_on(self.admin.create_partitions([&new], &within_patience())));
        self.wait_for_partitions(topic, total);
    }

    /// Removes the records of a partition that are before an offset, as retention does.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before_offset: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before_offset)).unwrap();
        let deleted = block_on(self.admin.delete_records(&offsets, &within_patience())).unwrap();
        for element in deleted.elements() {
            element.error().unwrap();
        }
    }

    /// How many partitions of a topic can be used; none if there is no such topic.
    pub(crate) fn n_partitions(&self, topic: &str) -> i32 {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), PATIENCE).unwrap();
        let known = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let partitions = known.flat_map(MetadataTopic::partitions);
        let led = partitions.filter(|partition| partition.error().is_none());
        i32::try_from(led.count()).unwrap()
    }

    /// The controller answers before the broker knows what was decided.
    fn wait_for_partitions(&self, topic: &str, partitions: i32) {
        let started = Instant::now();
        while self.n_partitions(topic) != partitions {
            assert!(started.elapsed() < PATIENCE, "{topic} does not get {partitions} partitions");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be a failed test that ends here: no panic within a panic. The script kills it,
        // too, when this process is gone.
        let _ = command(&["kill", &self.folder.path().to_string_lossy()]).output();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(REPOSITORY).join("tests/kafka/broker"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What `tests/kafka/broker` prints, or why there can be no Kafka.
fn script(arguments: &[&str]) -> Result<String, String> {
    let output = Output::of(&command(arguments).output().unwrap());
    match output.code {
        Some(0) => Ok(output.stdout),
        Some(3) => Err(output.stderr.trim().to_owned()),
        _ => panic!("tests/kafka/broker {}: {}", arguments.join(" "), output.stderr),
    }
}

fn skipped(reason: &str) {
    assert!(std::env::var_os("LAKE_NO_SKIP").is_none(), "LAKE_NO_SKIP is set, but {reason}");
    super::skipped(&format!("real-kafka: {reason}"));
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    // A broker that was killed is back in seconds; by default a client then waits up to ten more.
    config.set("reconnect.backoff.max.ms", "200");
    config
}

fn within_patience() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

fn done(results: KafkaResult<Vec<TopicResult>>) {
    for result in results.unwrap() {
        result.unwrap();
    }
}

/// A name that no other test has: `events-7`.
pub(crate) fn topic(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The key or the value of a record.
type Bytes<'a> = Option<&'a [u8]>;

/// What became of the records of a producer.
#[derive(Debug, Default)]
struct Reports {
    n_delivered: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        match result {
            Ok(_) => {
                self.n_delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => self.failed.lock().unwrap().push(error.to_string()),
        }
    }
}

/// Sends records, each exactly once: idempotent, acknowledged by all replicas.
pub(crate) struct Producer {
    inner: BaseProducer<Reports>,
    n_sent: AtomicU64,
}

impl Producer {
    pub(crate) fn new(broker: &Broker) -> Self {
        Self::of(&mut broker.client())
    }

    /// One that packs its records and sends larger ones than by default.
    pub(crate) fn packing(broker: &Broker, codec: &str) -> Self {
        let mut config = broker.client();
        config.set("compression.codec", codec).set("message.max.bytes", "1000000000");
        config.set("queue.buffering.max.kbytes", "2000000");
        Self::of(&mut config)
    }

    fn of(config: &mut ClientConfig) -> Self {
        config.set("enable.idempotence", "true").set("acks", "all");
        let inner = config.create_with_context(Reports::default()).unwrap();
        Self { inner, n_sent: AtomicU64::new(0) }
    }

    /// Sends a record; whether it arrives, [`Self::flush`] says.
    pub(crate) fn send(&self, topic: &str, partition: i32, key: Bytes<'_>, value: Bytes<'_>) {
        // 0 is what the client takes for `now`.
        self.send_at(topic, partition, key, value, 0);
    }

    /// Sends a record with a time of its own; 0 is now.
    pub(crate) fn send_at(
        &self,
        topic: &str,
        partition: i32,
        key: Bytes<'_>,
        value: Bytes<'_>,
        timestamp_ms: i64,
    ) {
        self.send_with(topic, partition, key, value, timestamp_ms, &[]);
    }

    /// Sends a record with headers.
    pub(crate) fn send_with(
        &self,
        topic: &str,
        partition: i32,
        key: Bytes<'_>,
        value: Bytes<'_>,
        timestamp_ms: i64,
        headers: &[(&str, Bytes<'_>)],
    ) {
        let list = headers.iter().fold(OwnedHeaders::new(), |list, (key, value)| {
            list.insert(Header { key, value: *value })
        });
        let mut record = BaseRecord {
            topic,
            partition: Some(partition),
            payload: value,
            key,
            timestamp: Some(timestamp_ms),
            headers: (!headers.is_empty()).then_some(list),
            delivery_opaque: (),
        };
        let started = Instant::now();
        while let Err((error, back)) = self.inner.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert!(error == full && started.elapsed() < PATIENCE, "{topic}: {error}");
            self.inner.poll(Duration::from_millis(10));
            record = back;
        }
        self.n_sent.fetch_add(1, Ordering::Relaxed);
        self.inner.poll(Duration::ZERO);
    }

    /// Waits for what was sent, and asserts that all of it has arrived.
    #[track_caller]
    pub(crate) fn flush(&self) {
        let started = Instant::now();
        while self.inner.in_flight_count() > 0 {
            assert!(started.elapsed() < PATIENCE, "{} under way", self.inner.in_flight_count());
            self.inner.poll(Duration::from_millis(2));
        }
        let reports = self.inner.context();
        let failed = std::mem::take(&mut *reports.failed.lock().unwrap());
        assert!(failed.is_empty(), "{} were not delivered: {}", failed.len(), failed[0]);
        let n_sent = self.n_sent.load(Ordering::Relaxed);
        assert_eq!(reports.n_delivered.load(Ordering::Relaxed), n_sent);
    }
}

/// Sends records in transactions.
///
/// Dropped with one open, it does what a producer does that was killed: the transaction stays
/// open until the broker ends it.
pub(crate) struct Transactional(Producer);

impl Transactional {
    /// Ends what an earlier one with the same `transactional.id` has left open.
    pub(crate) fn new(broker: &Broker, id: &str) -> Self {
        let producer = Producer::of(broker.client().set("transactional.id", id));
        producer.inner.init_transactions(PATIENCE).unwrap();
        Self(producer)
    }

    pub(crate) fn begin(&self) {
        self.0.inner.begin_transaction().unwrap();
    }

    pub(crate) fn send(&self, topic: &str, partition: i32, key: Bytes<'_>, value: Bytes<'_>) {
        self.0.send(topic, partition, key, value);
    }

    /// Waits until the records are in the topic, where `read_committed` does not see them yet.
    #[track_caller]
    pub(crate) fn flush(&self) {
        self.0.flush();
    }

    #[track_caller]
    pub(crate) fn commit(&self) {
        self.flush();
        self.0.inner.commit_transaction(PATIENCE).unwrap();
    }

    /// Takes back what was sent.
    #[track_caller]
    pub(crate) fn abort(&self) {
        // Else the client drops what it has not sent, and nothing aborted is in the topic.
        self.flush();
        self.0.inner.abort_transaction(PATIENCE).unwrap();
    }
}

/// Partition, offset and value of what is committed.
fn values(broker: &Broker, topic: &str) -> Vec<(i32, i64, String)> {
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).unwrap();
    let messages = read_topic(broker, topic).into_iter();
    messages.map(|message| (message.partition, message.offset, text(message.value))).collect()
}

#[test]
fn the_ledger_has_what_is_committed_and_not_deleted() {
    let Some(broker) = Broker::shared() else { return };
    let topic = topic("ledger");
    broker.create_topic_with(&topic, 2, &[("cleanup.policy", "delete")]);
    let producer = Producer::new(broker);
    producer.send_at(&topic, 0, Some(b"k"), None, 1);
    producer.send(&topic, 1, None, Some(b""));
    producer.flush();
    let messages = read_topic(broker, &topic);
    assert_eq!((messages[0].key.as_deref(), messages[0].timestamp_ms), (Some(&b"k"[..]), Some(1)));
    assert_eq!((&messages[0].value, &messages[1].value), (&None, &Some(Vec::new())));

    let transactional = Transactional::new(broker, &topic);
    for (value, commits) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        transactional.begin();
        transactional.send(&topic, 1, None, Some(value.as_bytes()));
        if commits { transactional.commit() } else { transactional.abort() }
    }
    // Each end of a transaction takes an offset, too.
    let expected: [(i32, i64, &str); 4] = [(0, 0, ""), (1, 0, ""), (1, 1, "a"), (1, 5, "c")];
    let expected = expected.map(|(partition, offset, value)| (partition, offset, value.to_owned()));
    assert_eq!(values(broker, &topic), expected);

    broker.delete_records(&topic, 1, 2);
    broker.add_partitions(&topic, 3);
    assert_eq!(values(broker, &topic), [expected[0].clone(), expected[3].clone()]);
    broker.delete_topic(&topic);
    assert_eq!(broker.n_partitions(&topic), 0);
}

#[test]
fn a_broker_that_was_killed_comes_back_with_what_it_had() {
    type Fault = fn(&Broker);
    let Some(broker) = Broker::start(&["--sasl", "num.partitions=3"]) else { return };
    assert_ne!(broker.listener("sasl"), broker.address());
    assert!(broker.folder().join("broker.log").is_file());
    let topic = topic("killed");
    broker.create_topic(&topic, 1);
    let producer = Producer::new(&broker);
    let faults: [(Fault, Fault); 3] = [
        (Broker::kill, Broker::restart),
        (Broker::stop, Broker::restart),
        (Broker::pause, Broker::resume),
    ];
    let mut expected: Vec<(i32, i64, String)> = Vec::new();
    for (offset, (begin, end)) in (0..).step_by(2).zip(faults) {
        producer.send(&topic, 0, None, Some(b"before"));
        producer.flush();
        begin(&broker);
        producer.send(&topic, 0, None, Some(b"during"));
        end(&broker);
        producer.flush();
        expected.push((0, offset, "before".to_owned()));
        expected.push((0, offset + 1, "during".to_owned()));
    }
    assert_eq!(values(&broker, &topic), expected);
}
