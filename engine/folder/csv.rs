//! Cuts a text of CSV into rows, as RFC 4180 has it and the `csv` crate reads it.
//!
//! A reader of our own because three promises are kept here that no library keeps: a row above the
//! limit costs itself and no memory, a quote that is never closed costs its line and not the rest of
//! the file, and a row that is still being written is known to be one.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr3};

use super::csv_columns::{COLUMNS_MAX, Columns, n_known};
use super::cut::{CHUNK_BYTES, Cutter};
use super::pipe::fill;
use crate::contract::TypedField;
use crate::decode::{Class, Reject};
use crate::error::{Error, Result};

/// Separators that a header may have; where none knows more columns, it is the first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Times that a file is read again behind a quote that is not closed.
const REREAD_MAX: u32 = 1000;

/// Where reading begins, and where it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes of the text before it.
    pub(super) bytes: u64,
    /// The position of the next row.
    pub(super) next: u64,
}

/// How a text ended.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Where a text that has grown goes on.
    pub(super) place: Place,
    /// The last row was taken, and had no line's end.
    pub(super) is_open: bool,
    /// Why the text could not be read further.
    pub(super) fault: Option<io::Error>,
}

/// One row: its fields without their quotes.
#[derive(Debug, Default)]
pub(super) struct Row {
    text: Vec<u8>,
    ends: Vec<u32>,
    /// Fields behind the last that is kept.
    n_more: usize,
    /// Whether one of those has a value.
    has_more: bool,
}

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parsed {
    /// A row of so many bytes, with its line's end.
    Row(usize),
    /// A row that ends with the text, without a line's end.
    Last(usize),
    /// The bytes end in the middle of a row.
    More,
    /// The text ends within quotes.
    OpenQuote,
}

impl Row {
    /// A row of one line.
    #[cfg(test)]
    pub(super) fn of(line: &[u8], separator: u8) -> Self {
        let mut row = Self::default();
        row.parse(line, separator, COLUMNS_MAX, true);
        row
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        (self.n_more, self.has_more) = (0, false);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|i| self.field(i))
    }

    /// The value of a field; empty if the row has none there.
    pub(super) fn field(&self, i: usize) -> &[u8] {
        let Some(end) = self.ends.get(i) else { return b"" };
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..*end as usize]
    }

    fn end_field(&mut self, n_max: usize) {
        let start = self.ends.last().map_or(0, |end| *end as usize);
        if self.ends.len() < n_max {
            self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        } else {
            self.n_more += 1;
            self.has_more |= self.text.len() > start;
            self.text.truncate(start);
        }
    }

    /// Reads a row at the start of `bytes`; `n_max` fields are kept.
    fn parse(&mut self, bytes: &[u8], separator: u8, n_max: usize, has_ended: bool) -> Parsed {
        self.clear();
        let mut at = 0;
        loop {
            if bytes.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    let Some(quote) = memchr(b'"', &bytes[at..]).map(|found| at + found) else {
                        return if has_ended { Parsed::OpenQuote } else { Parsed::More };
                    };
                    self.text.extend_from_slice(&bytes[at..quote]);
                    at = quote + 1;
                    match bytes.get(at) {
                        Some(b'"') => {
                            self.text.push(b'"');
                            at += 1;
                        }
                        None if !has_ended => return Parsed::More,
                        _ => break,
                    }
                }
            }
            let Some(found) = memchr3(separator, b'\n', b'\r', &bytes[at..]) else {
                if !has_ended {
                    return Parsed::More;
                }
                self.text.extend_from_slice(&bytes[at..]);
                self.end_field(n_max);
                return Parsed::Last(bytes.len());
            };
            self.text.extend_from_slice(&bytes[at..at + found]);
            at += found;
            self.end_field(n_max);
            match bytes[at] {
                b'\r' if bytes.get(at + 1) == Some(&b'\n') => return Parsed::Row(at + 2),
                b'\n' | b'\r' => return Parsed::Row(at + 1),
                _ => at += 1,
            }
        }
    }
}

/// Finds the end of a row that is too large to be held.
#[derive(Debug)]
struct Dropping {
    in_quotes: bool,
    /// A quote here opens a field.
    at_field: bool,
    /// The byte before was a quote within quotes: it closed them unless another follows.
    behind_quote: bool,
}

impl Dropping {
    /// Whether the row ends in these bytes, and how many belong to it.
    fn go_on(&mut self, bytes: &[u8], separator: u8) -> (usize, bool) {
        for (at, byte) in bytes.iter().copied().enumerate() {
            if self.in_quotes && !self.behind_quote {
                self.behind_quote = byte == b'"';
                continue;
            }
            if std::mem::take(&mut self.behind_quote) {
                if byte == b'"' {
                    continue;
                }
                self.in_quotes = false;
            }
            match byte {
                b'\n' | b'\r' => return (at + 1, true),
                b'"' if self.at_field => (self.in_quotes, self.at_field) = (true, false),
                _ => self.at_field = byte == separator,
            }
        }
        (bytes.len(), false)
    }
}

