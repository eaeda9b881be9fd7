//! The headers of a Kafka record, without those that name a person.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Decoder, rescue};

/// A header as [`crate::chunk::Record`] has it.
#[derive(Deserialize)]
struct Header<'a> {
    key: String,
    #[serde(borrow)]
    value: &'a RawValue,
}

impl Decoder {
    /// A list of headers without those that are called like a personal column, and without what
    /// names a person in a value that is JSON; `None` if it may stay as it is.
    pub fn headers_without_persons(&self, headers: &str) -> Option<String> {
        if self.plan.personal_names.is_empty() {
            return None;
        }
        let Ok(headers) = serde_json::from_str::<Vec<Header<'_>>>(headers) else {
            return Some("null".to_owned());
        };
        let kept = headers.iter().filter(|header| !rescue::is_personal(&header.key, &self.plan));
        let kept = kept.map(|header| {
            let value = header.value.get();
            let cleaned = rescue::without_persons(value.as_bytes(), &self.plan);
            let value = cleaned.and_then(|cleaned| String::from_utf8(cleaned).ok());
            let value = value.unwrap_or_else(|| header.value.get().to_owned());
            format!("{{\"key\":{},\"value\":{value}}}", serde_json::json!(header.key))
        });
        Some(format!("[{}]", kept.collect::<Vec<_>>().join(",")))
    }
}
