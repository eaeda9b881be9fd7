//! Turns JSON records into Arrow columns, strictly, one pass, one record at a time.
//!
//! A record is taken whole or not at all: a broken one is taken back and its neighbours stay.
//! Fields that the contract does not know are kept as JSON in `_rescued_data`. Personal ids become
//! pseudonyms here, before anything else sees them. See `docs/decisions/0004-own-decoder.md`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StructArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Fields};

use crate::contract::{Contract, Type};
use crate::error::{Error, Result};
use crate::pseudonym::Pseudonyms;

mod column;
mod complete;
mod cursor;
mod given;
mod headers;
mod persons;
mod plan;
mod rescue;
#[cfg(test)]
mod tests;
mod texts;
mod time;
mod twice;
mod value;

pub(crate) use persons::{Cleaned, Persons, is_spelled_alike};
pub(crate) use texts::number_of;

use column::{Column, Values};
use cursor::{Cursor, DEPTH_MAX};
use plan::{Child, Plan};
use value::{
    date, double, finite, integer, out_of_range, push_json, push_string, timestamp, wanted,
    wrong_type,
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a record was not taken, as quarantine sorts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It is not valid UTF-8.
    NotUtf8,
    /// It is not one JSON object.
    NotJson,
    /// It nests deeper than JSON parsers allow.
    TooDeep,
    /// A field has a value of another type.
    WrongType,
    /// A value does not fit its type.
    OutOfRange,
    /// A field that must be there is not.
    MissingField,
    /// A field appears twice, and nobody can say which one counts.
    DuplicateField,
    /// A check of the contract is false.
    CheckFailed,
    /// It has no value at all: what a compacted Kafka topic uses to say that a key is gone.
    Tombstone,
    /// The rest of the file cannot be read.
    Unreadable,
    /// It is longer than records may be; its bytes are not kept.
    TooLarge,
    /// It is no row of its CSV file: a quote is not closed, or the header has other columns.
    NotCsv,
}

impl Class {
    /// The name in quarantine's `error_class`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::TooDeep => "too_deep",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::MissingField => "missing_field",
            Self::DuplicateField => "duplicate_field",
            Self::CheckFailed => "check_failed",
            Self::Tombstone => "tombstone",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::NotCsv => "not_csv",
        }
    }
}

/// Why a record was not taken. The message never repeats a value: it may be personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The kind of fault.
    pub class: Class,
    /// The field and what is wrong with it.
    pub message: String,
}

impl Reject {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.name(), self.message)
    }
}

/// What records were before they became JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON: an object names a field or leaves it out, and each value has its type.
    Objects,
    /// Rows that have all columns of their file: what has no value is missing.
    Rows,
    /// The same, and each value is a text, as in CSV: what it is says its column.
    Texts,
}

/// What a field's name means.
#[derive(Clone, Copy, Debug)]
enum Key {
    /// A field of the contract.
    Known(u16),
    /// The same, but for the case of its letters.
    Recased(u16),
    Unknown,
}

/// Decodes the records of one contract.
#[derive(Debug)]
pub struct Decoder {
    plan: Plan,
    pseudonyms: Option<Pseudonyms>,
    rescued: Column,
    rescues: Vec<rescue::Rescue>,
    recased: Vec<complete::Recased>,
    touched: Vec<u16>,
    touched_structs: Vec<u16>,
    scratch: Vec<u8>,
    /// Columns that have a value where the record has none, and the value as JSON.
    given: Vec<(u16, Vec<u8>)>,
    /// Of what form the next records are.
    form: Form,
    n_rows: u32,
    record: u32,
}