/// Reads rows from a place to the text's end; where that is not the start, the header is read first.
///
/// # Errors
/// The header cannot be used.
pub(super) fn csv(
    cutter: &mut Cutter,
    text: &mut dyn Read,
    from: Place,
    fields: &[TypedField],
) -> Result<End> {
    let mut rows = Rows {
        buffer: Vec::new(),
        at: 0,
        bytes: 0,
        has_ended: false,
        fault: None,
        separator: b',',
        row: Row::default(),
        n_reread: 0,
        is_open: false,
        resume: None,
        cutter,
    };
    rows.fault = rows.fill(text);
    let columns = match rows.header(text, fields)? {
        Ok(Some(columns)) => columns,
        Ok(None) => return Ok(End::default()),
        Err(cause) => return Ok(End { fault: Some(cause), ..End::default() }),
    };
    rows.cutter.next = from.next;
    let fault = rows.read(text, from.bytes, &columns)?;
    rows.cutter.flush();
    let here = Place { bytes: rows.bytes, next: rows.cutter.next };
    let (place, is_open) = (rows.resume.unwrap_or(here), rows.is_open);
    Ok(End { place, is_open, fault })
}

struct Rows<'a> {
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the text that are passed.
    bytes: u64,
    has_ended: bool,
    /// Why the text ends behind the buffer, where that is no end.
    fault: Option<io::Error>,
    separator: u8,
    row: Row,
    n_reread: u32,
    is_open: bool,
    /// The last row was refused as half: here it begins.
    resume: Option<Place>,
    cutter: &'a mut Cutter,
}

