//! Values against the types of a contract: what fits, and what is said of what does not.

use super::column::Values;
use super::cursor::{Cursor, Number, Text};
use super::persons::{Cleaned, Persons};
use super::{Class, Reject, plan, time};
use crate::contract::Type;
use crate::pseudonym::Pseudonyms;

pub(super) fn push_string(
    leaf: &mut plan::Leaf,
    row: u32,
    text: Text<'_>,
    scratch: &[u8],
    pseudonyms: Option<&mut Pseudonyms>,
    reject_empty: bool,
    persons: &Persons,
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
        // A text that is JSON is looked into like a JSON column.
        _ if persons.may_be_in(bytes, matches!(text, Text::Unescaped)) => {
            push_cleaned(leaf, row, bytes, persons);
        }
        _ => leaf.column.push_text(row, bytes),
    }
    Ok(())
}

#[cold]
fn push_cleaned(leaf: &mut plan::Leaf, row: u32, text: &[u8], persons: &Persons) {
    match persons.clean_text(&String::from_utf8_lossy(text)) {
        Cleaned::Same => leaf.column.push_text(row, text),
        Cleaned::Changed(cleaned) => leaf.column.push_text(row, &cleaned),
        Cleaned::Emptied => {}
    }
}

/// Takes a JSON value as its text; `null` is no value.
pub(super) fn push_json(leaf: &mut plan::Leaf, row: u32, json: &[u8], persons: &Persons) {
    match persons.clean(json) {
        Cleaned::Same => leaf.column.push_text(row, json),
        Cleaned::Changed(cleaned) if cleaned != b"null" => leaf.column.push_text(row, &cleaned),
        Cleaned::Changed(_) | Cleaned::Emptied => {}
    }
}

/// 2^53: from here on a double no longer says which integer it is.
const EXACT: i64 = 1 << 53;

/// The integer that a number is.
#[inline]
pub(super) fn integer(path: &str, number: Number<'_>) -> Result<i64, Reject> {
    match number {
        Number::Int(value) => Ok(value),
        Number::Text(text) => integer_of(path, text),
    }
}

/// The integer that a number with a fraction or an exponent is, decided from its digits and not
/// from a double.
///
/// A fraction or an exponent is how doubles are printed, so from 2^53 on such a number may be the
/// rounded neighbour of the one that was meant: it is refused.
#[cold]
fn integer_of(path: &str, text: &str) -> Result<i64, Reject> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (digits, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // An exponent beyond 64 bits is as good as one that no digits make up for.
    let beyond = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    let exponent: i64 = exponent.parse().unwrap_or(beyond).clamp(i64::MIN / 2, i64::MAX / 2);
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let zeros = exponent + signed(zeros) - signed(fraction.len());
    if zeros < 0 {
        return Err(not_a(path, "whole number"));
    }
    if whole.len() == text.len() - usize::from(is_negative) {
        return Err(out_of_range(path, "64 bits"));
    }
    let value = u32::try_from(zeros).ok().and_then(|zeros| 10_i64.checked_pow(zeros));
    let value = value.and_then(|power| significant.parse::<i64>().ok()?.checked_mul(power));
    match value {
        Some(value) if value < EXACT => Ok(if is_negative { -value } else { value }),
        _ => Err(Reject::new(
            Class::OutOfRange,
            format!(
                "`{path}` has a fraction or an exponent, and is too large to be surely exact: whole numbers from 2^53 on are written without"
            ),
        )),
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 4)
}

/// The double next to a number, to the last bit; none is next to what is beyond all of them.
pub(super) fn double(path: &str, number: Number<'_>) -> Result<f64, Reject> {
    let value: f64 = match number {
        #[allow(clippy::cast_precision_loss, reason = "a DOUBLE column holds doubles")]
        Number::Int(value) => value as f64,
        Number::Text(text) => text.parse().unwrap_or(f64::INFINITY),
    };
    if value.is_finite() { Ok(value) } else { Err(out_of_range(path, "a double")) }
}

/// Refuses NaN and infinity where a number is wanted. JSON has none: they come as words, bare as
/// some producers write them, or in quotes, as rows of CSV and Parquet come.
#[cold]
pub(super) fn finite(path: &str, cursor: &Cursor<'_>) -> Result<(), Reject> {
    if is_no_number(&cursor.bytes[cursor.at..]) {
        let message = format!("`{path}` is NaN or infinite: no column takes that");
        return Err(Reject::new(Class::OutOfRange, message));
    }
    Ok(())
}

fn is_no_number(text: &[u8]) -> bool {
    let quoted = text.strip_prefix(b"\"");
    let text = quoted.unwrap_or(text);
    let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let length = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, behind) = text.split_at(length);
    let is_ended = quoted.is_none() || behind.starts_with(b"\"");
    is_ended
        && ["nan", "inf", "infinity"].iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
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

/// Microseconds since 1970.
pub(super) fn timestamp(path: &str, text: &[u8]) -> Result<i64, Reject> {
    let us = time::timestamp_us(text);
    us.ok_or_else(|| {
        let what = format!("timestamp, as in 2026-03-01T12:00:05.000Z{}", time::lack(text));
        not_a_time(path, text, &what)
    })
}

/// Days since 1970.
pub(super) fn date(path: &str, text: &[u8]) -> Result<i32, Reject> {
    time::date_days(text).ok_or_else(|| not_a_time(path, text, "date, as in 2026-03-01"))
}

fn not_a_time(path: &str, text: &[u8], what: &str) -> Reject {
    if time::is_far(text) {
        out_of_range(path, "the years 0001 to 9999")
    } else if time::is_fine(text) {
        not_a(path, "timestamp of microseconds: it has more than six digits behind its seconds")
    } else {
        not_a(path, what)
    }
}

pub(super) fn out_of_range(path: &str, limit: &str) -> Reject {
    Reject::new(Class::OutOfRange, format!("`{path}` does not fit {limit}"))
}

fn not_a(path: &str, what: &str) -> Reject {
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