impl Decoder {
    /// A decoder for a contract's columns.
    ///
    /// # Errors
    /// The contract has a type that records cannot fill, or personal columns and no key.
    pub fn new(contract: &Contract, mut pseudonyms: Option<Pseudonyms>) -> Result<Self> {
        let plan = Plan::new(contract, pseudonyms.as_mut())?;
        let rescued = Column { rows: Vec::new(), values: Values::Text(Vec::new(), Vec::new()) };
        Ok(Self {
            plan,
            pseudonyms,
            rescued,
            rescues: Vec::new(),
            recased: Vec::new(),
            touched: Vec::new(),
            touched_structs: Vec::new(),
            scratch: Vec::new(),
            given: Vec::new(),
            form: Form::Objects,
            n_rows: 0,
            record: 0,
        })
    }

    /// Rows taken since the last [`Decoder::finish`].
    pub fn n_rows(&self) -> usize {
        self.n_rows as usize
    }

    /// The bytes of text that those rows hold, to know when to finish.
    pub fn text_bytes(&self) -> usize {
        self.plan.leaves.iter().map(|leaf| leaf.column.text_bytes()).sum::<usize>()
            + self.rescued.text_bytes()
    }

    /// Takes one record as the next row.
    ///
    /// # Errors
    /// What is wrong with the record; no row was added then.
    #[inline]
    pub fn decode(&mut self, record: &[u8]) -> Result<(), Reject> {
        if std::str::from_utf8(record).is_err() {
            return Err(Reject::new(Class::NotUtf8, "the record is not UTF-8"));
        }
        self.record += 1;
        self.touched.clear();
        self.touched_structs.clear();
        self.rescues.clear();
        self.recased.clear();
        let mut cursor = Cursor { bytes: record, at: 0 };
        match self.whole(&mut cursor) {
            Ok(()) => {
                self.n_rows += 1;
                Ok(())
            }
            Err(reject) => {
                self.take_back();
                Err(reject)
            }
        }
    }

