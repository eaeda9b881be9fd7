//! Cuts a text of JSON into records: one a line, or one after the other, or in one long list.
//!
//! Lines that each look like one object go on as they are, a megabyte at once. Whatever else stands
//! there is scanned: a value over several lines, several in one line, the elements of a list. A
//! record that is no JSON costs itself, and its neighbours on both sides come in.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter};

use super::cut::{CHUNK_BYTES, Cutter};
use super::pipe::fill;
use super::value::{Glued, Scan, Step, indent_of, scalar_end};
use crate::batchlog::Resume;

/// How a text ended.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Where a text that has grown goes on.
    pub(super) place: Resume,
    /// Bytes at the end that are no whole record yet.
    pub(super) n_waiting: u64,
    /// Why the text could not be read further.
    pub(super) fault: Option<io::Error>,
}

impl End {
    /// Whether the list that the file is goes on.
    pub(super) fn is_open(&self) -> bool {
        self.place.is_open
    }
}

/// Reads a text from a place to its end. A last record that is not whole yet is left: the file may
/// grow, a packed one by another member.
pub(super) fn json(cutter: &mut Cutter, mut text: Box<dyn Read>, from: Resume) -> End {
    let skipped = io::copy(&mut text.by_ref().take(from.bytes), &mut io::sink());
    if let Err(cause) = skipped {
        return End { place: from, fault: Some(cause), ..End::default() };
    }
    cutter.next = from.next;
    let mut splitter = Splitter {
        place: from,
        scan: None,
        buffer: Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 2)),
        at: 0,
        glued: Glued::default(),
        dropping: None,
        has_ended: false,
        cutter,
    };
    let fault = splitter.read(text.as_mut());
    splitter.cutter.flush();
    let n_waiting = (splitter.buffer.len() - splitter.at) as u64;
    let place = Resume { next: splitter.cutter.next, ..splitter.place };
    if fault.is_some() {
        // The record before the fault has its own position.
        splitter.cutter.next += u64::from(place.same_line);
    }
    End { place, n_waiting, fault }
}

/// What is dropped: the rest of a record that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropping {
    Value,
    Line,
}

/// What a step came to.
enum Next {
    /// Something was passed.
    Passed,
    /// More bytes are needed, or the text has ended.
    Wait,
}

struct Splitter<'a> {
    cutter: &'a mut Cutter,
    /// Of the next byte that is not passed yet.
    place: Resume,
    buffer: Vec<u8>,
    at: usize,
    /// The scan of the record at `at`.
    scan: Option<Scan>,
    glued: Glued,
    dropping: Option<Dropping>,
    has_ended: bool,
}

