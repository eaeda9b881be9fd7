//! What the decoder promises of persons, told by another program: `serde_json` and a plain walk.
//!
//! A mark stands in fields with personal names. Where it stands nowhere else in a record, it may
//! stand nowhere in the row.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::records::MARK;

/// Deeper is not looked into here: such a record proves nothing.
const DEPTH_MAX: usize = 150;

/// The members of an object, also those of one name.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// Whether the mark stands in a JSON value outside of personal fields, or may.
pub(crate) fn remains(json: &str, names: &[&str]) -> bool {
    remains_in(json, names, 0)
}

fn remains_in(json: &str, names: &[&str], depth: usize) -> bool {
    if depth > DEPTH_MAX {
        return true;
    }
    let json = json.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    match json.as_bytes().first() {
        Some(b'{') => match serde_json::from_str::<Members>(json) {
            Ok(Members(members)) => members.iter().any(|(name, value)| {
                !is_personal(name, names)
                    && (name.contains(MARK) || remains_in(value.get(), names, depth + 1))
            }),
            Err(_) => true,
        },
        Some(b'[') => match serde_json::from_str::<Vec<Box<RawValue>>>(json) {
            Ok(items) => items.iter().any(|item| remains_in(item.get(), names, depth + 1)),
            Err(_) => true,
        },
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(text) if !mentions(&text) => false,
            Ok(text) => remains_in(&text, names, depth + 1),
            Err(_) => true,
        },
        Some(b'0'..=b'9' | b'-' | b't' | b'f' | b'n') => json.contains(MARK),
        _ => true,
    }
}

/// Whether a text says the mark, as it stands or in JSON that it holds.
pub(crate) fn mentions(text: &str) -> bool {
    mentions_in(text, 0)
}

fn mentions_in(text: &str, depth: usize) -> bool {
    if text.contains(MARK) {
        return true;
    }
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if depth > DEPTH_MAX {
        return false;
    }
    match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<Members>(text).is_ok_and(|Members(members)| {
            members
                .iter()
                .any(|(name, value)| name.contains(MARK) || mentions_in(value.get(), depth + 1))
        }),
        Some(b'[') => serde_json::from_str::<Vec<Box<RawValue>>>(text)
            .is_ok_and(|items| items.iter().any(|item| mentions_in(item.get(), depth + 1))),
        Some(b'"') => {
            serde_json::from_str::<String>(text).is_ok_and(|text| mentions_in(&text, depth + 1))
        }
        _ => false,
    }
}

/// Whether a name means a personal column: letters and digits decide, also of one of its parts.
fn is_personal(name: &str, names: &[&str]) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let is = |text: &str| names.iter().any(|known| letters(known) == letters(text));
    let parts = name.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | ' '));
    is(name) || parts.into_iter().any(is)
}