    fn whole(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Reject> {
        cursor.whitespace();
        if cursor.peek() == Some(BYTE_ORDER_MARK[0]) && cursor.bytes.starts_with(BYTE_ORDER_MARK) {
            // Some programs write it before every text.
            cursor.at = BYTE_ORDER_MARK.len();
            cursor.whitespace();
        }
        if cursor.peek() != Some(b'{') {
            return Err(cursor.unexpected("expected a JSON object"));
        }
        self.object(0, cursor, 1)?;
        cursor.whitespace();
        if cursor.peek().is_some() {
            return Err(cursor::not_json("something follows the JSON object", cursor.at));
        }
        if !self.rescues.is_empty() {
            let text = rescue::to_json(&mut self.rescues, cursor.bytes, &self.plan);
            if !text.is_empty() {
                self.rescued.push_text(self.n_rows, &text);
            }
        }
        Ok(())
    }

    #[cold]
    fn take_back(&mut self) {
        for leaf in &self.touched {
            self.plan.leaves[usize::from(*leaf)].column.take_back(self.n_rows);
        }
        for index in &self.touched_structs {
            let rows = &mut self.plan.structs[usize::from(*index)].rows;
            if rows.last() == Some(&self.n_rows) {
                rows.pop();
            }
        }
        self.rescued.take_back(self.n_rows);
    }

    /// Reads an object whose brace is at the cursor into struct `index`.
    fn object(&mut self, index: usize, cursor: &mut Cursor<'_>, depth: u32) -> Result<(), Reject> {
        self.plan.structs[index].rows.push(self.n_rows);
        self.touched_structs.push(u16::try_from(index).unwrap_or(u16::MAX));
        cursor.at += 1;
        cursor.whitespace();
        if cursor.peek() == Some(b'}') {
            cursor.at += 1;
            return self.complete(index, cursor.bytes, depth);
        }
        let mut before = 0;
        loop {
            cursor.whitespace();
            let key_start = cursor.at;
            let key = self.key(index, before, cursor)?;
            let name = key_start..cursor.at;
            cursor.expect(b':')?;
            cursor.whitespace();
            match key {
                Key::Known(field) => {
                    before = usize::from(field) + 1;
                    self.field(index, field, cursor, depth)?;
                }
                Key::Recased(_) | Key::Unknown => {
                    let start = cursor.at;
                    cursor.skip(&mut self.scratch, depth)?;
                    self.put_off(index, key, name, start..cursor.at);
                }
            }
            cursor.whitespace();
            match cursor.peek() {
                Some(b',') => cursor.at += 1,
                Some(b'}') => {
                    cursor.at += 1;
                    return self.complete(index, cursor.bytes, depth);
                }
                _ => return Err(cursor.unexpected("expected `,` or `}`")),
            }
        }
    }

    /// Keeps the place of a field that is none of the contract, or may be one when its object ends.
    fn put_off(&mut self, within: usize, field: Key, key: Range<usize>, value: Range<usize>) {
        if let Key::Recased(field) = field {
            self.recased.push(complete::Recased { within, field, key, value });
        } else {
            self.rescues.push(rescue::Rescue { within, key, value });
        }
    }

    /// Reads a field's name. Producers send fields in the same order, so the field that followed
    /// last time is tried first, byte by byte, before the name is looked up.
    #[inline]
    fn key(&mut self, index: usize, before: usize, cursor: &mut Cursor<'_>) -> Result<Key, Reject> {
        if cursor.peek() != Some(b'"') {
            return Err(cursor.unexpected("expected a field's name"));
        }
        let own = &mut self.plan.structs[index];
        let guess = own.followers[before];
        if let Some(name) = own.names.get(usize::from(guess)) {
            let start = cursor.at + 1;
            let end = start + name.len();
            if cursor.bytes.get(end) == Some(&b'"') && cursor.bytes[start..end] == **name {
                cursor.at = end + 1;
                return Ok(Key::Known(guess));
            }
        }
        let name = cursor.string(&mut self.scratch)?;
        let name = name.bytes(&self.scratch);
        if let Some(field) = own.field(name) {
            own.followers[before] = field;
            return Ok(Key::Known(field));
        }
        Ok(own.recased(name).map_or(Key::Unknown, Key::Recased))
    }

    #[inline]
    fn field(
        &mut self,
        index: usize,
        field: u16,
        cursor: &mut Cursor<'_>,
        depth: u32,
    ) -> Result<(), Reject> {
        let own = &mut self.plan.structs[index];
        let at = usize::from(field);
        if own.seen[at] == self.record {
            let name = String::from_utf8_lossy(&own.names[at]).into_owned();
            return Err(Reject::new(
                Class::DuplicateField,
                format!("field `{name}` appears twice"),
            ));
        }
        own.seen[at] = self.record;
        match own.children[at] {
            Child::Leaf(leaf) => self.leaf(leaf, cursor, depth),
            Child::Struct(inner) => match cursor.peek() {
                Some(b'n') => cursor.literal("null"),
                Some(b'{') if depth < DEPTH_MAX => self.object(inner, cursor, depth + 1),
                _ => Err(wrong_type(
                    &self.plan.structs[inner].path.join("."),
                    "an object",
                    cursor,
                    &mut self.scratch,
                )),
            },
        }
    }

    fn leaf(&mut self, index: usize, cursor: &mut Cursor<'_>, depth: u32) -> Result<(), Reject> {
        let leaf = &mut self.plan.leaves[index];
        let first = cursor.peek();
        if leaf.is_number && !matches!(first, Some(b'0'..=b'9')) {
            finite(&leaf.path, cursor)?;
        }
        if first == Some(b'n') {
            return cursor.literal("null");
        }
        let row = self.n_rows;
        self.touched.push(u16::try_from(index).unwrap_or(u16::MAX));
        let is_text = matches!(leaf.data_type, Type::Text { .. });
        if self.form == Form::Texts && !is_text && first == Some(b'"') {
            return self.text(index, cursor, depth);
        }
        match (&mut leaf.column.values, first) {
            (Values::Text(..), _) if leaf.data_type == Type::Json => {
                let start = cursor.at;
                cursor.skip(&mut self.scratch, depth)?;
                push_json(leaf, row, &cursor.bytes[start..cursor.at], &self.plan.persons);
                return Ok(());
            }
            (Values::Text(..), Some(b'"')) => {
                let text = cursor.string(&mut self.scratch)?;
                return push_string(
                    leaf,
                    row,
                    text,
                    &self.scratch,
                    self.pseudonyms.as_mut(),
                    self.plan.reject_empty,
                    &self.plan.persons,
                );
            }
            (Values::Int(values), Some(b'-' | b'0'..=b'9')) => {
                let value = integer(&leaf.path, cursor.number()?)?;
                values.push(i32::try_from(value).map_err(|_| out_of_range(&leaf.path, "32 bits"))?);
            }
            (Values::BigInt(values), Some(b'-' | b'0'..=b'9')) => {
                values.push(integer(&leaf.path, cursor.number()?)?);
            }
            (Values::Double(values), Some(b'-' | b'0'..=b'9')) => {
                values.push(double(&leaf.path, cursor.number()?)?);
            }
            (Values::Boolean(values), Some(b't')) => {
                cursor.literal("true")?;
                values.push(true);
            }
            (Values::Boolean(values), Some(b'f')) => {
                cursor.literal("false")?;
                values.push(false);
            }
            (Values::Timestamp(values), Some(b'"')) => {
                let text = cursor.string(&mut self.scratch)?;
                values.push(timestamp(&leaf.path, text.bytes(&self.scratch))?);
            }
            (Values::Date(values), Some(b'"')) => {
                let text = cursor.string(&mut self.scratch)?;
                values.push(date(&leaf.path, text.bytes(&self.scratch))?);
            }
            (values, _) => {
                let wanted = wanted(values);
                let path = leaf.path.clone();
                return Err(wrong_type(&path, wanted, cursor, &mut self.scratch));
            }
        }
        leaf.column.rows.push(row);
        Ok(())
    }

    /// The rows so far as arrays, one per column of the contract and `_rescued_data` last; the
    /// decoder is empty again.
    ///
    /// # Errors
    /// Only by a bug of ours.
    pub fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        let n_rows = self.n_rows as usize;
        let mut arrays = Vec::with_capacity(self.plan.structs[0].children.len() + 1);
        for at in 0..self.plan.structs[0].children.len() {
            arrays.push(self.array(self.plan.structs[0].children[at], n_rows)?.0);
        }
        arrays.push(self.rescued.finish(n_rows, &DataType::Utf8)?);
        for own in &mut self.plan.structs {
            own.rows.clear();
            own.seen.fill(0);
        }
        (self.n_rows, self.record) = (0, 0);
        Ok(arrays)
    }

