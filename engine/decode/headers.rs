//! The headers of a Kafka record, without those that name a person.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Decoder;
use super::persons::Cleaned;

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
        let persons = &self.plan.persons;
        if persons.is_empty() {
            return None;
        }
        let Ok(headers) = serde_json::from_str::<Vec<Header<'_>>>(headers) else {
            return Some("null".to_owned());
        };
        let kept = headers.iter().filter(|header| !persons.names(&header.key));
        let kept = kept.map(|header| {
            let value = match persons.clean(header.value.get().as_bytes()) {
                Cleaned::Same => header.value.get().to_owned(),
                Cleaned::Changed(value) => String::from_utf8_lossy(&value).into_owned(),
                Cleaned::Emptied => "null".to_owned(),
            };
            format!("{{\"key\":{},\"value\":{value}}}", serde_json::json!(header.key))
        });
        Some(format!("[{}]", kept.collect::<Vec<_>>().join(",")))
    }
}
