//! Fields that the contract does not know, kept as JSON; never one that names a person.
//!
//! It is JSON of which no reader loses anything: names that come twice in an object are there once,
//! with the list of their values.

use std::borrow::Cow;
use std::ops::Range;

use super::persons::Cleaned;
use super::plan::{Child, Plan};
use super::twice::{Member, merged, push_members};

/// An unknown field: the struct it stands in, and its place in the record.
#[derive(Debug)]
pub(super) struct Rescue {
    pub(super) within: usize,
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The unknown fields of one record as a JSON object, nested as they were; empty if none is left.
pub(super) fn to_json(rescues: &mut [Rescue], record: &[u8], plan: &Plan) -> Vec<u8> {
    rescues.sort_unstable_by_key(|rescue| rescue.key.start);
    let mut out = Vec::new();
    if !object(0, rescues, record, plan, &mut out) {
        out.clear();
    }
    out
}

/// Appends the unknown fields of a struct, and of those within it; whether there are any.
fn object(index: usize, rescues: &[Rescue], record: &[u8], plan: &Plan, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.push(b'{');
    push_members(&members(index, rescues, record, plan), out);
    let own = &plan.structs[index];
    for (child, name) in own.children.iter().zip(&own.names) {
        let Child::Struct(inner) = *child else { continue };
        // A struct has its number before those within it.
        if !rescues.iter().any(|rescue| rescue.within >= inner) {
            continue;
        }
        let before = out.len();
        if before > start + 1 {
            out.push(b',');
        }
        let name = serde_json::Value::from(String::from_utf8_lossy(name)).to_string();
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if !object(inner, rescues, record, plan, out) {
            out.truncate(before);
        }
    }
    out.push(b'}');
    out.len() > start + 2
}

fn members<'a>(index: usize, rescues: &[Rescue], record: &'a [u8], plan: &Plan) -> Vec<Member<'a>> {
    let mut members = Vec::new();
    for rescue in rescues.iter().filter(|rescue| rescue.within == index) {
        let key = &record[rescue.key.clone()];
        let value = &record[rescue.value.clone()];
        let name: String = serde_json::from_slice(key).unwrap_or_default();
        if plan.persons.names(&name) {
            continue;
        }
        let value = match plan.persons.clean_within(key, value) {
            Cleaned::Same => merged(value).map_or(Cow::Borrowed(value), Cow::Owned),
            Cleaned::Changed(cleaned) => Cow::Owned(merged(&cleaned).unwrap_or(cleaned)),
            Cleaned::Emptied => Cow::Borrowed(&b"null"[..]),
        };
        members.push(Member { name: Cow::Owned(name), key, value });
    }
    members
}
