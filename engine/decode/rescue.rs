//! Fields that the contract does not know, kept as JSON; never one that names a person.

use std::ops::Range;

use super::persons::Cleaned;
use super::plan::Plan;

/// An unknown field: the struct it stands in, and its place in the record.
#[derive(Debug)]
pub(super) struct Rescue {
    pub(super) within: usize,
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The unknown fields of one record as a JSON object, nested as they were; empty if none is left.
pub(super) fn to_json(rescues: &[Rescue], record: &[u8], plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    let mut by_struct: Vec<usize> = rescues.iter().map(|rescue| rescue.within).collect();
    by_struct.sort_unstable();
    by_struct.dedup();
    for index in by_struct {
        let fields = fields_of(index, rescues, record, plan);
        if fields.is_empty() {
            continue;
        }
        out.push(if out.is_empty() { b'{' } else { b',' });
        let path = &plan.structs[index].path;
        for name in path {
            out.extend_from_slice(format!("{}:{{", serde_json::json!(name)).as_bytes());
        }
        out.extend_from_slice(&fields);
        out.resize(out.len() + path.len(), b'}');
    }
    if !out.is_empty() {
        out.push(b'}');
    }
    out
}

fn fields_of(index: usize, rescues: &[Rescue], record: &[u8], plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    for rescue in rescues.iter().filter(|rescue| rescue.within == index) {
        let key = &record[rescue.key.clone()];
        let value = &record[rescue.value.clone()];
        let name: String = serde_json::from_slice(key).unwrap_or_default();
        if plan.persons.names(&name) {
            continue;
        }
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(key);
        out.push(b':');
        match plan.persons.clean_within(key, value) {
            Cleaned::Same => out.extend_from_slice(value),
            Cleaned::Changed(cleaned) => out.extend_from_slice(&cleaned),
            Cleaned::Emptied => out.extend_from_slice(b"null"),
        }
    }
    out
}
