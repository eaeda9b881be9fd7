//! Reads partitions from given offsets to given ends, and says how far it came.

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, Context};
use super::failure::{
    Severity, is_limit, is_passing, is_refusal, is_truncation, severity, start_hint,
};
use super::progress::{Batch, Outcome, Progress, Reached};
use super::raw::{self, Arrived, Failure, Queue, Topic};
use crate::chunk::{Chunk, Origin};
use crate::error::{Error, Result};
use crate::offsets::Bounds;
use crate::settings::Settings;

/// What a batch of records may unpack to, in bytes. Brokers limit what it is packed; librdkafka
/// limits zstd alone, by the property that limits an answer, and the other codecs not at all.
const UNPACKED_MAX: &str = "1000000000";
/// The property of that limit.
const UNPACKED_PROPERTY: &str = "receive.message.max.bytes";
/// The greatest value that it takes.
const UNPACKED_MAX_MAX: u32 = 2_147_483_647;
/// The shortest time in which an answer is possible at all.
const SLICE_MIN: Duration = Duration::from_millis(100);
/// How long anybody waits for a connection to close.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// Messages taken from the client at once.
const DRAIN_MESSAGES: usize = 10_000;
/// How long to wait for a drain to be full: what there is is worked on meanwhile.
const DRAIN_WAIT: Duration = Duration::from_millis(10);

/// A client that reads one topic.
pub struct Consumer {
    // Before the client, so that it is dropped first.
    queue: Queue,
    base: BaseConsumer<Context>,
    brokers: String,
    group: String,
    /// What a batch of records may unpack to.
    unpacked_max: String,
    timeout: Duration,
    /// Whether this user may not use the group: then nobody is told.
    no_group: bool,
    /// When the OAuth token must be replaced, if there is one.
    token_due: Option<Instant>,
    /// Where the partitions stand that are assigned: what comes next has this offset or a later one.
    next: Vec<i64>,
    /// Partitions that this client cannot read on, and why.
    broken: Vec<Failure>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({} at {:?})", self.brokers, self.next)
    }
}

