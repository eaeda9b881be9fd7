//! Which record a row is: in quarantine, and in the table that took it.

use std::collections::{HashMap, HashSet};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use crate::chunk::Origin;
use crate::decode::Class;
use crate::error::{Error, Result};

/// The columns of quarantine that say which record a row is, and whether it is one at all.
pub(super) const PLACE: &[&str] =
    &["table_name", "source", "partition", "position", "record_ts", "error_class"];

/// Where a record stands in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) partition: Option<i32>,
    pub(super) position: i64,
    pub(super) time_us: Option<i64>,
}

/// Some rows of quarantine.
#[derive(Debug)]
pub(super) struct Held {
    tables: StringArray,
    sources: StringArray,
    partitions: Int32Array,
    positions: Int64Array,
    times: TimestampMicrosecondArray,
    classes: StringArray,
    /// These are left out where only places count.
    messages: Option<StringArray>,
    raws: Option<BinaryArray>,
    keys: Option<BinaryArray>,
    headers: Option<StringArray>,
}

impl Held {
    pub(super) fn of(rows: &RecordBatch) -> Result<Self> {
        let column = |name: &str| {
            let column = rows.column_by_name(name);
            column.ok_or_else(|| Error::internal(format!("quarantine has no column `{name}`")))
        };
        Ok(Self {
            tables: column("table_name")?.as_string::<i32>().clone(),
            sources: column("source")?.as_string::<i32>().clone(),
            partitions: column("partition")?.as_primitive::<Int32Type>().clone(),
            positions: column("position")?.as_primitive::<Int64Type>().clone(),
            times: column("record_ts")?.as_primitive::<TimestampMicrosecondType>().clone(),
            classes: column("error_class")?.as_string::<i32>().clone(),
            messages: rows
                .column_by_name("error_message")
                .map(|messages| messages.as_string::<i32>().clone()),
            raws: rows.column_by_name("raw").map(|raws| raws.as_binary::<i32>().clone()),
            keys: rows.column_by_name("key").map(|keys| keys.as_binary::<i32>().clone()),
            headers: rows.column_by_name("headers").map(|all| all.as_string::<i32>().clone()),
        })
    }

    pub(super) fn n_rows(&self) -> usize {
        self.tables.len()
    }

    pub(super) fn table(&self, row: usize) -> &str {
        self.tables.value(row)
    }

    pub(super) fn source(&self, row: usize) -> &str {
        self.sources.value(row)
    }

    pub(super) fn place(&self, row: usize) -> Place {
        Place {
            partition: self.partitions.is_valid(row).then(|| self.partitions.value(row)),
            position: self.positions.value(row),
            time_us: self.times.is_valid(row).then(|| self.times.value(row)),
        }
    }

    /// Whether the row is a record. What could not be read stands for a place in a file where
    /// later, when the file was whole, a record may have been; a tombstone has nothing to take in,
    /// and of what is too large nothing was kept.
    pub(super) fn is_record(&self, row: usize) -> bool {
        let class = self.classes.value(row);
        let no_records = [Class::TooLarge, Class::Tombstone, Class::Unreadable];
        no_records.iter().all(|no_record| class != no_record.name())
    }

    /// The kind of fault, and the fault.
    pub(super) fn reason(&self, row: usize) -> (&str, &str) {
        let message = self.messages.as_ref().map(|messages| messages.value(row));
        (self.classes.value(row), message.unwrap_or_default())
    }

    /// The record's bytes, if there are any.
    pub(super) fn raw(&self, row: usize) -> Option<&[u8]> {
        self.raws.as_ref().filter(|raws| raws.is_valid(row)).map(|raws| raws.value(row))
    }

    /// The bytes of the record's key, if it has one.
    pub(super) fn key(&self, row: usize) -> Option<&[u8]> {
        self.keys.as_ref().filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row))
    }

    /// The record's headers as JSON, if it has any.
    pub(super) fn headers(&self, row: usize) -> Option<&str> {
        self.headers.as_ref().filter(|all| all.is_valid(row)).map(|all| all.value(row))
    }
}

