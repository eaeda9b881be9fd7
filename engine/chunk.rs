//! What every source hands on: some records, and where they come from.

use std::sync::Arc;

/// Where a run of records comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `folder:events/a.ndjson` or `kafka:events`, as quarantine has it.
    pub source: Arc<str>,
    /// The topic, for Kafka.
    pub topic: Option<Arc<str>>,
    /// The partition, for Kafka.
    pub partition: Option<i32>,
    /// The file below the landing place, for folders.
    pub file: Option<Arc<str>>,
    /// When the record was written, or its file changed last: microseconds since 1970.
    pub record_ts_us: Option<i64>,
}

/// Records of one origin, one JSON object a line.
#[derive(Debug)]
pub struct Chunk {
    /// Where they come from.
    pub origin: Origin,
    /// The position of the first; every line counts, also a blank one.
    pub first: i64,
    /// The records.
    pub lines: Vec<u8>,
    /// Why nothing can be read from `first` on, if it cannot.
    pub fault: Option<String>,
}

impl Origin {
    /// A file below the landing place, changed last at `modified_ms` (milliseconds since 1970).
    pub fn file(place: &str, modified_ms: i64) -> Self {
        Self {
            source: format!("folder:{place}").into(),
            topic: None,
            partition: None,
            file: Some(place.into()),
            record_ts_us: Some(modified_ms.saturating_mul(1000)),
        }
    }
}

impl Chunk {
    /// A chunk of records.
    pub fn lines(origin: Origin, first: i64, lines: Vec<u8>) -> Self {
        Self { origin, first, lines, fault: None }
    }

    /// Tells that nothing can be read from `first` on: that is decided, too, or it would stop the
    /// table for ever.
    pub fn fault(origin: Origin, first: i64, fault: String) -> Self {
        Self { origin, first, lines: Vec::new(), fault: Some(fault) }
    }
}
