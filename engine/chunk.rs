//! What every source hands on: some records, and where they come from.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::decode::Reject;
use crate::offsets::Lineage;
use crate::years::micros_of_ms;

/// Where a run of records comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `folder:events/a.ndjson`, `kafka:events`, or `kafka:events#1` for a topic whose offsets began
    /// anew once, as quarantine has it.
    pub source: Arc<str>,
    /// The topic, for Kafka.
    pub topic: Option<Arc<str>>,
    /// The file below the landing place, for folders.
    pub file: Option<Arc<str>>,
    /// When its file changed last, for folders: microseconds since 1970; `None` outside of the
    /// years 0001 to 9999, too.
    pub file_ts_us: Option<i64>,
}

/// One record: where it stands in its source, and its bytes in the chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Kafka partition.
    pub partition: Option<i32>,
    /// Number of the record in its file, or Kafka offset.
    pub position: i64,
    /// When it was written, or its file changed last: microseconds since 1970.
    pub record_ts_us: Option<i64>,
    /// Its bytes; `None` for a record without a value, which Kafka calls a tombstone, and for one
    /// that is too large to be taken along.
    pub span: Option<Range<usize>>,
    /// The bytes of its key in Kafka; `None` if it has no key.
    pub key: Option<Range<usize>>,
    /// Its headers in Kafka as JSON, a list of `{"key": …, "value": …}`; `None` if it has none.
    pub headers: Option<Range<usize>>,
    /// How many bytes it has, if that is more than a record may have: its value was left behind.
    pub too_large: Option<u64>,
}

/// What a chunk holds.
#[derive(Debug)]
pub enum Body {
    /// One record a line; every line counts in positions, also a blank one, which is no record.
    Lines {
        /// The position of the first.
        first: i64,
        /// The lines.
        bytes: Vec<u8>,
    },
    /// Records of any bytes, in any partitions and with gaps between their positions.
    Records {
        /// The bytes of all.
        bytes: Vec<u8>,
        /// Each of them.
        records: Vec<Record>,
    },
    /// Records that their reader could not take, each with the reason; their bytes as far as they
    /// are kept.
    Refused {
        /// The bytes of all.
        bytes: Vec<u8>,
        /// Each of them.
        records: Vec<(Record, Reject)>,
    },
    /// From here on nothing can be read: that is decided, too, or it would stop the table for ever.
    Fault {
        /// The position of the first that cannot be read.
        position: i64,
        /// Why.
        message: String,
    },
}

/// Some records of one origin.
#[derive(Debug)]
pub struct Chunk {
    /// Where they come from.
    pub origin: Origin,
    /// The records.
    pub body: Body,
}

impl Origin {
    /// A file below the landing place, changed last at `modified_ms` (milliseconds since 1970).
    pub fn file(place: &str, modified_ms: i64) -> Self {
        Self {
            source: format!("folder:{place}").into(),
            topic: None,
            file: Some(place.into()),
            file_ts_us: micros_of_ms(modified_ms),
        }
    }

    /// A topic of Kafka whose offsets began anew `generation` times.
    pub fn topic(name: &str, generation: u32) -> Self {
        let lineage = Lineage { id: String::new(), generation };
        Self {
            source: lineage.source(&format!("kafka:{name}")).into(),
            topic: Some(name.into()),
            file: None,
            file_ts_us: None,
        }
    }
}

impl Chunk {
    /// One record a line.
    pub fn lines(origin: Origin, first: i64, bytes: Vec<u8>) -> Self {
        Self { origin, body: Body::Lines { first, bytes } }
    }

    /// Records whose spans lie in `bytes`.
    pub fn records(origin: Origin, bytes: Vec<u8>, records: Vec<Record>) -> Self {
        Self { origin, body: Body::Records { bytes, records } }
    }

    /// Records that cannot be taken, whose spans lie in `bytes`.
    pub fn refused(origin: Origin, bytes: Vec<u8>, records: Vec<(Record, Reject)>) -> Self {
        Self { origin, body: Body::Refused { bytes, records } }
    }

    /// Nothing can be read from `position` on.
    pub fn fault(origin: Origin, position: i64, message: String) -> Self {
        Self { origin, body: Body::Fault { position, message } }
    }
}

/// Bytes as text: as they are if they are UTF-8, else in base64.
pub fn text_or_base64(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| STANDARD.encode(bytes).into(), Cow::Borrowed)
}
