//! Fields that the contract does not know, kept as JSON; never one that names a person.

use std::ops::Range;

use serde_json::Value;

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
            out.extend_from_slice(format!("\"{name}\":{{").as_bytes());
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
        if is_personal(&name, plan) {
            continue;
        }
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(key);
        out.push(b':');
        match without_persons(value, plan) {
            Some(cleaned) => out.extend_from_slice(&cleaned),
            None => out.extend_from_slice(value),
        }
    }
    out
}

fn is_personal(name: &str, plan: &Plan) -> bool {
    let name = name.to_lowercase();
    plan.personal_names.contains(&name)
}

/// The value without personal fields, if it had any; else it stays as it was, byte for byte.
fn without_persons(value: &[u8], plan: &Plan) -> Option<Vec<u8>> {
    if !value.contains(&b'{') {
        return None;
    }
    let mut parsed: Value = serde_json::from_slice(value).ok()?;
    if strip(&mut parsed, plan) { serde_json::to_vec(&parsed).ok() } else { None }
}

fn strip(value: &mut Value, plan: &Plan) -> bool {
    match value {
        Value::Object(fields) => {
            let before = fields.len();
            fields.retain(|name, _| !is_personal(name, plan));
            let mut stripped = fields.len() < before;
            for value in fields.values_mut() {
                stripped |= strip(value, plan);
            }
            stripped
        }
        Value::Array(values) => {
            let mut stripped = false;
            for value in values {
                stripped |= strip(value, plan);
            }
            stripped
        }
        _ => false,
    }
}
