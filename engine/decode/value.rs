//! Values against the types of a contract: what fits, and what is said of what does not.

use super::column::Values;
use super::cursor::{Cursor, Number, Text};
use super::{Class, Reject, plan};
use crate::contract::Type;
use crate::pseudonym::Pseudonyms;

pub(super) fn push_string(
    leaf: &mut plan::Leaf,
    row: u32,
    text: Text<'_>,
    scratch: &[u8],
    pseudonyms: Option<&mut Pseudonyms>,
    reject_empty: bool,
) -> Result<(), Reject> {
    let bytes = text.bytes(scratch);
    if let Type::Text { max: Some(max) } = leaf.data_type {
        let too_long =
            bytes.len() as u64 > max && String::from_utf8_lossy(bytes).chars().count() as u64 > max;
        if too_long {
            return Err(out_of_range(&leaf.path, &format!("{max} characters")));
        }
        if reject_empty && bytes.is_empty() {
            return Err(Reject::new(
                Class::OutOfRange,
                format!("`{}` is an empty string", leaf.path),
            ));
        }
    }
    match (leaf.domain, pseudonyms) {
        // An empty id is nobody's: a pseudonym would make one person of all who send it.
        (Some(_), _) if bytes.is_empty() => {}
        (Some(domain), Some(pseudonyms)) => {
            leaf.column.push_text(row, pseudonyms.of(domain, bytes).as_bytes());
        }
        _ => leaf.column.push_text(row, bytes),
    }
    Ok(())
}

pub(super) fn integer(path: &str, number: Number) -> Result<i64, Reject> {
    // 2^53: beyond it a float no longer says which integer it is.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number {
        Number::Int(value) => Ok(value),
        #[allow(clippy::cast_possible_truncation, reason = "it is a whole number below 2^53")]
        Number::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => Ok(value as i64),
        Number::Float(value) if value.fract() == 0.0 => Err(out_of_range(path, "64 bits")),
        Number::Float(_) => Err(not_a(path, "whole number")),
        Number::Huge => Err(out_of_range(path, "64 bits")),
    }
}

pub(super) fn double(path: &str, number: Number) -> Result<f64, Reject> {
    match number {
        #[allow(clippy::cast_precision_loss, reason = "a DOUBLE column holds doubles")]
        Number::Int(value) => Ok(value as f64),
        Number::Float(value) => Ok(value),
        Number::Huge => Err(out_of_range(path, "a double")),
    }
}

pub(super) fn wanted(values: &Values) -> &'static str {
    match values {
        Values::Boolean(_) => "true or false",
        Values::Int(_) | Values::BigInt(_) => "a whole number",
        Values::Double(_) => "a number",
        Values::Timestamp(_) => "a timestamp",
        Values::Date(_) => "a date",
        Values::Text(..) => "a string",
    }
}

pub(super) fn out_of_range(path: &str, limit: &str) -> Reject {
    Reject::new(Class::OutOfRange, format!("`{path}` does not fit {limit}"))
}

pub(super) fn not_a(path: &str, what: &str) -> Reject {
    Reject::new(Class::WrongType, format!("`{path}` is not a {what}"))
}

/// A value of another type than wanted; broken JSON stays broken JSON.
#[cold]
pub(super) fn wrong_type(
    path: &str,
    wanted: &str,
    cursor: &mut Cursor<'_>,
    scratch: &mut Vec<u8>,
) -> Reject {
    let found = match cursor.peek() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        _ => "a number",
    };
    match cursor.skip(scratch, 1) {
        Ok(()) => Reject::new(Class::WrongType, format!("`{path}` is {found}, not {wanted}")),
        Err(broken) => broken,
    }
}
