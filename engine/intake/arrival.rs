//! What the engine adds to a row: where its record came from and when, its key and its headers.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use datafusion::arrow::datatypes::DataType;

use crate::chunk::{Origin, Record, text_or_base64};
use crate::clock::day_of;
use crate::contract::{Contract, KEY};
use crate::decode::Decoder;
use crate::pseudonym::Pseudonyms;

/// Makes the engine's columns of one table.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Where the key of a record names a person: the pseudonyms, and their domain.
    persons: Option<(Pseudonyms, usize)>,
    keeps_headers: bool,
}

impl Arrival {
    pub(super) fn new(contract: &Contract, pseudonyms: Option<&Pseudonyms>) -> Self {
        let personal = contract.personal.iter().find(|personal| personal.path == KEY);
        let persons = personal.zip(pseudonyms.cloned()).map(|(personal, mut pseudonyms)| {
            let domain = pseudonyms.domain(&personal.domain);
            (pseudonyms, domain)
        });
        Self { persons, keeps_headers: contract.keeps_headers() }
    }

    /// `_topic` to `_headers`, in the order of [`crate::contract::engine_columns`]. The keys and the
    /// headers of the records stand in `bytes`.
    pub(super) fn columns(
        &mut self,
        origin: &Origin,
        records: &[Record],
        bytes: &[u8],
        ingested_at_us: i64,
        decoder: &Decoder,
    ) -> Vec<ArrayRef> {
        let n = records.len();
        let text = |value: Option<&str>| -> ArrayRef {
            match value {
                Some(value) => {
                    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, n)))
                }
                None => new_null_array(&DataType::Utf8, n),
            }
        };
        let time = |values: TimestampMicrosecondArray| -> ArrayRef {
            Arc::new(values.with_timezone("UTC"))
        };
        let ingested_at = std::iter::repeat_n(ingested_at_us, n);
        let day = day_of(ingested_at_us);
        let mut columns = vec![
            text(origin.topic.as_deref()),
            Arc::new(records.iter().map(|record| record.partition).collect::<Int32Array>()),
            Arc::new(Int64Array::from_iter_values(records.iter().map(|record| record.position))),
            time(records.iter().map(|record| record.record_ts_us).collect()),
            time(TimestampMicrosecondArray::from_iter_values(ingested_at)),
            Arc::new(Date32Array::from_iter_values(std::iter::repeat_n(day, n))),
            text(origin.file.as_deref()),
            self.keys(records, bytes),
        ];
        if self.keeps_headers {
            columns.push(headers(records, bytes, decoder));
        }
        columns
    }

    pub(super) fn keys(&mut self, records: &[Record], bytes: &[u8]) -> ArrayRef {
        if records.iter().all(|record| record.key.is_none()) {
            return new_null_array(&DataType::Utf8, records.len());
        }
        let keys = records.iter().map(|record| {
            let key = part(bytes, record.key.as_ref())?;
            Some(match &mut self.persons {
                // An empty id is nobody's: a pseudonym would make one person of all who send it.
                Some(_) if key.is_empty() => return None,
                Some((pseudonyms, domain)) => Cow::Owned(pseudonyms.of(*domain, key).to_owned()),
                None => text_or_base64(key),
            })
        });
        Arc::new(keys.collect::<StringArray>())
    }
}

fn headers(records: &[Record], bytes: &[u8], decoder: &Decoder) -> ArrayRef {
    let headers = records.iter().map(|record| {
        let text = text_or_base64(part(bytes, record.headers.as_ref())?);
        Some(match decoder.headers_without_persons(&text) {
            Some(cleaned) => Cow::Owned(cleaned),
            None => text,
        })
    });
    Arc::new(headers.collect::<StringArray>())
}

/// The bytes of a part of a record.
pub(super) fn part<'a>(bytes: &'a [u8], range: Option<&Range<usize>>) -> Option<&'a [u8]> {
    bytes.get(range?.clone())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, AsArray};

    use super::*;
    use crate::contract::{TableName, parse};

    fn keys(properties: &str, pseudonyms: Option<&Pseudonyms>) -> Vec<Option<String>> {
        let text = format!(
            "-- One row is a record.\nCREATE TABLE bronze.t (user_id STRING COMMENT 'who') TBLPROPERTIES ('lake.source' = 'kafka:t'{properties});"
        );
        let contract = parse(&TableName::new("bronze", "t"), "t.sql", &text).unwrap();
        let bytes = b"alice\xff\x00";
        let records = [Some(0..5), Some(5..7), Some(3..3), None]
            .map(|key| Record { key, ..Record::default() });
        let column = Arrival::new(&contract, pseudonyms).keys(&records, bytes);
        let column = column.as_string::<i32>();
        (0..column.len())
            .map(|row| column.is_valid(row).then(|| column.value(row).to_owned()))
            .collect()
    }

    #[test]
    fn a_key_is_text_or_base64_and_a_pseudonym_where_it_names_a_person() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(keys("", None), [text("alice"), text("/wA="), text(""), None]);
        let mut pseudonyms = Pseudonyms::new(&[7; 32]);
        let domain = pseudonyms.domain("user_id");
        let alice = pseudonyms.of(domain, b"alice").to_owned();
        let bytes = pseudonyms.of(domain, b"\xff\x00").to_owned();
        let personal = ", 'lake.personal' = 'user_id, _key = user_id'";
        assert_eq!(keys(personal, Some(&pseudonyms)), [Some(alice), Some(bytes), None, None]);
        // Another column is personal, the key is not.
        let other = keys(", 'lake.personal' = 'user_id'", Some(&pseudonyms));
        assert_eq!(other[0], text("alice"));
    }
}