impl Rows<'_> {
    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn pass(&mut self, n: usize) {
        self.at += n;
        self.bytes += n as u64;
    }

    fn fill(&mut self, text: &mut dyn Read) -> Option<io::Error> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let start = self.buffer.len();
        self.buffer.resize(start + CHUNK_BYTES, 0);
        let (read, fault) = fill(text, &mut self.buffer[start..]);
        self.buffer.truncate(start + read);
        self.has_ended = read < CHUNK_BYTES && fault.is_none();
        fault
    }

    fn parse(&mut self, n_max: usize) -> Parsed {
        self.row.parse(&self.buffer[self.at..], self.separator, n_max, self.has_ended)
    }

    /// Reads the header; `None` if it is not whole yet.
    fn header(
        &mut self,
        text: &mut dyn Read,
        fields: &[TypedField],
    ) -> Result<io::Result<Option<Columns>>> {
        if self.rest().starts_with(b"\xef\xbb\xbf") {
            self.pass(3);
        }
        let n = loop {
            // Not more: a separator may be white space, and stand before a column without a name.
            let blank = self.rest().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.pass(blank);
            match self.parse(COLUMNS_MAX) {
                Parsed::Last(_) | Parsed::OpenQuote if self.rest().is_empty() => {
                    return Ok(Ok(None));
                }
                Parsed::Row(n) | Parsed::Last(n) => break n,
                Parsed::OpenQuote => {
                    return Err(Error::data("the header opens a quote that is not closed"));
                }
                Parsed::More if self.rest().len() > self.cutter.limit => {
                    return Err(Error::data(format!(
                        "the header is longer than {} bytes, the setting `ingest.record_limit`",
                        self.cutter.limit
                    )));
                }
                Parsed::More => {
                    if let Some(cause) = self.fault.take() {
                        return Ok(Err(cause));
                    }
                    self.fault = self.fill(text);
                }
            }
        };
        let header = self.rest()[..n].to_vec();
        let mut best = 0;
        for separator in SEPARATORS {
            self.row.parse(&header, separator, COLUMNS_MAX, true);
            let n_known = n_known(&self.row, fields);
            if n_known > best {
                (best, self.separator) = (n_known, separator);
            }
        }
        let is_whole =
            matches!(self.row.parse(&header, self.separator, COLUMNS_MAX, false), Parsed::Row(_));
        if !is_whole {
            // The names that are here may go on, or be all there are: no row depends on it.
            self.row.parse(&header, self.separator, COLUMNS_MAX, true);
        }
        if self.row.n_more > 0 {
            return Err(Error::data(format!("the header has more than {COLUMNS_MAX} columns")));
        }
        let columns = Columns::new(&self.row, fields);
        if !is_whole {
            return columns.map(|_| Ok(None));
        }
        self.pass(n);
        columns.map(|columns| Ok(Some(columns)))
    }

    fn read(
        &mut self,
        text: &mut dyn Read,
        from: u64,
        columns: &Columns,
    ) -> Result<Option<io::Error>> {
        let mut dropping: Option<Dropping> = None;
        let mut fault = self.fault.take();
        loop {
            let skip = from.saturating_sub(self.bytes).min(self.rest().len() as u64);
            self.pass(usize::try_from(skip).unwrap_or(0));
            if self.bytes >= from {
                loop {
                    if let Some(row) = &mut dropping {
                        let (n, is_whole) = row.go_on(&self.buffer[self.at..], self.separator);
                        self.pass(n);
                        if !is_whole {
                            break;
                        }
                        dropping = None;
                    }
                    if !self.cutter.is_heard() || self.rest().is_empty() {
                        break;
                    }
                    match self.parse(columns.n) {
                        Parsed::Row(n) => self.row(n, columns),
                        Parsed::Last(n) => self.last(n, columns),
                        Parsed::OpenQuote => self.open_quote(columns),
                        Parsed::More if self.rest().len() <= self.cutter.limit => break,
                        Parsed::More => dropping = self.too_large(columns)?,
                    }
                }
            }
            if fault.is_some() || self.has_ended || !self.cutter.is_heard() {
                return Ok(fault);
            }
            fault = self.fill(text);
        }
    }

    /// Takes the row that was parsed, of `n` bytes.
    fn row(&mut self, n: usize, columns: &Columns) {
        let raw = &self.buffer[self.at..self.at + n];
        let blank: &[u8] = if columns.n > 1 { b" \r\n" } else { b"\r\n" };
        let is_blank = raw.iter().all(|byte| blank.contains(byte));
        if is_blank {
            return self.pass(n);
        }
        let raw = raw.trim_ascii_end();
        if raw.len() > self.cutter.limit {
            self.cutter.too_large();
        } else if std::str::from_utf8(&self.row.text).is_err() {
            // No JSON can hold it: as it came it is found to be no UTF-8, and quarantined.
            self.cutter.record(raw);
        } else if let Some(reject) = wrong_count(&self.row, columns) {
            self.cutter.refuse(reject, raw);
        } else {
            let (row, limit) = (&self.row, self.cutter.limit);
            self.cutter.record_by(|out| columns.write(row, limit, out));
        }
        self.cutter.next += 1;
        self.pass(n);
    }

    /// The last row, without a line's end: one that is short is read again if the file grows.
    fn last(&mut self, n: usize, columns: &Columns) {
        let here = Place { bytes: self.bytes, next: self.cutter.next };
        if wrong_count(&self.row, columns).is_some() {
            self.resume = Some(here);
        }
        self.row(n, columns);
        self.is_open = self.resume.is_none() && self.cutter.next > here.next;
    }

    /// The text ends within quotes. If rows follow the line, it was forgotten to close them there;
    /// else the row is still being written, and read again if the file grows.
    fn open_quote(&mut self, columns: &Columns) {
        let rest = &self.buffer[self.at..];
        let line = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let follows = rest[line..].split(|byte| *byte == b'\n').any(|line| {
            memchr_iter(self.separator, line).count() + 1 == columns.n && columns.n > 1
        });
        let n = if follows && self.n_reread < REREAD_MAX { line } else { rest.len() };
        if n == rest.len() {
            self.resume = Some(Place { bytes: self.bytes, next: self.cutter.next });
        }
        self.n_reread += 1;
        self.refuse_open(n);
    }

    /// Refuses the row of `n` bytes here, whose quote is not closed.
    fn refuse_open(&mut self, n: usize) {
        let raw = self.rest()[..n].trim_ascii_end();
        if raw.len() > self.cutter.limit {
            self.cutter.too_large();
        } else {
            let message = "a quote is opened and not closed, so the row has no end";
            let raw = &self.buffer[self.at..self.at + raw.len()];
            self.cutter.refuse(Reject::new(Class::NotCsv, message), raw);
        }
        self.cutter.next += 1;
        self.pass(n);
    }

    /// The row here is above the limit: it is dropped; but where a quote was not closed, only its
    /// line is.
    fn too_large(&mut self, columns: &Columns) -> Result<Option<Dropping>> {
        let mut row = Dropping { in_quotes: false, at_field: true, behind_quote: false };
        let rest = &self.buffer[self.at..];
        row.go_on(rest, self.separator);
        let line = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let next = rest[line..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let n_fields = memchr_iter(self.separator, next).count() + 1;
        if row.in_quotes && line < rest.len() && columns.n > 1 && n_fields == columns.n {
            self.n_reread += 1;
            if self.n_reread > REREAD_MAX {
                return Err(Error::data("too many quotes are opened and not closed"));
            }
            self.refuse_open(line);
            return Ok(None);
        }
        self.cutter.too_large();
        self.cutter.next += 1;
        let n = rest.len();
        self.pass(n);
        Ok(Some(row))
    }
}

/// Whether a row has more or fewer fields than the header. Empty ones at the end do not count.
fn wrong_count(row: &Row, columns: &Columns) -> Option<Reject> {
    let n = row.ends.len() + row.n_more;
    if row.ends.len() >= columns.n && !row.has_more {
        return None;
    }
    Some(Reject::new(
        Class::NotCsv,
        format!("the row has {n} fields, and the header names {} columns", columns.n),
    ))
}
