//! Cuts a text of CSV into rows, as RFC 4180 has it and the `csv` crate reads it.
//!
//! A reader of our own because three promises are kept here that no library keeps: a row above the
//! limit costs itself and no memory, a quote that is never closed costs its line and not the rest of
//! the file, and a row that is still being written is known to be one.

use std::io::{self, Read};

use memchr::memchr_iter;

use super::csv_columns::{COLUMNS_MAX, Columns, n_known};
use super::csv_row::{Dropping, Parsed, Row, line_of};
use super::cut::{CHUNK_BYTES, Cutter};
use super::pipe::fill;
use crate::batchlog::Resume;
use crate::contract::TypedField;
use crate::decode::{Class, Reject};
use crate::error::{Error, Result};

/// Separators that a header may have; where none knows more columns, it is the first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Times that a file is read again behind a quote that is not closed.
const REREAD_MAX: u32 = 1000;
const OPEN: &str = "a quote is opened and not closed, so the row has no end";
const STRAY: &str =
    "text stands behind a closing quote: a quote within quotes must be written twice";

/// How a text ended.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Where a text that has grown goes on.
    pub(super) place: Resume,
    /// The last row was taken, and had no line's end.
    pub(super) is_open: bool,
    /// Bytes at the end that are no whole row yet.
    pub(super) n_waiting: u64,
    /// Why the text could not be read further.
    pub(super) fault: Option<io::Error>,
}