/// A replay's rows have its number as their time, in whole milliseconds. What is behind them says
/// which generation of its topic a record is of: the table has no other place for that.
pub(super) fn time_us(number: i64, generation: u32) -> i64 {
    number + i64::from(generation.min(999))
}

fn generation(time_us: i64) -> u32 {
    u32::try_from(time_us.rem_euclid(1000)).unwrap_or(0)
}

/// A set of records.
#[derive(Debug, Default)]
pub(super) struct Records {
    by_source: HashMap<String, HashSet<Place>>,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.by_source.values().map(HashSet::len).sum()
    }

    pub(super) fn holds(&self, source: &str, place: &Place) -> bool {
        self.by_source.get(source).is_some_and(|places| places.contains(place))
    }

    /// Adds the records that rows of a table were, by the columns that the engine adds to them.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let column = |name: &str, data_type: &DataType| -> Result<ArrayRef> {
            let column = rows.column_by_name(name);
            let column =
                column.ok_or_else(|| Error::internal(format!("rows have no column `{name}`")))?;
            cast(column, data_type)
                .map_err(|cause| Error::internal(format!("column `{name}`")).caused_by(cause))
        };
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let topics = column("_topic", &DataType::Utf8)?;
        let files = column("_source_file", &DataType::Utf8)?;
        let partitions = column("_partition", &DataType::Int32)?;
        let positions = column("_offset", &DataType::Int64)?;
        let times = column("_record_ts", &time)?;
        let ingested = column("_ingested_at", &time)?;
        let (topics, files) = (topics.as_string::<i32>(), files.as_string::<i32>());
        let partitions = partitions.as_primitive::<Int32Type>();
        let positions = positions.as_primitive::<Int64Type>();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let ingested = ingested.as_primitive::<TimestampMicrosecondType>();
        for row in 0..rows.num_rows() {
            let origin = if topics.is_valid(row) {
                Origin::topic(topics.value(row), generation(ingested.value(row)))
            } else {
                Origin::file(files.value(row), 0)
            };
            let place = Place {
                partition: partitions.is_valid(row).then(|| partitions.value(row)),
                position: positions.value(row),
                time_us: times.is_valid(row).then(|| times.value(row)),
            };
            self.by_source.entry(origin.source.to_string()).or_default().insert(place);
        }
        Ok(())
    }
}

