//! What librdkafka can do and its Rust wrapper cannot: many messages at once, a topic's id, and a
//! token from outside.
//!
//! Messages are taken from the consumer's one queue, so they stay in order. Taking them so serves
//! no events: those of a connection are served before anything is assigned, and OAuth tokens are
//! set from outside.
#![allow(unsafe_code, reason = "the wrapper has no safe form of these calls")]
#![allow(clippy::cast_sign_loss, reason = "librdkafka counts in signed numbers")]

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::client::OAuthToken;
use rdkafka::error::RDKafkaErrorCode;

/// A pointer to librdkafka's client; valid as long as the client that it was taken from.
pub(super) type Native = *mut rd::rd_kafka_t;

/// What comes out of a consumer's queue.
#[derive(Debug)]
pub(super) enum Arrived<'a> {
    /// A record.
    Record(Message<'a>),
    /// Everything before `offset` was delivered, and there is no more for now.
    End { partition: i32, offset: i64 },
    /// The client says that something is wrong.
    Failed(Failure),
}

/// A record as it came; nothing of it is copied yet.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Milliseconds since 1970.
    pub(super) time_ms: Option<i64>,
    /// An empty key is not a missing one.
    pub(super) key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
}

/// The headers of a record: librdkafka looks for them when they are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers<'a> {
    /// The list, or null if there is none.
    list: *const rd::rd_kafka_headers_t,
    message: PhantomData<&'a [u8]>,
}

impl Headers<'_> {
    /// SAFETY: `message` must be a live message of librdkafka, and outlive what is returned.
    unsafe fn of(message: *const rd::rd_kafka_message_t) -> Self {
        let mut list = ptr::null_mut();
        // SAFETY: as the caller promises; the list belongs to the message.
        let code = unsafe { rd::rd_kafka_message_headers(message, &raw mut list) };
        let is_there = RDKafkaErrorCode::from(code) == RDKafkaErrorCode::NoError;
        let list = if is_there { list.cast_const() } else { ptr::null() };
        Self { list, message: PhantomData }
    }

    /// Those of a record that has none.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { list: ptr::null(), message: PhantomData }
    }
}

/// Each header in its order: its key, and its value if it has one.
impl<'a> Iterator for HeadersIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.headers.list.is_null() {
            return None;
        }
        let (mut key, mut value, mut len) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list lives as long as its message, which `'a` stands for, and so do the key,
        // which ends with a zero, and the value, which has `len` bytes.
        unsafe {
            let code = rd::rd_kafka_header_get_all(
                self.headers.list,
                self.at,
                &raw mut key,
                &raw mut value,
                &raw mut len,
            );
            if RDKafkaErrorCode::from(code) != RDKafkaErrorCode::NoError {
                return None;
            }
            self.at += 1;
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), len));
            Some((CStr::from_ptr(key).to_bytes(), value))
        }
    }
}

/// A walk through the headers of a record.
pub(super) struct HeadersIter<'a> {
    headers: Headers<'a>,
    at: usize,
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        HeadersIter { headers: self, at: 0 }
    }
}

/// Something that is wrong with a partition, or with the client.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The partition; `None` if it is none of them.
    pub(super) partition: Option<i32>,
    /// Where it is wrong; below 0 if that has no place.
    pub(super) offset: i64,
    /// What is wrong.
    pub(super) code: RDKafkaErrorCode,
    /// The same in words.
    pub(super) reason: String,
}

/// The queue of a consumer, drained many messages at a time.
pub(super) struct Queue {
    queue: *mut rd::rd_kafka_queue_t,
    messages: Vec<*mut rd::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues may be used from any thread; `&mut self` keeps it to one at a time.
unsafe impl Send for Queue {}

impl Queue {
    /// The queue of a consumer that has a group. It must be dropped before the consumer.
    pub(super) fn of_consumer(native: Native, n_messages: usize) -> Self {
        // SAFETY: the caller's consumer is alive; the queue is counted and destroyed in `drop`.
        let queue = unsafe { rd::rd_kafka_queue_get_consumer(native) };
        Self { queue, messages: vec![ptr::null_mut(); n_messages] }
    }

