//! Values of formats that have nothing but texts, as CSV: what a text is says its column.
//!
//! They come as JSON strings, which is what quarantine keeps of a row: a contract that takes a column
//! for another type later reads the text, and not what an earlier one made of it.

use std::borrow::Cow;

use super::column::Values;
use super::cursor::Cursor;
use super::value::{date, double, integer, out_of_range, push_json, timestamp, wanted, wrong_type};
use super::{Class, Decoder, Form, Reject};

impl Decoder {
    /// The next records are of this form.
    pub fn expect(&mut self, form: Form) {
        self.form = form;
    }

    /// Takes the text at the cursor for a column that is no text, or JSON. Nothing at all is no value.
    pub(super) fn text(
        &mut self,
        index: usize,
        cursor: &mut Cursor<'_>,
        depth: u32,
    ) -> Result<(), Reject> {
        let start = cursor.at;
        let text = cursor.string(&mut self.scratch)?;
        let text = std::str::from_utf8(text.bytes(&self.scratch)).unwrap_or_default();
        if text.is_empty() {
            return Ok(());
        }
        let leaf = &mut self.plan.leaves[index];
        let row = self.n_rows;
        let number = if leaf.is_number { number_of(text.trim()) } else { None };
        let mut digits = Cursor { bytes: number.as_deref().unwrap_or_default().as_bytes(), at: 0 };
        let is_boolean = matches!(leaf.column.values, Values::Boolean(_));
        let boolean = if is_boolean { boolean_of(text.trim()) } else { None };
        match (&mut leaf.column.values, number.is_some(), boolean) {
            (Values::Text(..), ..) => {
                let is_json = is_json(text, depth)?;
                let literal = &cursor.bytes[start..cursor.at];
                let json = if is_json { text.trim().as_bytes() } else { literal };
                if json != b"null" {
                    push_json(leaf, row, json, &self.plan.persons);
                }
                return Ok(());
            }
            (Values::Int(values), true, _) => {
                let value = integer(&leaf.path, digits.number()?)?;
                values.push(i32::try_from(value).map_err(|_| out_of_range(&leaf.path, "32 bits"))?);
            }
            (Values::BigInt(values), true, _) => {
                values.push(integer(&leaf.path, digits.number()?)?);
            }
            (Values::Double(values), true, _) => {
                values.push(double(&leaf.path, digits.number()?)?);
            }
            (Values::Boolean(values), _, Some(value)) => values.push(value),
            (Values::Timestamp(values), ..) => {
                values.push(timestamp(&leaf.path, text.as_bytes())?);
            }
            (Values::Date(values), ..) => values.push(date(&leaf.path, text.as_bytes())?),
            (values, ..) => {
                cursor.at = start;
                let (path, wanted) = (leaf.path.clone(), wanted(values));
                return Err(wrong_type(&path, wanted, cursor, &mut self.scratch));
            }
        }
        leaf.column.rows.push(row);
        Ok(())
    }
}

/// Whether a text is JSON, white space around it allowed.
///
/// # Errors
/// It is, and nests too deep.
fn is_json(text: &str, depth: u32) -> Result<bool, Reject> {
    let mut value = Cursor { bytes: text.as_bytes(), at: 0 };
    match value.skip(&mut Vec::new(), depth) {
        Ok(()) => {
            value.whitespace();
            Ok(value.peek().is_none())
        }
        Err(reject) if reject.class == Class::TooDeep => Err(reject),
        Err(_) => Ok(false),
    }
}

fn boolean_of(text: &str) -> Option<bool> {
    let is_word = |words: [&str; 2]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_word(["true", "t"]) { Some(true) } else { is_word(["false", "f"]).then_some(false) }
}

/// A text that is a number, as JSON has it. Programs also write `007`, `+7`, `.5` and `7.`; each digit
/// that says something stays, since to read and to write a number could change the last one.
pub(crate) fn number_of(text: &str) -> Option<Cow<'_, str>> {
    let is_negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || fraction.is_some_and(|digits| !digits.is_empty());
    let is_power = |text: &str| {
        let power = text.strip_prefix(['-', '+']).unwrap_or(text);
        !power.is_empty() && digits(power)
    };
    let is_number = has_digits && digits(whole) && fraction.is_none_or(digits);
    if !is_number || !exponent.is_none_or(is_power) {
        return None;
    }
    let is_padded = whole.is_empty() || (whole.len() > 1 && whole.starts_with('0'));
    if !text.starts_with('+') && !is_padded && fraction != Some("") {
        return Some(Cow::Borrowed(text));
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let mut number = format!("{}{whole}", if is_negative { "-" } else { "" });
    let parts = [(".", fraction.filter(|digits| !digits.is_empty())), ("e", exponent)];
    for (before, digits) in parts.into_iter().filter_map(|(before, part)| Some((before, part?))) {
        number.push_str(before);
        number.push_str(digits);
    }
    Some(Cow::Owned(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_programs_write() {
        for (text, expected) in [
            ("7", "7"),
            ("-7", "-7"),
            ("943.3567169983137", "943.3567169983137"),
            ("1e400", "1e400"),
            ("-0", "-0"),
            ("-0.0", "-0.0"),
            ("007", "7"),
            ("-007", "-7"),
            ("000", "0"),
            ("+7", "7"),
            ("+007", "7"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("+.5E-3", "0.5e-3"),
            ("7.", "7"),
            ("01.50", "1.50"),
            ("7.e3", "7e3"),
            ("00e+1", "0e+1"),
        ] {
            assert_eq!(number_of(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["", ".", "+", "-", "+-7", "-+7", "--7", "7-", "1e", "e5", ".e5", "1e.5", "0x1", "nan"]
        {
            assert_eq!(number_of(text), None, "{text}");
        }
        for text in ["1 2", "+ 7", "1,5", "1_000", "1'000", "٣", "1.2.3", "$7", "7%", "inf"] {
            assert_eq!(number_of(text), None, "{text}");
        }
    }
}
