//! What the header of a CSV file says, and its rows as JSON objects, so that one decoder decides
//! what fits the contract.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use serde::de::IgnoredAny;

use crate::contract::{Type, TypedField, lookup};
use crate::decode::{Reject, number_of};
use crate::error::{Error, Result};

use super::csv_row::Row;
use super::cut::too_large;

/// Columns of a file at most.
pub(super) const COLUMNS_MAX: usize = 20_000;
/// Fields in fields of a column's name: what has more is no name of a nested field.
const DOTS_MAX: usize = 64;

/// The columns of a CSV file.
#[derive(Debug)]
pub(super) struct Columns {
    /// Columns up to the last that has a name.
    pub(super) n: usize,
    /// As objects in objects, since nested fields are named with dots.
    fields: Vec<Field>,
}

/// A field of the objects that rows become.
#[derive(Debug)]
struct Field {
    name: String,
    /// `"name":`
    key: Vec<u8>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// Its place, and whether it may be the empty text.
    Column(usize, bool),
    Struct(Vec<Field>),
}

/// Whether a header names columns of the contract, and how many.
pub(super) fn n_known(header: &Row, fields: &[TypedField]) -> usize {
    header.iter().filter(|name| known(&trimmed(name), fields).is_some()).count()
}

impl Columns {
    /// The columns that a header names.
    ///
    /// # Errors
    /// The header names none of the contract's columns, or one of them twice. What it says is not
    /// repeated: it may be a row of values, where the header is missing.
    pub(super) fn new(header: &Row, fields: &[TypedField]) -> Result<Self> {
        let names: Vec<String> = header.iter().map(trimmed).collect();
        let n = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let mut columns = Self { n, fields: Vec::new() };
        let exact: HashSet<&str> = names.iter().map(String::as_str).collect();
        let paths: Vec<String> = names[..n]
            .iter()
            .enumerate()
            .map(|(i, name)| match known(name, fields) {
                // A name in another case means the column, unless that is there as well.
                Some(path) if path != *name && exact.contains(path.as_str()) => name.clone(),
                Some(path) => path,
                None if name.is_empty() => format!("column {}", i + 1),
                None => name.clone(),
            })
            .collect();
        if !paths.iter().any(|path| lookup(fields, path).is_some()) {
            return Err(Error::data("the header names no column of the contract")
                .hint(format!("the first line must name the columns, as in {}", wanted(fields))));
        }
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (i, path) in paths.iter().enumerate() {
            if let Some(other) = places.insert(path, i) {
                let what = match lookup(fields, path) {
                    Some(_) => format!("`{path}` in"),
                    None => "the same in".to_owned(),
                };
                return Err(Error::data(format!(
                    "the header names {what} columns {} and {}",
                    other + 1,
                    i + 1
                ))
                .hint("give each column a name of its own, and land it again under a new name"));
            }
        }
        for (i, path) in paths.iter().enumerate() {
            let value = Value::Column(i, is_text(lookup(fields, path)));
            let mut above = path.match_indices('.').map(|(dot, _)| &path[..dot]);
            let is_deep = path.matches('.').nth(DOTS_MAX).is_some();
            if is_deep || above.any(|above| places.contains_key(above) || is_leaf(above, fields)) {
                // What is above it is a value, so this one cannot be a field of it.
                push(&mut columns.fields, path, value);
            } else {
                insert(&mut columns.fields, path, value);
            }
        }
        Ok(columns)
    }

    /// Appends a row as a JSON object of texts: fields without a value are null, and structs of nothing
    /// but them are absent. What a text is, the decoder decides.
    pub(super) fn write(&self, row: &Row, limit: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
        let mut out = Limited { end: out.len() + limit, out };
        object(&self.fields, row, &mut out).map_err(|_| too_large(limit))
    }
}

/// A text as JSON for a column; `None` if no field has it, or if it has fields itself.
pub(super) fn json_of(text: &str, column: &str, fields: &[TypedField]) -> Option<Vec<u8>> {
    let word = text.trim();
    let is_word = |words: [&str; 2]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    let json = match lookup(fields, column)? {
        Type::Struct(_) => return None,
        Type::Int | Type::BigInt | Type::Double => number_of(word).map(Cow::into_owned),
        Type::Boolean if is_word(["true", "t"]) => Some("true".to_owned()),
        Type::Boolean if is_word(["false", "f"]) => Some("false".to_owned()),
        Type::Json => serde_json::from_str::<IgnoredAny>(text).is_ok().then(|| word.to_owned()),
        _ => None,
    };
    Some(json.unwrap_or_else(|| serde_json::Value::from(text).to_string()).into_bytes())
}