impl Consumer {
    /// A client for one table's topic. Nothing is sent yet.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn new(settings: &Settings, table: &str) -> Result<Self> {
        let group = format!("{}.{table}", settings.get("kafka.group").unwrap_or("lake"));
        let mut config = client::config(settings)?;
        let memory_kib = (settings.bytes("kafka.memory")? >> 10).clamp(1, 2_097_151);
        for (name, value) in [
            ("group.id", group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // Never a silent reset: an offset that is gone is an error.
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("check.crcs", "true"),
            ("queued.max.messages.kbytes", &memory_kib.to_string()),
            ("queued.min.messages", "1000000"),
            // Bytes on the wire: compressed, so several times as many in memory.
            ("fetch.message.max.bytes", "1048576"),
            ("fetch.max.bytes", "8388608"),
            (UNPACKED_PROPERTY, UNPACKED_MAX),
            ("fetch.wait.max.ms", "100"),
            // Its default of 1 s leaves the client idle whenever its queue was full.
            ("fetch.queue.backoff.ms", "10"),
        ] {
            // People may know their network better.
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        let mechanism = settings.get("kafka.sasl_mechanism").unwrap_or_default();
        let has_token = mechanism.eq_ignore_ascii_case("OAUTHBEARER");
        let base: BaseConsumer<Context> =
            config.create_with_context(Context::new(settings)).map_err(|cause| {
                Error::usage("the settings of Kafka do not fit together").caused_by(cause)
            })?;
        let queue = Queue::of_consumer(base.client().native_ptr(), DRAIN_MESSAGES);
        Ok(Self {
            queue,
            base,
            brokers: settings.get("kafka.brokers").unwrap_or_default().to_owned(),
            group,
            unpacked_max: config.get(UNPACKED_PROPERTY).unwrap_or(UNPACKED_MAX).to_owned(),
            timeout: Duration::from_millis(settings.duration_ms("kafka.timeout")?.unsigned_abs()),
            no_group: false,
            token_due: has_token.then(Instant::now),
            next: Vec::new(),
            broken: Vec::new(),
        })
    }

    /// The topic as the cluster knows it; `None` if there is none. Where nobody tells the id, it does
    /// without after `without_id`, at the time-out at the latest; or never, if that is `None`. Waits
    /// until `stop` says not to; all methods here wait.
    ///
    /// # Errors
    /// No broker answers, or none lets us in.
    pub fn topic(
        &mut self,
        name: &str,
        without_id: Option<Duration>,
        stop: impl Fn() -> bool,
    ) -> Result<Option<Topic>> {
        self.refresh_token()?;
        // Short at first, as a refusal is heard between two questions; longer for a slow network.
        let mut slice = self.timeout.min(Duration::from_secs(1));
        let deadline = Instant::now() + self.timeout;
        let without_id = without_id.map(|wait| Instant::now() + wait.min(self.timeout));
        let mut is_there = false;
        loop {
            let code = match raw::describe(self.base.client().native_ptr(), name, slice) {
                Ok(topic) => return Ok(topic),
                Err(code) => code,
            };
            // Ids are asked of the controller; while there is none, every broker still knows the
            // partitions, and nobody can make a topic anew.
            if let Ok(found) = self.base.fetch_metadata(Some(name), slice) {
                let found = found.topics().iter().find(|topic| topic.name() == name);
                match found.map(|topic| topic.error().map(RDKafkaErrorCode::from)) {
                    None | Some(Some(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                        return Ok(None);
                    }
                    Some(None) if without_id.is_some_and(|at| at <= Instant::now()) => {
                        let n = found.map_or(0, |topic| topic.partitions().len());
                        let n_partitions = i32::try_from(n).unwrap_or(i32::MAX);
                        return Ok(Some(Topic { id: String::new(), n_partitions }));
                    }
                    Some(error) => is_there = error.is_none(),
                }
            }
            if self.next.is_empty() {
                // Nothing is assigned, so nothing comes but what the client has to say.
                while self.base.poll(Duration::ZERO).is_some() {}
            }
            if stop() {
                return Err(Error::interrupted());
            }
            let refused = self.base.context().last_error().filter(|(code, _)| is_refusal(*code));
            if is_refusal(code) || refused.is_some() || Instant::now() >= deadline {
                let place = format!("kafka:{name}");
                return Err(if is_there && refused.is_none() {
                    Error::retry(format!("{place}: no controller at {} tells the topic's id", self.brokers))
                        .hint("it tells a topic that was made anew; on a slow network, set a longer `kafka.timeout`")
                } else {
                    self.no_answer(&place, code)
                });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            slice = (slice * 2).min(left).max(SLICE_MIN);
        }
    }

    /// What each of the first `n` partitions of a topic holds.
    ///
    /// # Errors
    /// A broker does not answer.
    pub fn bounds(&self, topic: &str, n_partitions: i32) -> Result<Vec<Bounds>> {
        let lows = self.offsets(topic, n_partitions, Offset::Beginning)?;
        let ends = self.offsets(topic, n_partitions, Offset::End)?;
        Ok(lows.into_iter().zip(ends).map(|(low, end)| Bounds { low, end }).collect())
    }

    /// By partition, the offset of the first record written at or after a time (milliseconds since
    /// 1970); `None` if there is none.
    ///
    /// # Errors
    /// A broker does not answer.
    pub fn offsets_at(
        &self,
        topic: &str,
        n_partitions: i32,
        time_ms: i64,
    ) -> Result<Vec<Option<i64>>> {
        let found = self.offsets(topic, n_partitions, Offset::Offset(time_ms))?;
        Ok(found.into_iter().map(|offset| Some(offset).filter(|offset| *offset >= 0)).collect())
    }

    fn offsets(&self, topic: &str, n_partitions: i32, asked: Offset) -> Result<Vec<i64>> {
        let place = format!("kafka:{topic}");
        let mut list = TopicPartitionList::new();
        for partition in 0..n_partitions {
            list.add_partition_offset(topic, partition, asked)
                .map_err(|cause| Error::internal(format!("{place}: offsets")).caused_by(cause))?;
        }
        let found = self.found(&list).map_err(|cause| self.failed(&place, &cause))?;
        let mut offsets = vec![-1; usize::try_from(n_partitions).unwrap_or_default()];
        for element in found.elements() {
            let slot = usize::try_from(element.partition()).ok();
            if let Some(slot) = slot.and_then(|at| offsets.get_mut(at)) {
                *slot = element.offset().to_raw().unwrap_or(-1);
            }
        }
        Ok(offsets)
    }

    /// Answers to a question for offsets. A broker that has just come back may not know some yet.
    fn found(&self, list: &TopicPartitionList) -> Result<TopicPartitionList, KafkaError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let found = self.base.offsets_for_times(list.clone(), self.timeout).and_then(|found| {
                let wrong = found.elements().into_iter().find_map(|element| element.error().err());
                wrong.map_or(Ok(found), Err)
            });
            match found {
                Err(cause)
                    if cause.rdkafka_error_code().is_some_and(is_passing)
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(200));
                }
                found => return found,
            }
        }
    }

    /// Where the partitions stand, if any are assigned.
    pub fn next(&self) -> &[i64] {
        &self.next
    }

    /// Partitions that this client cannot read on from where they stand, and why: what comes behind
    /// it is not taken from them. Another client may, under other settings.
    pub fn broken(&self, topic: &str) -> Vec<(usize, Error)> {
        let place = format!("kafka:{topic}");
        let broken = self.broken.iter().filter_map(|failure| {
            let partition = usize::try_from(failure.partition?).ok()?;
            Some((partition, self.unreadable(&place, failure)))
        });
        broken.collect()
    }

    /// The limit of an answer, if it is below ours: one that is larger breaks the connection, which
    /// looks as if nobody answered.
    pub fn small_limit(&self) -> Option<String> {
        let limit: u64 = self.unpacked_max.parse().ok()?;
        let is_small = UNPACKED_MAX.parse().is_ok_and(|ours: u64| limit < ours);
        is_small.then(|| format!("{UNPACKED_PROPERTY}={limit}"))
    }

    /// Begins to fetch a topic's partitions, each at its offset. Once for a client: what it fetched
    /// before could come after, so another place is another client's.
    ///
    /// # Errors
    /// The client refuses, which it does not.
    pub fn assign(&mut self, topic: &str, starts: &[i64]) -> Result<()> {
        let failed = |cause| Error::internal(format!("kafka:{topic}: assign")).caused_by(cause);
        let list = list(topic, starts).map_err(failed)?;
        self.base.assign(&list).map_err(failed)?;
        self.next = starts.to_vec();
        Ok(())
    }

    /// Reads a batch of the assigned partitions and hands its records on in chunks, as those of
    /// `origin`. Ends early if nobody takes them, or `stop` says so.
    ///
    /// # Errors
    /// Brokers lost what was read, or do not let us in any more. What one partition alone cannot be
    /// read for is in [`Consumer::broken`].
    pub fn read(
        &mut self,
        origin: Origin,
        batch: &Batch,
        stop: impl Fn() -> bool,
        mut send: impl FnMut(Chunk) -> bool,
    ) -> Result<Reached> {
        self.refresh_token()?;
        let place = origin.source.to_string();
        let topic = origin.topic.clone().unwrap_or_default();
        let broken = std::mem::take(&mut self.broken);
        let mut progress = Progress::new(batch, &self.next, broken, origin);
        let (mut heard, mut passed, mut is_asked) = (Instant::now(), None, false);
        let outcome = loop {
            if progress.n_open == 0 {
                break Outcome::Ended;
            }
            if progress.bytes >= batch.bytes || stop() {
                break Outcome::Cut;
            }
            let (mut is_taken, mut is_heard) = (true, false);
            self.queue.drain(DRAIN_WAIT, |arrived| {
                // A client that complains again and again has nothing to say of the topic.
                is_heard |= !matches!(arrived, Arrived::Failed(_));
                progress.take(arrived);
                is_taken = is_taken && (!progress.is_full() || progress.send(&mut send));
            });
            if let Some(failure) = progress.failure.take() {
                match severity(&failure) {
                    Severity::Passing => self.heed(&failure),
                    Severity::Gone => break Outcome::Gone,
                    Severity::Broken | Severity::Fatal => {
                        return Err(self.unreadable(&place, &failure));
                    }
                }
            }
            if is_heard {
                (heard, passed, is_asked) = (Instant::now(), None, false);
            } else if passed.is_none() {
                passed = Some(self.base.position().ok());
            } else if heard.elapsed() > self.timeout {
                // The client passes over aborted records without a word.
                let at = Some(self.base.position().ok());
                // While it unpacks a large batch the client says nothing, and neither does it hear
                // an answer: one that comes now is worth another wait.
                let stands = at == passed;
                if stands && (is_asked || !self.answers(&topic, progress.open(), &stop)) {
                    break Outcome::Stalled;
                }
                (heard, passed, is_asked) = (Instant::now(), at, stands);
            }
            if !is_taken {
                break Outcome::Cut;
            }
        };
        progress.send(&mut send);
        self.next.clone_from(&progress.next);
        let Progress { next, bytes, n_odd_times, broken, .. } = progress;
        self.broken = broken;
        Ok(Reached { next, bytes, n_odd_times, outcome })
    }

    /// Whether the broker of a partition answers in time.
    fn answers(&self, topic: &str, partition: i32, stop: &impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + self.timeout;
        while Instant::now() < deadline && !stop() {
            let slice = self.timeout.min(Duration::from_secs(1));
            if self.base.fetch_watermarks(topic, partition, slice).is_ok() {
                return true;
            }
            std::thread::sleep(SLICE_MIN);
        }
        false
    }

    /// Closes the connection. That may wait for brokers which do not answer: not on a thread of the
    /// runtime, and nobody waits for it long.
    pub async fn close(self) {
        let closed = tokio::task::spawn_blocking(move || drop(self));
        let _ = tokio::time::timeout(CLOSE_MAX, closed).await;
    }

    /// Tells the group how far the table is. For lag tools: nobody here reads it, and a failure
    /// costs them a moment.
    pub fn tell_group(&self, topic: &str, next: &[i64]) {
        if self.no_group {
            return;
        }
        let told = list(topic, next).and_then(|list| self.base.commit(&list, CommitMode::Async));
        if let Err(error) = told {
            tracing::debug!(topic, group = self.group, %error, "the group was not told");
        }
    }

    /// A failure that ends nothing; where the group is refused, nobody tells it any more.
    fn heed(&mut self, failure: &Failure) {
        tracing::debug!(code = %failure.code, reason = failure.reason, "kafka");
        if failure.code == RDKafkaErrorCode::GroupAuthorizationFailed && !self.no_group {
            self.no_group = true;
            let (group, reason) = (&self.group, &failure.reason);
            tracing::warn!(group, reason, "lag tools are not told how far lake is");
        }
    }

    fn unreadable(&self, place: &str, failure: &Failure) -> Error {
        let Failure { partition, offset, code, reason } = failure;
        if is_refusal(*code) {
            return self.no_answer(place, *code);
        }
        let partition = partition.unwrap_or(-1);
        if is_truncation(failure) {
            return Error::data(format!(
                "{place}: partition {partition} was cut off, below what is read: brokers lost records"
            ))
            .caused_by(reason.clone())
            .hint("other records may stand at the lost offsets now: compare the topic with the table before you run again, which goes on at the table's offset");
        }
        let at = if *offset < 0 { String::new() } else { format!(" at offset {offset}") };
        if is_limit(failure) {
            let max = &self.unpacked_max;
            let error = Error::data(format!(
                "{place}: partition {partition} cannot be read{at}: a batch of records is larger than {UNPACKED_PROPERTY}={max} lets in"
            ));
            return error.caused_by(reason.clone()).hint(format!(
                "raise it, at most to {UNPACKED_MAX_MAX}: LAKE_KAFKA_OPTIONS={UNPACKED_PROPERTY}=…, or kafka.options in lake.toml, and run again"
            ));
        }
        Error::data(format!("{place}: partition {partition} cannot be read{at}"))
            .caused_by(if reason.is_empty() { code.to_string() } else { reason.clone() })
            .hint("mend the broker's log, for example from a replica; else delete the records up to the damage (kafka-delete-records), and go on with --accept-loss")
    }

    /// Messages are taken in a way that serves no events, so nobody would ask for a new token.
    fn refresh_token(&mut self) -> Result<()> {
        if self.token_due.is_none_or(|due| due > Instant::now()) {
            return Ok(());
        }
        let token = self.base.context().generate_oauth_token(None).map_err(|cause| {
            Error::retry("no OAuth token for the brokers")
                .caused_by(cause.to_string())
                .hint("check the AWS credentials and `kafka.aws_region`")
        })?;
        raw::set_token(self.base.client().native_ptr(), &token)
            .map_err(|cause| Error::retry("the OAuth token was not taken").caused_by(cause))?;
        // Tokens of MSK live for 15 minutes.
        self.token_due = Some(Instant::now() + Duration::from_mins(10));
        Ok(())
    }

    fn failed(&self, place: &str, cause: &KafkaError) -> Error {
        self.no_answer(place, cause.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))
    }

    fn no_answer(&self, place: &str, code: RDKafkaErrorCode) -> Error {
        let last = self.base.context().last_error();
        let reason = last.as_ref().map_or_else(|| code.to_string(), |(_, reason)| reason.clone());
        let refused =
            Some(code).into_iter().chain(last.map(|(code, _)| code)).find(|code| is_refusal(*code));
        match refused {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Error::usage(format!("{place}: this user may not read the topic"))
                    .hint("allow it to describe and read the topic")
            }
            Some(_) => Error::usage(format!("{place}: {} did not let us in", self.brokers))
                .caused_by(reason)
                .hint("check kafka.security_protocol, kafka.sasl_mechanism, user and password"),
            None => {
                let hint = start_hint(&reason);
                Error::retry(format!("{place}: no broker answers at {}", self.brokers))
                    .caused_by(reason)
                    .hint(hint)
            }
        }
    }
}

/// Partitions of a topic, each with its offset.
fn list(topic: &str, offsets: &[i64]) -> std::result::Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        list.add_partition_offset(topic, partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}
