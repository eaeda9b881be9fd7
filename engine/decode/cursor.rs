//! Reads JSON text byte by byte: strings, numbers, and values that nobody wants.
//!
//! The text is valid UTF-8 already; grammar and limits are those of RFC 8259 and `serde_json`.

use super::{Class, Reject};

/// The greatest nesting, as in `serde_json`.
pub(super) const DEPTH_MAX: u32 = 128;

/// A position in one record.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

/// A number as JSON has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number<'a> {
    Int(i64),
    /// What is more than an integer of 64 bits, as it stands: only its column knows how to read a
    /// fraction, an exponent, more digits, or the sign of `-0`.
    Text(&'a str),
}

/// A string: a slice of the record, or unescaped into the scratch buffer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Plain(&'a [u8]),
    Unescaped,
}

impl<'a> Text<'a> {
    pub(super) fn bytes<'b>(self, scratch: &'b [u8]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Unescaped => scratch,
        }
    }
}

pub(super) fn not_json(what: &str, at: usize) -> Reject {
    Reject::new(Class::NotJson, format!("{what} at byte {at}"))
}

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Consumes `byte` behind white space, or says what stands there instead.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Reject> {
        self.whitespace();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(&format!("expected `{}`", char::from(byte))))
    }

    pub(super) fn unexpected(&self, wanted: &str) -> Reject {
        match self.peek() {
            Some(_) => not_json(wanted, self.at),
            None => Reject::new(Class::NotJson, "the record ends in the middle of a JSON value"),
        }
    }

    /// Reads a string whose opening quote is at the cursor.
    #[inline]
    pub(super) fn string(&mut self, scratch: &mut Vec<u8>) -> Result<Text<'a>, Reject> {
        let start = self.at + 1;
        let end = special(self.bytes, start);
        match self.bytes.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Ok(Text::Plain(&self.bytes[start..end]))
            }
            Some(b'\\') => self.escaped(start, end, scratch),
            Some(_) => Err(not_json("a control character in a string", end)),
            None => Err(Reject::new(Class::NotJson, "the record ends in the middle of a string")),
        }
    }

    #[cold]
    fn escaped(
        &mut self,
        start: usize,
        first: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Text<'a>, Reject> {
        scratch.clear();
        scratch.extend_from_slice(&self.bytes[start..first]);
        self.at = first;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::Unescaped);
                }
                Some(b'\\') => self.escape(scratch)?,
                Some(0..=0x1f) => return Err(not_json("a control character in a string", self.at)),
                Some(_) => {
                    let end = special(self.bytes, self.at);
                    scratch.extend_from_slice(&self.bytes[self.at..end]);
                    self.at = end;
                }
                None => {
                    return Err(Reject::new(
                        Class::NotJson,
                        "the record ends in the middle of a string",
                    ));
                }
            }
        }
    }

    fn escape(&mut self, scratch: &mut Vec<u8>) -> Result<(), Reject> {
        let at = self.at;
        let byte = self.bytes.get(at + 1).copied();
        self.at += 2;
        scratch.push(match byte {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let unit = self.hex4(at)?;
                let code = match unit {
                    0xD800..=0xDBFF => self.surrogate(unit, at)?,
                    _ => unit,
                };
                let decoded =
                    char::from_u32(code).ok_or_else(|| not_json("half a surrogate pair", at))?;
                scratch.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(not_json("an escape that JSON does not know", at)),
        });
        Ok(())
    }

    fn surrogate(&mut self, high: u32, at: usize) -> Result<u32, Reject> {
        if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
            return Err(not_json("half a surrogate pair", at));
        }
        self.at += 2;
        let low = self.hex4(at)?;
        if !(0xDC00..=0xDFFF).contains(&low) {
            return Err(not_json("half a surrogate pair", at));
        }
        Ok(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    }

    fn hex4(&mut self, at: usize) -> Result<u32, Reject> {
        let digits = self.bytes.get(self.at..self.at + 4);
        self.at += 4;
        digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| not_json("an escape that JSON does not know", at))
    }

    /// Reads a number whose first byte is at the cursor.
    #[inline]
    pub(super) fn number(&mut self) -> Result<Number<'a>, Reject> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let mut value: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || (digits > 1 && self.bytes[first] == b'0') {
            return Err(not_json("a number that JSON does not know", start));
        }
        if let Some(b'.' | b'e' | b'E') = self.peek() {
            return self.float(start);
        }
        if digits <= 18 {
            let value = value.cast_signed();
            return Ok(match (negative, value) {
                (true, 0) => Number::Text(self.text_of(start)),
                (true, value) => Number::Int(-value),
                (false, value) => Number::Int(value),
            });
        }
        let text = self.text_of(start);
        Ok(text.parse().map_or(Number::Text(text), Number::Int))
    }

    fn float(&mut self, start: usize) -> Result<Number<'a>, Reject> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits(start)?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits(start)?;
        }
        Ok(Number::Text(self.text_of(start)))
    }

    fn digits(&mut self, start: usize) -> Result<(), Reject> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == first {
            Err(not_json("a number that JSON does not know", start))
        } else {
            Ok(())
        }
    }

    fn text_of(&self, start: usize) -> &'a str {
        std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default()
    }

    /// Consumes `true`, `false` or `null`.
    #[inline]
    pub(super) fn literal(&mut self, word: &'static str) -> Result<(), Reject> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.unexpected("expected a JSON value"))
    }

    /// Skips a value of any kind, checking that it is JSON.
    pub(super) fn skip(&mut self, scratch: &mut Vec<u8>, depth: u32) -> Result<(), Reject> {
        self.whitespace();
        match self.peek() {
            Some(b'"') => self.string(scratch).map(drop),
            Some(b'{') => self.skip_all(b'}', scratch, depth + 1),
            Some(b'[') => self.skip_all(b']', scratch, depth + 1),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ => Err(self.unexpected("expected a JSON value")),
        }
    }

    fn skip_all(&mut self, close: u8, scratch: &mut Vec<u8>, depth: u32) -> Result<(), Reject> {
        if depth > DEPTH_MAX {
            return Err(Reject::new(
                Class::TooDeep,
                format!("nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        self.at += 1;
        self.whitespace();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if close == b'}' {
                self.whitespace();
                if self.peek() != Some(b'"') {
                    return Err(self.unexpected("expected a field's name"));
                }
                self.string(scratch)?;
                self.expect(b':')?;
            }
            self.skip(scratch, depth)?;
            self.whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => {
                    return Err(
                        self.unexpected(&format!("expected `,` or `{}`", char::from(close)))
                    );
                }
            }
        }
    }
}

/// The position of the next quote, backslash or control character, eight bytes at a time.
#[inline]
fn special(bytes: &[u8], from: usize) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let mut at = from;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|chunk| <[u8; 8]>::try_from(chunk).ok())
    {
        let word = u64::from_le_bytes(chunk);
        let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let found = zero_byte(word ^ (LOW * 0x22)) | zero_byte(word ^ (LOW * 0x5c)) | control;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < bytes.len() && !matches!(bytes[at], b'"' | b'\\' | 0..=0x1f) {
        at += 1;
    }
    at
}