impl Splitter<'_> {
    fn read(&mut self, text: &mut dyn Read) -> Option<io::Error> {
        if self.place.is_too_large {
            // How deep in it the text broke off is not known any more: its line's end is.
            self.begin_dropping(Dropping::Line);
        }
        loop {
            let fault = self.fill(text);
            if !self.place.has_begun {
                self.begin();
            }
            while self.cutter.is_heard() {
                match self.step() {
                    Next::Passed => {}
                    Next::Wait => break,
                }
            }
            if fault.is_some() || self.has_ended || !self.cutter.is_heard() {
                return fault;
            }
        }
    }

    /// Reads a chunk more behind what is not passed yet.
    fn fill(&mut self, text: &mut dyn Read) -> Option<io::Error> {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.glued = Glued::default();
        let start = self.buffer.len();
        self.buffer.resize(start + CHUNK_BYTES, 0);
        let (read, fault) = fill(text, &mut self.buffer[start..]);
        self.buffer.truncate(start + read);
        self.has_ended = read < CHUNK_BYTES && fault.is_none();
        fault
    }

    /// What the first bytes of a file say.
    fn begin(&mut self) {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.place.bytes == 0 && self.buffer.starts_with(MARK) {
            self.pass(MARK.len());
        }
        let is_cut_off = self.place.bytes == 0 && MARK.starts_with(&self.buffer);
        let first = self.rest().iter().find(|byte| !byte.is_ascii_whitespace());
        if let Some(first) = first.filter(|_| !is_cut_off) {
            (self.place.has_begun, self.place.is_list) = (true, *first == b'[');
        }
        if self.place.is_list {
            // Lines of white space before a list do not count.
            self.cutter.next = 0;
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn pass(&mut self, n: usize) {
        self.at += n;
        self.place.bytes += n as u64;
    }

    fn step(&mut self) -> Next {
        if let Some(dropping) = self.dropping {
            return self.drop_on(dropping);
        }
        if self.scan.is_none() {
            let is_line_start = !self.place.is_list && !self.place.same_line;
            if is_line_start && self.plain_lines() {
                return Next::Passed;
            }
            if self.white_space() {
                return Next::Passed;
            }
        }
        let Some(first) = self.rest().first().copied() else { return Next::Wait };
        match first {
            b'{' => self.value(),
            b'[' | b'"' if self.place.is_open => self.value(),
            b'[' if self.place.is_list => {
                self.place.is_open = true;
                self.pass(1);
                Next::Passed
            }
            _ if self.place.is_list => self.scalar(),
            _ => self.line(),
        }
    }

    /// Sends on whole lines that each look like one object; whether there were any.
    fn plain_lines(&mut self) -> bool {
        let glued = self.glued.next(&self.buffer, self.at);
        let (mut end, mut last, mut n) = (self.at, self.at, 0);
        for line_end in memchr_iter(b'\n', &self.buffer[self.at..]) {
            let line_end = self.at + line_end;
            let line = &self.buffer[end..line_end];
            if glued < line_end || line.len() > self.cutter.limit || !looks_whole(line) {
                break;
            }
            (last, end, n) = (end, line_end + 1, n + 1);
        }
        // The last line may go on in the next, which is no object then, or not here yet.
        if n > 0 && is_cut_off(&self.buffer[last..end]) {
            (end, n) = (last, n - 1);
        }
        if n == 0 {
            return false;
        }
        self.place.bytes += (end - self.at) as u64;
        let lines = if self.at == 0 {
            self.glued = Glued::default();
            let rest = self.buffer.split_off(end);
            std::mem::replace(&mut self.buffer, rest)
        } else {
            let lines = self.buffer[self.at..end].to_vec();
            self.at = end;
            lines
        };
        self.cutter.lines(lines, n);
        true
    }

    /// Passes white space, and in a list commas and its closing bracket; whether a line has ended.
    fn white_space(&mut self) -> bool {
        while let Some(byte) = self.buffer.get(self.at).copied() {
            match byte {
                b'\n' if !self.place.is_list => {
                    self.cutter.next += 1;
                    self.place.same_line = false;
                    self.pass(1);
                    return true;
                }
                b' ' | b'\t' | b'\r' | b'\n' => self.pass(1),
                b',' if self.place.is_open => self.pass(1),
                b']' if self.place.is_open => {
                    self.place.is_open = false;
                    self.pass(1);
                }
                _ => return false,
            }
        }
        false
    }

    /// An object, or another value with brackets in a list.
    fn value(&mut self) -> Next {
        let indent = indent_of(&self.buffer, self.at).unwrap_or(0);
        let mut scan = self.scan.take().unwrap_or_else(|| Scan::new(indent));
        let step = scan.go_on(self.rest());
        match step {
            Step::Whole(n) if self.place.is_list => {
                self.take(n);
                Next::Passed
            }
            Step::Whole(n) => self.behind_object(n),
            Step::Broken => {
                let from = scan.at();
                self.broken(from)
            }
            Step::More if self.rest().len() > self.cutter.limit => {
                self.too_large();
                self.scan = Some(scan);
                self.begin_dropping(Dropping::Value);
                Next::Passed
            }
            Step::More if self.has_ended => self.unfinished(),
            Step::More => {
                self.scan = Some(scan);
                Next::Wait
            }
        }
    }

    /// An object of `n` bytes ends, and the line or another object must follow: else the line is
    /// no JSON.
    fn behind_object(&mut self, n: usize) -> Next {
        let rest = &self.rest()[n..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        match rest.get(blank) {
            Some(b'\n' | b'{') => {
                self.take(n);
                Next::Passed
            }
            None if self.has_ended => {
                self.take(n);
                Next::Passed
            }
            // It is scanned once more when there is more: that is at the end of a chunk only.
            None if blank <= CHUNK_BYTES => Next::Wait,
            _ => self.line_from(n),
        }
    }

    /// The record is cut off before a place: it ends where the next line begins that may be one.
    fn broken(&mut self, from: usize) -> Next {
        let rest = self.rest();
        let indent = indent_of(&self.buffer, self.at).unwrap_or(0);
        let begins = |at: usize| {
            let blank = rest[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            blank <= indent && rest.get(at + blank) == Some(&b'{')
        };
        let next = memchr_iter(b'\n', &rest[..from]).map(|at| at + 1).find(|at| begins(*at));
        match next {
            Some(next) => {
                self.take(next - 1);
                Next::Passed
            }
            None => self.line_from(from),
        }
    }

    /// A value that is no record, in a list.
    fn scalar(&mut self) -> Next {
        self.to(scalar_end(self.rest()))
    }

    /// A line that does not begin as an object.
    fn line(&mut self) -> Next {
        self.line_from(0)
    }

    /// A record that goes to the first line's end at or behind `from`.
    fn line_from(&mut self, from: usize) -> Next {
        self.to(memchr(b'\n', &self.rest()[from..]).map(|n| from + n))
    }

    /// A record that goes to `end`; `None` if its end is not in sight.
    fn to(&mut self, end: Option<usize>) -> Next {
        match end {
            Some(n) => self.take(n),
            None if self.rest().len() > self.cutter.limit => {
                self.too_large();
                self.begin_dropping(Dropping::Line);
            }
            None if self.has_ended => return self.unfinished(),
            None => return Next::Wait,
        }
        Next::Passed
    }

    /// The text ends in the middle of a record.
    fn unfinished(&mut self) -> Next {
        if self.rest().iter().all(u8::is_ascii_whitespace) {
            let n = self.rest().len();
            self.pass(n);
            return Next::Wait;
        }
        // A line that has its end is as whole as it will be, unless it is nothing but the bracket
        // that printers put before the lines of an object.
        if let Some(n) = memchr(b'\n', self.rest()).filter(|_| !self.place.is_list) {
            let opens = self.rest()[..n].trim_ascii() == b"{";
            if !opens {
                self.take(n);
                return Next::Passed;
            }
        }
        Next::Wait
    }

    /// Takes a record of `n` bytes, whatever is in it.
    fn take(&mut self, n: usize) {
        self.number();
        let record = &self.buffer[self.at..self.at + n];
        if record.len() > self.cutter.limit {
            self.cutter.too_large();
        } else {
            self.cutter.record(record);
        }
        self.moved_on(n);
    }

    /// Gives the record that begins here its position: in a file of lines the number of the line
    /// ends before it, and one more for each record that shares its line with an earlier one.
    fn number(&mut self) {
        if std::mem::replace(&mut self.place.same_line, true) {
            self.cutter.next += 1;
        }
    }

    /// Passes the bytes of a record, which may hold line ends.
    fn moved_on(&mut self, n: usize) {
        self.count(n);
        self.pass(n);
        self.scan = None;
    }

    fn count(&mut self, n: usize) {
        if self.place.is_list {
            return;
        }
        let n_lines = memchr_iter(b'\n', &self.rest()[..n]).count() as u64;
        self.cutter.next += n_lines;
        self.place.same_line &= n_lines == 0;
    }

    fn too_large(&mut self) {
        if !self.place.is_too_large {
            self.number();
            self.cutter.too_large();
        }
    }

    fn begin_dropping(&mut self, what: Dropping) {
        self.dropping = Some(what);
        self.place.is_too_large = true;
    }

    /// Drops the bytes of a record that is too large, to its end.
    fn drop_on(&mut self, dropping: Dropping) -> Next {
        let (n, is_whole) = match dropping {
            Dropping::Line => match memchr(b'\n', self.rest()) {
                Some(n) => (n, true),
                None => (self.rest().len(), false),
            },
            Dropping::Value => {
                let mut scan = self.scan.take().unwrap_or_default();
                let step = scan.go_on(self.rest());
                match step {
                    Step::Whole(n) => (n, true),
                    Step::More => {
                        // A scan may stop before the last byte, where an escape is cut.
                        let n = scan.at().min(self.rest().len());
                        scan.forget(n);
                        self.scan = Some(scan);
                        (n, false)
                    }
                    Step::Broken => {
                        self.dropping = Some(Dropping::Line);
                        (scan.at().min(self.rest().len()), false)
                    }
                }
            }
        };
        let scan = self.scan.take();
        self.moved_on(n);
        self.scan = scan;
        if is_whole {
            (self.dropping, self.place.is_too_large) = (None, false);
            return Next::Passed;
        }
        if self.dropping == Some(dropping) { Next::Wait } else { Next::Passed }
    }
}

/// Whether a line is blank, or begins and ends as an object does.
fn looks_whole(line: &[u8]) -> bool {
    if let [b'{', .., b'}'] = line {
        return true;
    }
    matches!(line.trim_ascii(), [] | [b'{', .., b'}'])
}

/// Whether an object that a line begins is open at the line's end.
fn is_cut_off(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && Scan::new(0).go_on(line) == Step::More
}