/// Reads rows from a place to the text's end; where that is not the start, the header is read first.
///
/// # Errors
/// The header cannot be used.
pub(super) fn csv(
    cutter: &mut Cutter,
    text: &mut dyn Read,
    from: Resume,
    fields: &[TypedField],
) -> Result<End> {
    let mut rows = Rows {
        buffer: Vec::new(),
        at: 0,
        bytes: 0,
        has_ended: false,
        fault: None,
        named: None,
        separator: b',',
        row: Row::default(),
        n_reread: 0,
        is_open: false,
        resume: None,
        n_waiting: 0,
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
    let here = rows.here();
    let Rows { resume, is_open, n_waiting, .. } = rows;
    Ok(End { place: resume.unwrap_or(here), is_open, n_waiting, fault })
}

struct Rows<'a> {
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the text that are passed.
    bytes: u64,
    has_ended: bool,
    /// Why the text ends behind the buffer, where that is no end.
    fault: Option<io::Error>,
    /// The separator that a line before the header names.
    named: Option<u8>,
    separator: u8,
    row: Row,
    n_reread: u32,
    is_open: bool,
    /// The last row is no whole one: here it begins.
    resume: Option<Resume>,
    n_waiting: u64,
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

    fn here(&self) -> Resume {
        Resume { bytes: self.bytes, next: self.cutter.next, ..Resume::default() }
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
            if self.named.is_none() && self.separator_line() {
                continue;
            }
            match self.header_row(fields) {
                Parsed::Last(_) | Parsed::OpenQuote if self.rest().is_empty() => {
                    return Ok(Ok(None));
                }
                Parsed::Row(n) | Parsed::Last(n) => break n,
                Parsed::OpenQuote => {
                    return Err(Error::data("the header opens a quote that is not closed"));
                }
                Parsed::Stray(_) => return Err(Error::data(format!("the header: {STRAY}"))),
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

    /// Passes a line `sep=;`, which spreadsheets write before the header; whether there is one.
    fn separator_line(&mut self) -> bool {
        let rest = self.rest();
        let n = line_of(rest).unwrap_or(rest.len());
        let line = &rest[..n];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line =
            line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
        let Some((word, [separator, behind @ ..])) = line.split_at_checked(4) else { return false };
        let is_one =
            !separator.is_ascii_alphanumeric() && separator.is_ascii() && *separator != b'"';
        // Saved once more, the line has the separators of its empty fields.
        if !is_one
            || !word.eq_ignore_ascii_case(b"sep=")
            || behind.iter().any(|byte| byte != separator)
        {
            return false;
        }
        self.named = Some(*separator);
        self.pass(n);
        true
    }

    /// The row here as the separator cuts it that knows most columns; that is the file's.
    fn header_row(&mut self, fields: &[TypedField]) -> Parsed {
        let mut best = (0, None);
        let mut first = None;
        for separator in self.named.into_iter().chain(SEPARATORS) {
            self.separator = separator;
            let parsed = self.parse(COLUMNS_MAX);
            // Another separator may stand behind this one's quotes.
            if first.is_none_or(|(_, first)| matches!(first, Parsed::Stray(_))) {
                first = Some((separator, parsed));
            }
            if matches!(parsed, Parsed::Row(_) | Parsed::Last(_)) {
                let n_known = n_known(&self.row, fields);
                if n_known > best.0 {
                    best = (n_known, Some((separator, parsed)));
                }
            }
        }
        let (separator, parsed) = best.1.or(first).unwrap_or((SEPARATORS[0], Parsed::More));
        self.separator = separator;
        parsed
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
                        Parsed::Stray(n) => self.stray(n),
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
        if self.is_blank(n, columns) {
            return self.pass(n);
        }
        let raw = self.buffer[self.at..self.at + n].trim_ascii_end();
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

    fn is_blank(&self, n: usize, columns: &Columns) -> bool {
        let blank: &[u8] = if columns.n > 1 { b" \r\n" } else { b"\r\n" };
        self.rest()[..n].iter().all(|byte| blank.contains(byte))
    }

    /// The last row, of `n` bytes and without a line's end: one that is short waits for its rest.
    fn last(&mut self, n: usize, columns: &Columns) {
        if self.row.len() < columns.n && !self.is_blank(n, columns) && n <= self.cutter.limit {
            return self.wait();
        }
        let first = self.cutter.next;
        self.row(n, columns);
        self.is_open = self.cutter.next > first;
    }

    /// The text ends within quotes. If rows follow the line, it was forgotten to close them there;
    /// else the row is still being written.
    fn open_quote(&mut self, columns: &Columns) {
        let rest = &self.buffer[self.at..];
        let line = line_of(rest).unwrap_or(rest.len());
        let follows = lines(&rest[line..]).any(|line| {
            memchr_iter(self.separator, line).count() + 1 == columns.n && columns.n > 1
        });
        let n = if follows && self.n_reread < REREAD_MAX { line } else { rest.len() };
        self.n_reread += 1;
        self.refuse_or_wait(n, n == rest.len(), OPEN);
    }

    /// Text stands behind a closing quote, so that nobody knows where the row ends: its first line,
    /// of `n` bytes, is refused, unless that line is still being written.
    fn stray(&mut self, n: usize) {
        let line = &self.rest()[..n];
        let is_open = n == self.rest().len() && !line.ends_with(b"\n") && !line.ends_with(b"\r");
        self.refuse_or_wait(n, is_open, STRAY);
    }

    fn refuse_or_wait(&mut self, n: usize, is_open: bool, message: &str) {
        if is_open && n <= self.cutter.limit {
            return self.wait();
        }
        if is_open {
            self.resume = Some(self.here());
        }
        self.refuse(n, message);
    }

    /// Leaves the rest of the text, which is no whole row: it is read again if the file grows, and
    /// nothing is kept of it until then.
    fn wait(&mut self) {
        let n = self.rest().len();
        (self.resume, self.n_waiting) = (Some(self.here()), n as u64);
        self.pass(n);
    }

    /// Refuses the row of `n` bytes here.
    fn refuse(&mut self, n: usize, message: &str) {
        let raw = self.rest()[..n].trim_ascii_end().len();
        if raw > self.cutter.limit {
            self.cutter.too_large();
        } else {
            let raw = &self.buffer[self.at..self.at + raw];
            self.cutter.refuse(Reject::new(Class::NotCsv, message), raw);
        }
        self.cutter.next += 1;
        self.pass(n);
    }

    /// The row here is above the limit: it is dropped; but where a quote was not closed, only its
    /// line is.
    fn too_large(&mut self, columns: &Columns) -> Result<Option<Dropping>> {
        let mut row = Dropping::new();
        let rest = &self.buffer[self.at..];
        row.go_on(rest, self.separator);
        let line = line_of(rest).unwrap_or(rest.len());
        let next = lines(&rest[line..]).next().unwrap_or_default();
        let n_fields = memchr_iter(self.separator, next).count() + 1;
        if row.in_quotes && line < rest.len() && columns.n > 1 && n_fields == columns.n {
            self.n_reread += 1;
            if self.n_reread > REREAD_MAX {
                return Err(Error::data("too many quotes are opened and not closed"));
            }
            self.refuse(line, OPEN);
            return Ok(None);
        }
        self.cutter.too_large();
        self.cutter.next += 1;
        let n = rest.len();
        self.pass(n);
        Ok(Some(row))
    }
}

/// Lines without their ends; between the two bytes of a Windows one there is an empty line.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| matches!(byte, b'\n' | b'\r'))
}

/// Whether a row has more or fewer fields than the header. Empty ones at the end do not count.
fn wrong_count(row: &Row, columns: &Columns) -> Option<Reject> {
    let n = row.len() + row.n_more;
    if row.len() >= columns.n && !row.has_more {
        return None;
    }
    Some(Reject::new(
        Class::NotCsv,
        format!("the row has {n} fields, and the header names {} columns", columns.n),
    ))
}