    /// Hands on what arrives within `wait`, or until a batch is full; how many that were.
    pub(super) fn drain(&mut self, wait: Duration, mut each: impl FnMut(Arrived<'_>)) -> usize {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the buffer has room for as many pointers as it says.
        let n = unsafe {
            rd::rd_kafka_consume_batch_queue(
                self.queue,
                wait_ms,
                self.messages.as_mut_ptr(),
                self.messages.len(),
            )
        };
        let n = usize::try_from(n).unwrap_or(0);
        for message in &self.messages[..n] {
            // SAFETY: librdkafka filled the first `n` with messages that are ours until destroyed.
            unsafe {
                each(arrived(*message));
                rd::rd_kafka_message_destroy(*message);
            }
        }
        n
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: it was made in `of_consumer` and is destroyed once.
        unsafe { rd::rd_kafka_queue_destroy(self.queue) }
    }
}

/// SAFETY: `message` must be a live message of librdkafka; what is returned borrows from it.
unsafe fn arrived<'a>(message: *mut rd::rd_kafka_message_t) -> Arrived<'a> {
    // SAFETY: as the caller promises.
    let found = unsafe { &*message };
    let partition = found.partition;
    match RDKafkaErrorCode::from(found.err) {
        RDKafkaErrorCode::NoError => {
            let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            // SAFETY: as above; an empty key or value is not null.
            let (time_ms, key, value, headers) = unsafe {
                let time_ms = rd::rd_kafka_message_timestamp(message, &raw mut kind);
                let bytes = |start: *mut c_void, len| {
                    (!start.is_null()).then(|| slice::from_raw_parts(start.cast::<u8>(), len))
                };
                let key = bytes(found.key, found.key_len);
                (time_ms, key, bytes(found.payload, found.len), Headers::of(message))
            };
            let time_ms = Some(time_ms).filter(|ms| *ms >= 0);
            let offset = found.offset;
            Arrived::Record(Message { partition, offset, time_ms, key, value, headers })
        }
        RDKafkaErrorCode::PartitionEOF => Arrived::End { partition, offset: found.offset },
        code => {
            // SAFETY: as above; of an error the value is a text.
            let reason = (!found.payload.is_null())
                .then(|| unsafe { slice::from_raw_parts(found.payload.cast::<u8>(), found.len) });
            let reason = String::from_utf8_lossy(reason.unwrap_or_default()).into_owned();
            let partition = (!found.rkt.is_null()).then_some(partition);
            Arrived::Failed(Failure { partition, offset: found.offset, code, reason })
        }
    }
}

/// A topic as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The cluster's id of the topic: one that was made anew has another. Empty if the cluster does
    /// not tell: it is too old, or has no controller now.
    pub id: String,
    /// How many partitions it has.
    pub n_partitions: i32,
}

/// Asks the cluster for a topic; `None` if there is none.
///
/// # Errors
/// The cluster did not answer in time, or refused.
pub(super) fn describe(
    native: Native,
    name: &str,
    timeout: Duration,
) -> Result<Option<Topic>, RDKafkaErrorCode> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut names = [name.as_ptr()];
    // SAFETY: everything made here is destroyed here, and what is read from the event is copied
    // before the event is destroyed.
    unsafe {
        let queue = rd::rd_kafka_queue_new(native);
        let op = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = rd::rd_kafka_AdminOptions_new(native, op);
        rd::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        rd::rd_kafka_DescribeTopics(native, topics, options, queue);
        let event = rd::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1000));
        let described = if event.is_null() {
            Err(RDKafkaErrorCode::OperationTimedOut)
        } else {
            let described = described(event);
            rd::rd_kafka_event_destroy(event);
            described
        };
        rd::rd_kafka_TopicCollection_destroy(topics);
        rd::rd_kafka_AdminOptions_destroy(options);
        rd::rd_kafka_queue_destroy(queue);
        described
    }
}

/// SAFETY: `event` must be the live answer to a question for one topic.
unsafe fn described(event: *mut rd::rd_kafka_event_t) -> Result<Option<Topic>, RDKafkaErrorCode> {
    // SAFETY: as the caller promises; pointers are looked at before they are followed.
    unsafe {
        match RDKafkaErrorCode::from(rd::rd_kafka_event_error(event)) {
            RDKafkaErrorCode::NoError => {}
            code => return Err(code),
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut n = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut n);
        if n != 1 || topics.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let topic = *topics;
        let error = rd::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            match RDKafkaErrorCode::from(rd::rd_kafka_error_code(error)) {
                RDKafkaErrorCode::NoError => {}
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                    return Ok(None);
                }
                code => return Err(code),
            }
        }
        let mut n_partitions = 0;
        rd::rd_kafka_TopicDescription_partitions(topic, &raw mut n_partitions);
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        let no_id = id.is_null()
            || (rd::rd_kafka_Uuid_most_significant_bits(id) == 0
                && rd::rd_kafka_Uuid_least_significant_bits(id) == 0);
        let id = if no_id {
            String::new()
        } else {
            CStr::from_ptr(rd::rd_kafka_Uuid_base64str(id)).to_string_lossy().into_owned()
        };
        Ok(Some(Topic { id, n_partitions: i32::try_from(n_partitions).unwrap_or(i32::MAX) }))
    }
}

/// Gives a client its OAuth token.
///
/// # Errors
/// Why librdkafka does not take it.
pub(super) fn set_token(native: Native, token: &OAuthToken) -> Result<(), RDKafkaErrorCode> {
    let (Ok(value), Ok(principal)) =
        (CString::new(token.token.as_str()), CString::new(token.principal_name.as_str()))
    else {
        return Err(RDKafkaErrorCode::InvalidArgument);
    };
    // SAFETY: the strings live until the call returns; librdkafka copies them.
    let code = unsafe {
        rd::rd_kafka_oauthbearer_set_token(
            native,
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            0,
        )
    };
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(code),
    }
}
