//! Writes records to topics: made-up ones, and those of tests. The engine itself never writes to
//! Kafka.
//!
//! Every record is accounted for. One that could not be delivered fails the next call, and `flush`
//! succeeds only if every record that was sent has arrived.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};

use super::client::{Context, config};
use super::failure::is_refusal;
use super::raw;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// A record that is on its way for so long is given up.
const DELIVERY: Duration = Duration::from_mins(1);
/// Longer than `DELIVERY`: overdue records are looked for about once a second.
const FLUSH: Duration = Duration::from_secs(70);
/// Between two attempts on a full queue; thousands of records leave it meanwhile.
const FULL: Duration = Duration::from_millis(5);
/// The replication factor that the broker is set up with.
const BROKER_DEFAULT: i32 = -1;

const START: &str = "start the broker, or correct `kafka.brokers` (LAKE_KAFKA_BROKERS)";
const LET_IN: &str = "check kafka.security_protocol, kafka.sasl_mechanism, user and password";

/// A connection that writes to topics, in order and each record once.
pub struct Producer {
    /// Has a thread that hears of deliveries and serves the connection, however rarely we send.
    inner: ThreadedProducer<Deliveries>,
    settings: Settings,
    timeout: Duration,
    sent: u64,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Producer({})", self.brokers())
    }
}

impl Producer {
    /// Connects to `kafka.brokers`.
    ///
    /// # Errors
    /// A setting is missing or wrong, no broker answers within `kafka.timeout`, or none lets us in.
    pub fn connect(settings: &Settings) -> Result<Self> {
        let mut config = config(settings)?;
        // The defaults suit: batches end at 1 MB or 10,000 records, the queue at 100,000.
        for (name, value) in [("compression.codec", "lz4"), ("linger.ms", "20")] {
            // People may know their network better.
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        let deliveries = Deliveries::new(Context::new(settings));
        let inner: ThreadedProducer<Deliveries> =
            config.create_with_context(deliveries).map_err(not_set_up)?;
        let timeout = Duration::from_millis(settings.duration_ms("kafka.timeout")?.unsigned_abs());
        let producer = Self { inner, settings: settings.clone(), timeout, sent: 0 };
        producer.topics()?;
        Ok(producer)
    }

    /// Makes a topic if there is none of that name; one that is there stays as it is.
    ///
    /// # Errors
    /// No broker answers, or it refuses.
    pub fn ensure_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        if self.topics()?.topics().iter().any(|known| known.name() == topic) {
            return Ok(());
        }
        let what = format!("cannot make topic `{topic}`");
        let admin = self.admin()?;
        let new = [NewTopic::new(topic, partitions, TopicReplication::Fixed(BROKER_DEFAULT))];
        let options = AdminOptions::new()
            .request_timeout(Some(self.timeout))
            .operation_timeout(Some(self.timeout));
        let refused = match block_on(admin.create_topics(&new, &options)) {
            Ok(made) => made.into_iter().find_map(|made| made.err().map(|(_, code)| code)),
            Err(KafkaError::AdminOp(code)) => Some(code),
            Err(cause) => return Err(Error::usage(what).caused_by(cause)),
        };
        match refused {
            // Somebody else was faster.
            None | Some(RDKafkaErrorCode::TopicAlreadyExists) => Ok(()),
            Some(code) => Err(self.failed(what, code)),
        }
    }

