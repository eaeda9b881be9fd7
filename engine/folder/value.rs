//! Finds where a JSON value ends, without reading what it says: the decoder decides that.

use memchr::memchr3;
use memchr::memmem::find;

/// What a scan has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The value ends before this byte.
    Whole(usize),
    /// It goes on behind the bytes that there are.
    More,
    /// It cannot go on as it does here: it is no JSON, and what follows may be.
    Broken,
}

/// A scan through a value that begins with `{`, `[` or `"`.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: usize,
    depth: u32,
    /// One bit for each of the innermost 128 levels: whether it is an object.
    objects: u128,
    in_string: bool,
    /// The last byte that was no white space.
    last: u8,
    /// Bytes of white space before the value in its line.
    indent: usize,
}

impl Scan {
    /// A scan of a value that stands behind `indent` bytes of its line.
    pub(super) fn new(indent: usize) -> Self {
        Self { indent, ..Self::default() }
    }

    /// The bytes before this place are dropped by the caller.
    pub(super) fn forget(&mut self, n: usize) {
        self.at = self.at.saturating_sub(n);
    }

    /// Where the scan has come to.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes on through the value, whose bytes so far are all in `bytes`.
    pub(super) fn go_on(&mut self, bytes: &[u8]) -> Step {
        loop {
            if self.in_string {
                match self.string(bytes) {
                    None if self.depth == 0 => return Step::Whole(self.at),
                    None => {}
                    Some(step) => return step,
                }
            }
            let Some(byte) = bytes.get(self.at).copied() else { return Step::More };
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    if byte == b'{' && self.depth > 0 && !self.may_begin(bytes) {
                        return Step::Broken;
                    }
                    self.depth += 1;
                    self.objects = self.objects << 1 | u128::from(byte == b'{');
                    self.last = byte;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.objects >>= 1;
                    self.last = byte;
                    if self.depth == 0 {
                        self.at += 1;
                        return Step::Whole(self.at);
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => self.last = byte,
            }
            self.at += 1;
        }
    }

    /// Goes on to the end of a string; `None` if it has ended.
    fn string(&mut self, bytes: &[u8]) -> Option<Step> {
        loop {
            let Some(found) = memchr3(b'"', b'\\', b'\n', &bytes[self.at..]) else {
                self.at = bytes.len();
                return Some(Step::More);
            };
            self.at += found;
            match bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    (self.in_string, self.last) = (false, b'"');
                    return None;
                }
                b'\\' if self.at + 1 == bytes.len() => return Some(Step::More),
                b'\\' => self.at += 2,
                // No string of JSON goes over a line's end.
                _ => return Some(Step::Broken),
            }
        }
    }

    /// Whether an object may begin here. One that stands at the start of a line as the record
    /// itself does, where JSON has no value, is the next record: this one was cut off.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        let in_object = self.objects & 1 == 1;
        let is_due = matches!((self.last, in_object), (b':', true) | (b'[' | b',', false));
        is_due || indent_of(bytes, self.at).is_none_or(|indent| indent > self.indent)
    }
}

/// Bytes of white space before a place in its line; `None` if something else stands there, or the
/// line's start is not in `bytes`.
pub(super) fn indent_of(bytes: &[u8], at: usize) -> Option<usize> {
    let before = &bytes[..at];
    let blank = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let line_end = before.len().checked_sub(blank + 1)?;
    (bytes[line_end] == b'\n').then_some(blank)
}

/// The end of a value that is no object, list or string: before a comma, a bracket or white space.
pub(super) fn scalar_end(bytes: &[u8]) -> Option<usize> {
    let is_end = |byte: &u8| matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n');
    // One byte at least, so that whatever stands here is passed.
    bytes.iter().skip(1).position(is_end).map(|at| at + 1)
}

/// Where one object ends and the next begins in the same line, if not in a string: the first place
/// at or behind `from`, or `usize::MAX`.
#[derive(Debug, Default)]
pub(super) struct Glued([Option<usize>; 2]);

impl Glued {
    /// The first such place; each byte is looked at once for each pattern, however often it is asked.
    pub(super) fn next(&mut self, bytes: &[u8], from: usize) -> usize {
        for (place, pattern) in self.0.iter_mut().zip([&b"}{"[..], b"} {"]) {
            if place.is_none_or(|place| place < from) {
                *place = Some(find(&bytes[from..], pattern).map_or(usize::MAX, |at| from + at));
            }
        }
        self.0.into_iter().flatten().min().unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Step {
        Scan::new(0).go_on(text.as_bytes())
    }

    #[test]
    fn a_value_ends_with_its_bracket() {
        assert_eq!(scan(r#"{"a":{"b":[1,{}]}} {"#), Step::Whole(18));
        assert_eq!(scan(r#"{"a":"}\"{"}"#), Step::Whole(12));
        assert_eq!(scan("{\n  \"a\": [\n    {\n    }\n  ]\n}\n"), Step::Whole(28));
        assert_eq!(scan(r#"{"a":1"#), Step::More);
        assert_eq!(scan(r#""text",1"#), Step::Whole(6));
    }

    #[test]
    fn an_object_in_pieces_is_scanned_once() {
        let text = "{\"a\":\"x\\\"y\",\n\"b\":[{\"c\":1}]}";
        let mut scan = Scan::new(0);
        for end in 1..text.len() {
            assert_eq!(scan.go_on(&text.as_bytes()[..end]), Step::More, "{end}");
        }
        assert_eq!(scan.go_on(text.as_bytes()), Step::Whole(text.len()));
    }

    #[test]
    fn a_record_that_was_cut_off_does_not_eat_the_next() {
        for cut in [
            "{\"a\":1\n{\"b\":2}\n",
            "{\"a\":1,\n{\"b\":2}\n",
            "{\"a\":\"x\n{\"b\":2}\n",
            "{\n{\"b\":2}",
        ] {
            assert_eq!(scan(cut), Step::Broken, "{cut}");
        }
        // Here JSON has a value: only what follows tells.
        assert_eq!(scan("{\"a\":\n{\"b\":2}\n{\"c\":3}\n"), Step::Broken);
        assert_eq!(scan("{\"a\":\n{\"b\":2}\n}\n"), Step::Whole(15));
    }

    #[test]
    fn objects_in_one_line_are_found() {
        let text = b"-{}\n{}{}\n{} {}\n{}\n";
        let mut glued = Glued::default();
        assert_eq!(glued.next(text, 1), 5);
        assert_eq!(glued.next(text, 9), 10);
        assert_eq!(glued.next(text, 14), usize::MAX);
    }
}
