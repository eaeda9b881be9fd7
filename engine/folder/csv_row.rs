//! One row of CSV: its fields, and where it ends.
//!
//! Behind a closing quote only a separator or the line's end may stand. Whatever else does says
//! that a quote was forgotten, or not doubled, and then nobody knows where the row ends: its first
//! line is refused, and the next line is a row again.

use memchr::{memchr, memchr2, memchr3};

/// One row: its fields without their quotes.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) text: Vec<u8>,
    ends: Vec<u32>,
    /// The fields that are `""`, in their order.
    empty: Vec<usize>,
    /// Fields behind the last that is kept.
    pub(super) n_more: usize,
    /// Whether one of those has a value.
    pub(super) has_more: bool,
}

/// What stands at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A row of so many bytes, with its line's end.
    Row(usize),
    /// A row that ends with the text, without a line's end.
    Last(usize),
    /// The bytes end in the middle of a row.
    More,
    /// The text ends within quotes.
    OpenQuote,
    /// Text stands behind a closing quote of a row whose first line has so many bytes.
    Stray(usize),
}

impl Row {
    /// A row of one line.
    #[cfg(test)]
    pub(super) fn of(line: &[u8], separator: u8) -> Self {
        let mut row = Self::default();
        row.parse(line, separator, super::csv_columns::COLUMNS_MAX, true);
        row
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.empty.clear();
        (self.n_more, self.has_more) = (0, false);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|i| self.field(i).unwrap_or_default())
    }

    /// How many fields are kept.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The value of a field; `None` if nothing stands there, not even quotes.
    #[inline]
    pub(super) fn field(&self, i: usize) -> Option<&[u8]> {
        let end = *self.ends.get(i)? as usize;
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let is_there = start < end || self.empty.binary_search(&i).is_ok();
        is_there.then(|| &self.text[start..end])
    }

    #[inline]
    fn end_field(&mut self, n_max: usize, is_quoted: bool) {
        let start = self.ends.last().map_or(0, |end| *end as usize);
        if self.ends.len() < n_max {
            if is_quoted && self.text.len() == start {
                self.empty.push(self.ends.len());
            }
            self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        } else {
            self.n_more += 1;
            self.has_more |= self.text.len() > start;
            self.text.truncate(start);
        }
    }

    /// Reads a row at the start of `bytes`; `n_max` fields are kept.
    pub(super) fn parse(
        &mut self,
        bytes: &[u8],
        separator: u8,
        n_max: usize,
        has_ended: bool,
    ) -> Parsed {
        self.clear();
        let mut at = 0;
        loop {
            let is_quoted = bytes.get(at) == Some(&b'"');
            if is_quoted {
                let Some(end) = self.quoted(bytes, at + 1, has_ended) else {
                    return if has_ended { Parsed::OpenQuote } else { Parsed::More };
                };
                // Blanks that somebody lined up columns with belong to no value.
                at = end;
                while let Some(b' ' | b'\t') = bytes.get(at).filter(|byte| **byte != separator) {
                    at += 1;
                }
                match bytes.get(at) {
                    None if !has_ended => return Parsed::More,
                    Some(byte) if *byte != separator && !matches!(byte, b'\n' | b'\r') => {
                        return stray(bytes, has_ended);
                    }
                    _ => {}
                }
            }
            let Some(found) = memchr3(separator, b'\n', b'\r', &bytes[at..]) else {
                if !has_ended {
                    return Parsed::More;
                }
                self.text.extend_from_slice(&bytes[at..]);
                self.end_field(n_max, is_quoted);
                return Parsed::Last(bytes.len());
            };
            self.text.extend_from_slice(&bytes[at..at + found]);
            at += found;
            self.end_field(n_max, is_quoted);
            match bytes[at] {
                b'\r' if bytes.get(at + 1) == Some(&b'\n') => return Parsed::Row(at + 2),
                b'\n' | b'\r' => return Parsed::Row(at + 1),
                _ => at += 1,
            }
        }
    }

    /// Takes a text in quotes, which begins at `at`; the place behind its closing quote, if it is
    /// known to be one.
    #[inline]
    fn quoted(&mut self, bytes: &[u8], mut at: usize, has_ended: bool) -> Option<usize> {
        loop {
            let quote = at + memchr(b'"', &bytes[at..])?;
            self.text.extend_from_slice(&bytes[at..quote]);
            at = quote + 1;
            match bytes.get(at) {
                Some(b'"') => {
                    self.text.push(b'"');
                    at += 1;
                }
                None if !has_ended => return None,
                _ => return Some(at),
            }
        }
    }
}

fn stray(bytes: &[u8], has_ended: bool) -> Parsed {
    match line_of(bytes) {
        Some(n) => Parsed::Stray(n),
        None if has_ended => Parsed::Stray(bytes.len()),
        None => Parsed::More,
    }
}

/// The bytes of the first line, with its end; `None` if its end is not in sight.
pub(super) fn line_of(bytes: &[u8]) -> Option<usize> {
    let at = memchr2(b'\n', b'\r', bytes)?;
    Some(if bytes[at..].starts_with(b"\r\n") { at + 2 } else { at + 1 })
}

/// Finds the end of a row that is too large to be held.
#[derive(Debug)]
pub(super) struct Dropping {
    pub(super) in_quotes: bool,
    /// A quote here opens a field.
    at_field: bool,
    /// The byte before was a quote within quotes: it closed them unless another follows.
    behind_quote: bool,
}

impl Dropping {
    /// At the start of a row.
    pub(super) fn new() -> Self {
        Self { in_quotes: false, at_field: true, behind_quote: false }
    }

    /// Whether the row ends in these bytes, and how many belong to it.
    pub(super) fn go_on(&mut self, bytes: &[u8], separator: u8) -> (usize, bool) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<Option<String>> {
        let row = Row::of(line.as_bytes(), b',');
        let text = |i| row.field(i).map(|field| String::from_utf8_lossy(field).into_owned());
        (0..row.len()).map(text).collect()
    }

    #[test]
    fn nothing_is_no_value_and_quotes_around_nothing_are_the_empty_text() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(fields(",\"\",a,\"\"\"\"\n"), [None, some(""), some("a"), some("\"")]);
        assert_eq!(fields("\"\""), [some("")]);
        assert_eq!(fields("\"a\" ,5\" disk,\"\"\t\n"), [some("a"), some("5\" disk"), some("")]);
    }

    #[test]
    fn text_behind_a_closing_quote_is_known_with_its_first_line() {
        let parse =
            |text: &str, has_ended| Row::default().parse(text.as_bytes(), b',', 9, has_ended);
        assert_eq!(parse("\"say \"hi\" now\"\n2\n", true), Parsed::Stray(15));
        assert_eq!(parse("1,\"open\r\n2,\"fine\"\r\n", true), Parsed::Stray(9));
        assert_eq!(parse("1,\"open\r2,\"fine\"", true), Parsed::Stray(8));
        assert_eq!(parse("1,\"a\"b", true), Parsed::Stray(6));
        // More may come: the quote may be doubled, or the line go on.
        for text in ["1,\"a\"b", "1,\"a\"", "1,\"a\" ", "1,\"a"] {
            assert_eq!(parse(text, false), Parsed::More, "{text}");
        }
        assert_eq!(parse("1,\"a\"\"b\nc\"\n", true), Parsed::Row(11));
    }
}
