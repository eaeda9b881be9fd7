//! Fields that the contract does not know, kept as JSON; never one that names a person.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

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

/// Whether a field's name is that of a personal column, however it is spelled: `User-ID`,
/// `userId` and `context.user_id` are `user_id`.
pub(super) fn is_personal(name: &str, plan: &Plan) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let (whole, last) = (spelled(name), spelled(last));
    plan.personal_names.iter().any(|personal| {
        let personal = spelled(personal);
        whole == personal || last == personal
    })
}

fn spelled(name: &str) -> String {
    name.to_uppercase().to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The value without personal fields, if it had any; else it stays as it was, byte for byte.
pub(super) fn without_persons(value: &[u8], plan: &Plan) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?;
    let cleaned = clean(text, plan, 0)?;
    Some(cleaned.into_bytes())
}

/// Strings may hold JSON that holds strings: no deeper than this.
const NESTED_STRINGS: u32 = 4;

/// The JSON text without personal fields; `None` if it had none. What cannot be looked into is
/// emptied, not kept: a person may be in it.
fn clean(text: &str, plan: &Plan, strings: u32) -> Option<String> {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => match serde_json::from_str::<Fields<'_>>(text) {
            Ok(fields) => clean_object(&fields.0, plan, strings),
            Err(_) => Some("null".to_owned()),
        },
        Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(values) => clean_list(&values, plan, strings),
            Err(_) => Some("null".to_owned()),
        },
        Some(b'"') if strings < NESTED_STRINGS => {
            let inner: String = serde_json::from_str(text).ok()?;
            let is_json = inner.trim_start().starts_with(['{', '[', '"']);
            let cleaned = if is_json && serde_json::from_str::<&RawValue>(&inner).is_ok() {
                clean(&inner, plan, strings + 1)
            } else {
                None
            };
            cleaned.and_then(|cleaned| serde_json::to_string(&cleaned).ok())
        }
        _ => None,
    }
}

fn clean_object(fields: &[(String, &RawValue)], plan: &Plan, strings: u32) -> Option<String> {
    let mut changed = false;
    let mut parts = Vec::new();
    for (name, value) in fields {
        if is_personal(name, plan) {
            changed = true;
            continue;
        }
        let cleaned = clean(value.get(), plan, strings);
        changed |= cleaned.is_some();
        let name = serde_json::to_string(name).ok()?;
        parts.push(format!("{name}:{}", cleaned.as_deref().unwrap_or(value.get())));
    }
    changed.then(|| format!("{{{}}}", parts.join(",")))
}

fn clean_list(values: &[&RawValue], plan: &Plan, strings: u32) -> Option<String> {
    let cleaned: Vec<Option<String>> =
        values.iter().map(|value| clean(value.get(), plan, strings)).collect();
    if cleaned.iter().all(Option::is_none) {
        return None;
    }
    let parts: Vec<&str> = cleaned
        .iter()
        .zip(values)
        .map(|(cleaned, value)| cleaned.as_deref().unwrap_or(value.get()))
        .collect();
    Some(format!("[{}]", parts.join(",")))
}

/// The fields of an object as they stand, doubles and numbers of any size included.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