    /// Sends a record. Without a time it has that of its sending.
    ///
    /// It waits while the queue is full. That it returns means that the record is on its way;
    /// `flush` says whether it arrived.
    ///
    /// # Errors
    /// The record cannot be sent, or an earlier one was not delivered.
    pub fn send(
        &mut self,
        topic: &str,
        key: &[u8],
        value: &[u8],
        timestamp_ms: Option<i64>,
    ) -> Result<()> {
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        record.timestamp = timestamp_ms;
        loop {
            self.check()?;
            match self.inner.send(record) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same)) => {
                    self.inner.poll(FULL);
                    record = same;
                }
                Err((cause, _)) => {
                    let what = format!("cannot write to topic `{topic}`");
                    return Err(match cause.rdkafka_error_code() {
                        Some(code) => self.failed(what, code),
                        None => Error::usage(what).caused_by(cause),
                    });
                }
            }
        }
    }

    /// Waits until every record has arrived.
    ///
    /// # Errors
    /// Records were not delivered in time, or were refused.
    pub fn flush(&mut self) -> Result<()> {
        let flushed = self.inner.flush(FLUSH);
        self.check()?;
        flushed.map_err(|cause| {
            Error::retry(format!("{} did not take all records in time", self.brokers()))
                .hint(START)
                .caused_by(cause)
        })?;
        let delivered = self.inner.context().delivered.load(Ordering::Relaxed);
        if delivered == self.sent {
            return Ok(());
        }
        Err(Error::internal(format!(
            "{} records were sent to Kafka, and the delivery of {delivered} was reported",
            self.sent
        )))
    }

    /// The topics there are.
    ///
    /// All of them: on a broker that is set up so, asking for one by its name makes it.
    fn topics(&self) -> Result<Metadata> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let slice = self.timeout.min(Duration::from_secs(1));
            let cause = match self.inner.client().fetch_metadata(None, slice) {
                Ok(metadata) => return Ok(metadata),
                Err(cause) => cause,
            };
            let brokers = self.brokers();
            match self.last_error() {
                // It knows us and says no: waiting does not help.
                Some((code, reason)) if is_refusal(code) => {
                    return Err(Error::usage(format!("{brokers} did not let us in"))
                        .hint(LET_IN)
                        .caused_by(reason));
                }
                _ if Instant::now() < deadline => {}
                last => {
                    let reason = last.map_or_else(|| cause.to_string(), |(_, reason)| reason);
                    return Err(Error::retry(format!("no broker answers at {brokers}"))
                        .hint(START)
                        .caused_by(reason));
                }
            }
        }
    }

    /// A client for making topics.
    fn admin(&self) -> Result<AdminClient<Context>> {
        let context = Context::new(&self.settings);
        let admin: AdminClient<Context> =
            config(&self.settings)?.create_with_context(context).map_err(not_set_up)?;
        let mechanism = self.settings.get("kafka.sasl_mechanism").unwrap_or_default();
        if mechanism.eq_ignore_ascii_case("OAUTHBEARER") {
            // Nobody serves the events of this client: it would wait for its token for ever.
            let client = admin.inner();
            let token = client.context().generate_oauth_token(None).map_err(|cause| {
                Error::retry("no OAuth token for the brokers")
                    .hint("check the AWS credentials and `kafka.aws_region`")
                    .caused_by(cause.to_string())
            })?;
            raw::set_token(client.native_ptr(), &token)
                .map_err(|code| Error::retry("the OAuth token was not taken").caused_by(code))?;
        }
        Ok(admin)
    }

    /// An error if any record so far was not delivered.
    fn check(&self) -> Result<()> {
        let deliveries = self.inner.context();
        let Some((topic, code)) = deliveries.first_failure.get() else { return Ok(()) };
        let failed = deliveries.failed.load(Ordering::Relaxed);
        let what =
            format!("topic `{topic}`: {failed} of {} records could not be delivered", self.sent);
        Err(self.failed(what, *code))
    }

    /// The error that `code` is, sorted by what the person can do about it.
    fn failed(&self, what: String, code: RDKafkaErrorCode) -> Error {
        let error = match code {
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed => Error::usage(what)
                .hint("allow this user to make, describe and write the topic, or name another"),
            RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::UnsupportedFeature => Error::usage(what),
            RDKafkaErrorCode::MessageSizeTooLarge => Error::data(what),
            _ => Error::retry(what).hint(START),
        };
        // A fatal error does not say itself what it is, and one of time not what took it.
        if let Some((_, reason)) = self.inner.client().fatal_error() {
            return error.caused_by(reason);
        }
        match self.last_error() {
            Some((_, reason)) if code == RDKafkaErrorCode::MessageTimedOut => {
                error.caused_by(format!("{code}; before that: {reason}"))
            }
            _ => error.caused_by(code),
        }
    }

    /// What the connection complained of last.
    fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.inner.context().context.last_error()
    }

    fn brokers(&self) -> &str {
        self.settings.get("kafka.brokers").unwrap_or_default()
    }
}

fn not_set_up(cause: KafkaError) -> Error {
    Error::usage("the settings of Kafka do not fit together").caused_by(cause)
}

/// Counts what arrives, and remembers what went wrong first.
struct Deliveries {
    context: Context,
    delivered: AtomicU64,
    failed: AtomicU64,
    /// The topic of the first record that was not delivered, and why.
    first_failure: OnceLock<(String, RDKafkaErrorCode)>,
}

impl Deliveries {
    fn new(context: Context) -> Self {
        Self {
            context,
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_failure: OnceLock::new(),
        }
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.context.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(config)
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((cause, record)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let code = cause.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                self.first_failure.get_or_init(|| (record.topic().to_owned(), code));
            }
        }
    }
}