/// Names for a hint: all of the contract's columns, nested ones with dots.
pub(super) fn wanted(fields: &[TypedField]) -> String {
    let mut names = Vec::new();
    leaves(fields, "", &mut names);
    names.join(",")
}

fn leaves(fields: &[TypedField], prefix: &str, names: &mut Vec<String>) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        match &field.data_type {
            Type::Struct(fields) => leaves(fields, &format!("{path}."), names),
            _ => names.push(path),
        }
    }
}

fn trimmed(name: &[u8]) -> String {
    String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_owned()
}

/// The contract's spelling of a name, which may differ in case if it then means one field.
pub(super) fn known(name: &str, fields: &[TypedField]) -> Option<String> {
    if lookup(fields, name).is_some() {
        return Some(name.to_owned());
    }
    let (head, rest) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
    let lower = head.to_lowercase();
    let mut same = fields.iter().filter(|field| field.name.to_lowercase() == lower);
    let field = same.next().filter(|_| same.next().is_none())?;
    match (rest, &field.data_type) {
        (None, _) => Some(field.name.clone()),
        (Some(rest), Type::Struct(fields)) => {
            known(rest, fields).map(|rest| format!("{}.{rest}", field.name))
        }
        (Some(_), _) => None,
    }
}

/// Whether `""` is a value: programs that quote every field write it for whatever is missing, and only
/// of a text it can be one.
fn is_text(data_type: Option<&Type>) -> bool {
    use Type::{BigInt, Boolean, Date, Double, Int, Json, Timestamp};
    !matches!(data_type, Some(Boolean | Int | BigInt | Double | Json | Timestamp | Date))
}

/// Whether a name is that of a column without fields. JSON may have some.
fn is_leaf(name: &str, fields: &[TypedField]) -> bool {
    let data_type = known(name, fields).and_then(|path| lookup(fields, &path));
    data_type.is_some_and(|data_type| !matches!(data_type, Type::Struct(_) | Type::Json))
}

fn push(fields: &mut Vec<Field>, name: &str, value: Value) {
    let mut key = serde_json::Value::from(name).to_string().into_bytes();
    key.push(b':');
    fields.push(Field { name: name.to_owned(), key, value });
}

fn insert(fields: &mut Vec<Field>, path: &str, value: Value) {
    let Some((head, rest)) = path.split_once('.') else { return push(fields, path, value) };
    let at = fields.iter().position(|field| field.name == head).unwrap_or_else(|| {
        push(fields, head, Value::Struct(Vec::new()));
        fields.len() - 1
    });
    if let Value::Struct(fields) = &mut fields[at].value {
        insert(fields, rest, value);
    }
}

/// Takes no more than fits.
struct Limited<'a> {
    end: usize,
    out: &'a mut Vec<u8>,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.out.len() + bytes.len() > self.end {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn has_value(field: &Field, row: &Row) -> bool {
    match &field.value {
        Value::Column(i, is_text) => row.field(*i).is_some_and(|text| *is_text || !text.is_empty()),
        Value::Struct(fields) => fields.iter().any(|field| has_value(field, row)),
    }
}

fn object(fields: &[Field], row: &Row, out: &mut Limited<'_>) -> io::Result<()> {
    let mut before = b'{';
    for field in fields {
        match &field.value {
            Value::Struct(inner) if has_value(field, row) => {
                out.write_all(&[before])?;
                out.write_all(&field.key)?;
                object(inner, row, out)?;
            }
            Value::Struct(_) => continue,
            Value::Column(i, is_text) => {
                out.write_all(&[before])?;
                out.write_all(&field.key)?;
                match row.field(*i).filter(|text| *is_text || !text.is_empty()) {
                    Some(text) => string(text, out)?,
                    None => out.write_all(b"null")?,
                }
            }
        }
        before = b',';
    }
    if before == b'{' {
        out.write_all(b"{")?;
    }
    out.write_all(b"}")
}

