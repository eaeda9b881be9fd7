//! Maps of Parquet files as JSON objects, whose keys are texts, each of them once.

use std::rc::Rc;

use arrow_json::Encoder;
use arrow_json::writer::NullableEncoder;
use datafusion::arrow::array::{Array, MapArray};
use datafusion::arrow::error::ArrowError;

use super::encode::{Faults, encoder, push_nullable};
use super::meaning::Column;
use crate::decode::Class;

/// The entries of maps.
pub(super) struct Entries<'a> {
    path: &'a str,
    ends: &'a [i32],
    keys: NullableEncoder<'a>,
    values: NullableEncoder<'a>,
    /// The keys of one map, and where each of them ends.
    written: Vec<u8>,
    written_ends: Vec<usize>,
    faults: Rc<Faults>,
}

impl<'a> Entries<'a> {
    /// # Errors
    /// The keys or values have a type that is no JSON.
    pub(super) fn new(
        column: &'a Column,
        map: &'a MapArray,
        faults: &Rc<Faults>,
    ) -> Result<Self, ArrowError> {
        let [key, value] = column.inner.as_slice() else {
            return Err(ArrowError::SchemaError(format!("`{}` is no map", column.path)));
        };
        Ok(Self {
            path: &column.path,
            ends: map.value_offsets(),
            keys: encoder(key, map.keys().as_ref() as &dyn Array, faults)?,
            values: encoder(value, map.values().as_ref(), faults)?,
            written: Vec::new(),
            written_ends: Vec::new(),
            faults: Rc::clone(faults),
        })
    }

    /// Appends a key, as text; a number as its digits.
    fn key(&mut self, i: usize, out: &mut Vec<u8>) {
        let start = self.written.len();
        push_nullable(&mut self.keys, i, &mut self.written);
        self.written_ends.push(self.written.len());
        let key = &self.written[start..];
        match key.first() {
            Some(b'"') => out.extend_from_slice(key),
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                out.push(b'"');
                out.extend_from_slice(key);
                out.push(b'"');
            }
            Some(b'n') => self.faults.note(Class::WrongType, self.path, "has a key that is null"),
            // What cannot be written is noted where it stands.
            None => {}
            Some(_) => {
                let what = "has a key that is neither text nor a number";
                self.faults.note(Class::WrongType, self.path, what);
            }
        }
    }

    fn has_twice(&self) -> bool {
        let mut start = 0;
        let key = |end: &usize| {
            let key = &self.written[start..*end];
            start = *end;
            key
        };
        let mut keys: Vec<&[u8]> = self.written_ends.iter().map(key).collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Encoder for Entries<'_> {
    fn encode(&mut self, i: usize, out: &mut Vec<u8>) {
        let place = |i: usize| usize::try_from(self.ends[i]).unwrap_or(0);
        let (start, end) = (place(i), place(i + 1));
        self.written.clear();
        self.written_ends.clear();
        out.push(b'{');
        for i in start..end {
            if i > start {
                out.push(b',');
            }
            self.key(i, out);
            out.push(b':');
            push_nullable(&mut self.values, i, out);
        }
        out.push(b'}');
        if end - start > 1 && self.has_twice() {
            self.faults.note(Class::DuplicateField, self.path, "has a key twice");
        }
    }
}