    fn array(&mut self, child: Child, n_rows: usize) -> Result<(ArrayRef, DataType)> {
        match child {
            Child::Leaf(index) => {
                let leaf = &mut self.plan.leaves[index];
                Ok((leaf.column.finish(n_rows, &leaf.arrow)?, leaf.arrow.clone()))
            }
            Child::Struct(index) => {
                let mut columns = Vec::new();
                let mut fields = Vec::new();
                for at in 0..self.plan.structs[index].children.len() {
                    let (array, data_type) =
                        self.array(self.plan.structs[index].children[at], n_rows)?;
                    let name =
                        String::from_utf8_lossy(&self.plan.structs[index].names[at]).into_owned();
                    fields.push(datafusion::arrow::datatypes::Field::new(name, data_type, true));
                    columns.push(array);
                }
                let data_type = DataType::Struct(Fields::from(fields.clone()));
                let rows = &self.plan.structs[index].rows;
                if rows.is_empty() {
                    return Ok((new_null_array(&data_type, n_rows), data_type));
                }
                let nulls = (rows.len() < n_rows).then(|| column::nulls(rows, n_rows));
                let array =
                    StructArray::try_new(fields.into(), columns, nulls).map_err(|cause| {
                        Error::internal("a decoded struct is broken").caused_by(cause)
                    })?;
                Ok((Arc::new(array), data_type))
            }
        }
    }
}