/// A text as a JSON string. Most have nothing to be escaped.
fn string(text: &[u8], out: &mut Limited<'_>) -> io::Result<()> {
    if text.iter().any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        return Ok(serde_json::to_writer(out, &String::from_utf8_lossy(text))?);
    }
    out.write_all(b"\"")?;
    out.write_all(text)?;
    out.write_all(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, data_type: Type) -> TypedField {
        TypedField { name: name.to_owned(), data_type }
    }

    fn fields() -> Vec<TypedField> {
        let inner = vec![field("lang", Type::Text { max: None }), field("n", Type::BigInt)];
        vec![
            field("id", Type::Text { max: None }),
            field("x", Type::Double),
            field("ok", Type::Boolean),
            field("any", Type::Json),
            field("deep", Type::Struct(inner)),
        ]
    }

    fn line(header: &str, row: &str) -> String {
        let parsed = |text: &str| Row::of(text.as_bytes(), b',');
        let columns = Columns::new(&parsed(header), &fields()).unwrap();
        let mut out = Vec::new();
        columns.write(&parsed(row), 1000, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_is_written_as_its_texts_whatever_the_contract_takes_them_for() {
        let texts = line("id,x,ok,any,new", "007, 1.50,True,{\"a\":1},7");
        let expected = r#"{"id":"007","x":" 1.50","ok":"True","any":"{\"a\":1}","new":"7"}"#;
        assert_eq!(texts, expected);
    }

    #[test]
    fn the_name_of_a_folder_is_what_its_column_takes_it_for() {
        let json = |text: &str, column: &str| {
            json_of(text, column, &fields()).map(|json| String::from_utf8(json).unwrap())
        };
        for (text, column, expected) in [
            ("007", "x", "7"),
            ("12345678901234567890", "x", "12345678901234567890"),
            ("nan", "x", "\"nan\""),
            ("True", "ok", "true"),
            ("F", "ok", "false"),
            ("yes", "ok", "\"yes\""),
            ("[1]", "any", "[1]"),
            ("[1", "any", "\"[1\""),
            ("007", "id", "\"007\""),
        ] {
            assert_eq!(json(text, column).as_deref(), Some(expected), "{column}={text}");
        }
        assert_eq!(json("1", "deep"), None);
    }

    #[test]
    fn quotes_around_nothing_are_the_empty_text_and_null_where_there_is_no_such_value() {
        let all = line("id,x,ok,any,deep.lang,new", "\"\",\"\",\"\",\"\",\"\",\"\"");
        let expected = r#"{"id":"","x":null,"ok":null,"any":null,"deep":{"lang":""},"new":""}"#;
        assert_eq!(all, expected);
        assert_eq!(line("id,deep.n,deep.lang", ",\"\","), r#"{"id":null}"#);
    }

    #[test]
    fn a_column_below_a_value_keeps_its_own() {
        // The contract has `id` and `x` as values, also where the file has no such column.
        assert_eq!(line("id,x.y", "a,b"), r#"{"id":"a","x.y":"b"}"#);
        assert_eq!(line("X.y,Id.k,ok", "a,b,t"), r#"{"X.y":"a","Id.k":"b","ok":"t"}"#);
        assert_eq!(
            line("x,any.k,other.k", "1,b,c"),
            r#"{"x":"1","any":{"k":"b"},"other":{"k":"c"}}"#
        );
        assert_eq!(line("id,id.lang", "a,b"), r#"{"id":"a","id.lang":"b"}"#);
        assert_eq!(line("id.lang,id", "b,a"), r#"{"id.lang":"b","id":"a"}"#);
        assert_eq!(
            line("deep.lang,x,deep.n", "de,,3"),
            r#"{"deep":{"lang":"de","n":"3"},"x":null}"#
        );
        assert_eq!(line("deep.lang,id", ",a"), r#"{"id":"a"}"#);
    }

    #[test]
    fn names_are_matched_in_any_case_if_that_is_one_column() {
        assert_eq!(line("ID,Deep.LANG", "a,b"), r#"{"id":"a","deep":{"lang":"b"}}"#);
        assert_eq!(line("ID,id", "a,b"), r#"{"ID":"a","id":"b"}"#);
        assert_eq!(line(",id", "0,a"), r#"{"column 1":"0","id":"a"}"#);
    }

    #[test]
    fn a_header_that_is_none_is_told_without_its_words() {
        for header in ["alice@example.com,alice@example.com,9", "a,b", ""] {
            let error = Columns::new(&Row::of(header.as_bytes(), b','), &fields()).unwrap_err();
            assert!(!error.report().contains("alice"), "{}", error.report());
        }
        let error = Columns::new(&Row::of(b"alice,id,alice", b','), &fields()).unwrap_err();
        assert!(error.report().contains("columns 1 and 3"), "{}", error.report());
        assert!(!error.report().contains("alice"), "{}", error.report());
    }

    #[test]
    fn a_row_that_grows_too_large_as_json_is_refused() {
        let row = Row::of("\u{1}".repeat(200).as_bytes(), b',');
        let columns = Columns::new(&Row::of(b"id", b','), &fields()).unwrap();
        assert!(columns.write(&row, 1000, &mut Vec::new()).is_err());
        assert!(columns.write(&row, 2000, &mut Vec::new()).is_ok());
    }
}