/// The origin that a `source` of quarantine names, as ingest had it, and the generation of its topic.
pub(super) fn origin(source: &str, time_us: Option<i64>) -> Option<(Origin, u32)> {
    match source.split_once(':')? {
        ("kafka", topic) => {
            let (topic, generation) = topic.split_once('#').unwrap_or((topic, "0"));
            let generation = generation.parse().ok()?;
            Some((Origin::topic(topic, generation), generation))
        }
        ("folder", place) => Some((Origin::file(place, time_us.unwrap_or(0).div_euclid(1000)), 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::contract::TableName;
    use crate::quarantine::{self, Rejected};

    /// A row of quarantine.
    fn rejected(source: &str, partition: Option<i32>, time_us: Option<i64>) -> Rejected {
        Rejected {
            source: source.to_owned(),
            partition,
            position: 7,
            record_ts_us: time_us,
            class: Class::CheckFailed.name(),
            message: "m".to_owned(),
            raw: Some(b"{}".to_vec()),
            key: Some(b"k".to_vec()),
            headers: None,
        }
    }

    /// The columns that the engine adds to a row, as far as they name a record.
    fn taken(
        topic: Option<(&str, u32)>,
        partition: Option<i32>,
        file: Option<&str>,
    ) -> RecordBatch {
        let times = TimestampMicrosecondArray::from(vec![5]).with_timezone("UTC");
        let ingested = time_us(7_000, topic.map_or(0, |(_, generation)| generation));
        let ingested = TimestampMicrosecondArray::from(vec![ingested]).with_timezone("UTC");
        let topic = topic.map(|(topic, _)| topic);
        let names =
            ["_topic", "_partition", "_offset", "_record_ts", "_ingested_at", "_source_file"];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![topic])),
            Arc::new(Int32Array::from(vec![partition])),
            Arc::new(Int64Array::from(vec![7])),
            Arc::new(times),
            Arc::new(ingested),
            Arc::new(StringArray::from(vec![file])),
        ];
        let fields: Vec<Field> = names
            .iter()
            .zip(&columns)
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn a_row_of_a_table_and_a_row_of_quarantine_are_the_same_record_or_not() {
        let mut records = Records::default();
        records.add(&taken(Some(("t", 0)), Some(1), None)).unwrap();
        records.add(&taken(Some(("u", 3)), Some(1), None)).unwrap();
        records.add(&taken(None, None, Some("t/a.json"))).unwrap();
        assert_eq!(records.len(), 3);
        let cases = [
            (rejected("kafka:t", Some(1), Some(5)), true),
            (rejected("folder:t/a.json", None, Some(5)), true),
            (rejected("kafka:t#1", Some(1), Some(5)), false),
            (rejected("kafka:u", Some(1), Some(5)), false),
            (rejected("kafka:u#3", Some(1), Some(5)), true),
            (rejected("kafka:t", Some(0), Some(5)), false),
            (rejected("kafka:t", Some(1), Some(6)), false),
            (rejected("kafka:t", Some(1), None), false),
            (rejected("folder:t/b.json", None, Some(5)), false),
        ];
        let contract = quarantine::contract().unwrap();
        let (all, expected): (Vec<Rejected>, Vec<bool>) = cases.into_iter().unzip();
        let rows = quarantine::rows(&contract, &TableName::new("bronze", "t"), &all, 9).unwrap();
        let held = Held::of(&rows).unwrap();
        for (row, expected) in expected.into_iter().enumerate() {
            let found = records.holds(held.source(row), &held.place(row));
            assert_eq!(found, expected, "{:?}", all[row]);
            assert!(held.is_record(row) && held.raw(row) == Some(b"{}".as_slice()));
            assert_eq!((held.key(row), held.headers(row)), (Some(b"k".as_slice()), None));
        }
    }

    #[test]
    fn what_could_not_be_read_and_a_tombstone_are_no_records() {
        let unreadable = Rejected {
            class: Class::Unreadable.name(),
            ..rejected("folder:t/a.json", None, Some(5))
        };
        let tombstone = Rejected {
            class: Class::Tombstone.name(),
            raw: None,
            ..rejected("kafka:t", Some(1), Some(5))
        };
        let contract = quarantine::contract().unwrap();
        let all = [unreadable, tombstone];
        let rows = quarantine::rows(&contract, &TableName::new("bronze", "t"), &all, 9).unwrap();
        let held = Held::of(&rows).unwrap();
        assert!(!held.is_record(0) && !held.is_record(1));
        assert_eq!(held.raw(1), None);
    }

    #[test]
    fn an_origin_is_what_ingest_had() {
        let (file, _) = origin("folder:events/a:b.json", Some(5_000)).unwrap();
        assert_eq!(&*file.source, "folder:events/a:b.json");
        assert_eq!(file.file.as_deref(), Some("events/a:b.json"));
        assert_eq!(file.file_ts_us, Some(5_000));
        for (source, expected) in [("kafka:events", 0), ("kafka:events#2", 2)] {
            let (topic, generation) = origin(source, None).unwrap();
            assert_eq!((&*topic.source, topic.topic.as_deref()), (source, Some("events")));
            assert_eq!(generation, expected);
        }
        assert!(origin("pigeon:events", None).is_none());
    }
}
