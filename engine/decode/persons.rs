//! What names a person in JSON that no column types: found however it is spelled or wrapped, and
//! taken out.
//!
//! The promise: no value of a field that is called like a personal column stays. JSON text inside
//! strings is looked into as well, and so are names and values side by side ([`pairs`]). What
//! cannot be looked into is emptied, not kept: what nests too deep, and text that looks like JSON,
//! is none, and names a person. Work and memory grow with the length of the value, whatever its
//! shape.

use super::Reject;
use super::cursor::{Cursor, DEPTH_MAX};
use crate::contract::{Contract, KEY};

mod pairs;
#[cfg(test)]
mod tests;

use pairs::{Members, is_label};

/// Copies of strings that are held at a time, beside twice the length of the value: strings in
/// strings of small values are looked into as deep as they may nest.
const COPIES_BYTES: usize = 64 << 10;

/// The names of a contract's personal columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Persons {
    /// As [`letters`] has them, none empty.
    names: Vec<String>,
}

/// What became of a text or a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cleaned {
    /// It names nobody: it stays as it was, byte for byte.
    Same,
    /// It without the fields that name a person.
    Changed(Vec<u8>),
    /// It cannot be looked into, and nothing of it may stay.
    Emptied,
}

/// What a field's name says.
enum Key {
    /// It names a person.
    Personal,
    /// It may hold the name of something.
    Label,
    Other,
}

/// How much deeper to look.
#[derive(Clone, Copy)]
struct Room<'a> {
    /// The name of the field around, as it is written; empty where there is none.
    parent: &'a [u8],
    /// Brackets and strings that are open.
    depth: u32,
    /// Bytes of strings that may yet be copied.
    bytes: usize,
}

impl Persons {
    /// The names of a contract's personal columns: the whole path, and its last part.
    pub(crate) fn of(contract: &Contract) -> Self {
        // The key of a Kafka record is none of its fields.
        let fields = contract.personal.iter().filter(|personal| personal.path != KEY);
        Self::called(fields.map(|personal| personal.path.as_str()))
    }

    /// The names of columns: each the whole path, and its last part.
    pub(crate) fn called<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Vec::new();
        for path in paths {
            let last = path.rsplit('.').next().unwrap_or(path);
            names.extend([last, path].map(|name| letters(name).collect::<String>()));
        }
        names.retain(|name| !name.is_empty());
        names.sort();
        names.dedup();
        Self { names }
    }

    /// Whether there are no personal columns.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a field's name is that of a personal column, however it is spelled: `User-ID`,
    /// `userId`, `context.user_id` and `context[user id]` are `user_id`.
    pub(crate) fn names(&self, field: &str) -> bool {
        let is = |part: &str| self.names.iter().any(|name| letters(part).eq(name.chars()));
        let separates = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | ' ');
        is(field) || (field.contains(separates) && field.split(separates).any(is))
    }

    /// Whether a field and the one around it are the name of a personal column together: `id` in
    /// `user`.
    fn names_within(&self, parent: &[u8], field: &str) -> bool {
        let Ok(parent) = std::str::from_utf8(parent) else { return false };
        !parent.is_empty()
            && self.names.iter().any(|name| letters(parent).chain(letters(field)).eq(name.chars()))
    }

    /// A JSON value without the fields that name a person.
    pub(crate) fn clean(&self, json: &[u8]) -> Cleaned {
        self.clean_within(b"", json)
    }

    /// The value of a field of this name, as [`Persons::clean`].
    pub(crate) fn clean_within(&self, parent: &[u8], json: &[u8]) -> Cleaned {
        if self.is_empty() {
            return Cleaned::Same;
        }
        let room = Room { parent, depth: 0, bytes: 2 * json.len() + COPIES_BYTES };
        self.json(json, room).unwrap_or(Cleaned::Emptied)
    }

    /// Whether a text must be looked into; one that was not escaped has no quotes.
    #[inline]
    pub(super) fn may_be_in(&self, text: &[u8], was_escaped: bool) -> bool {
        !self.is_empty()
            && (memchr::memchr3(b'{', b'[', b'=', text).is_some()
                || (was_escaped && memchr::memchr(b'"', text).is_some()))
    }

    /// A text that may be JSON, without the fields that name a person.
    pub(crate) fn clean_text(&self, text: &str) -> Cleaned {
        if self.is_empty() {
            return Cleaned::Same;
        }
        let bytes = 2 * text.len() + COPIES_BYTES;
        self.text(text, Room { parent: b"", depth: 0, bytes })
    }

    fn json<'a>(&self, json: &'a [u8], room: Room<'a>) -> Result<Cleaned, Reject> {
        let mut cursor = Cursor { bytes: json, at: 0 };
        let mut out = Vec::new();
        cursor.whitespace();
        let changed = self.value(&mut cursor, room, &mut out)?;
        cursor.whitespace();
        match cursor.peek() {
            Some(_) => Err(cursor.unexpected("expected the end")),
            None if changed => Ok(Cleaned::Changed(out)),
            None => Ok(Cleaned::Same),
        }
    }

    fn text(&self, text: &str, room: Room<'_>) -> Cleaned {
        if looks_like_json(text) {
            let json = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if room.depth > DEPTH_MAX {
                return Cleaned::Emptied;
            }
            if let Ok(cleaned) = self.json(json.as_bytes(), Room { parent: b"", ..room }) {
                return cleaned;
            }
        }
        let may_hold_json = text.contains(['{', '[', '"']);
        if may_hold_json && self.stand_in(text) || self.is_tagged(text) {
            return Cleaned::Emptied;
        }
        match self.without_pairs(text) {
            Some(text) => Cleaned::Changed(text.into_bytes()),
            None => Cleaned::Same,
        }
    }

    /// Copies the value at the cursor to `out` without the fields that name a person, and says
    /// whether that changed it.
    fn value<'a>(
        &self,
        cursor: &mut Cursor<'a>,
        room: Room<'a>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Reject> {
        let start = cursor.at;
        match cursor.peek() {
            Some(b'{' | b'[') if room.depth >= DEPTH_MAX => {
                skip_brackets(cursor)?;
                out.extend_from_slice(b"null");
                return Ok(true);
            }
            Some(b'{') => return self.members(b'}', cursor, room.deeper(), out),
            Some(b'[') => return self.members(b']', cursor, room.deeper(), out),
            Some(b'"') => return self.string(cursor, room.deeper(), out),
            Some(b't') => cursor.literal("true")?,
            Some(b'f') => cursor.literal("false")?,
            Some(b'n') => cursor.literal("null")?,
            Some(b'-' | b'0'..=b'9') => drop(cursor.number()?),
            _ => return Err(cursor.unexpected("expected a JSON value")),
        }
        out.extend_from_slice(&cursor.bytes[start..cursor.at]);
        Ok(false)
    }

    /// The members of an object or a list whose bracket is at the cursor.
    fn members<'a>(
        &self,
        close: u8,
        cursor: &mut Cursor<'a>,
        room: Room<'a>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Reject> {
        let mut changed = false;
        out.push(cursor.bytes[cursor.at]);
        cursor.at += 1;
        cursor.whitespace();
        if cursor.peek() == Some(close) {
            cursor.at += 1;
            out.push(close);
            return Ok(false);
        }
        let begin = out.len();
        let mut members = Members::default();
        loop {
            let before = out.len();
            if before > begin {
                out.push(b',');
            }
            let start = out.len();
            let (key, parent) = match close {
                b'}' => self.key(cursor, room.parent, out)?,
                _ => (Key::Other, room.parent),
            };
            cursor.whitespace();
            let (value, value_out) = (cursor.at, out.len());
            changed |= self.value(cursor, Room { parent, ..room }, out)?;
            let value = &cursor.bytes[value..cursor.at];
            match key {
                Key::Personal => {
                    out.truncate(before);
                    changed = true;
                }
                Key::Label => members.member(self, true, value, start..out.len()),
                Key::Other if close == b'}' => {
                    members.member(self, false, value, start..out.len());
                }
                Key::Other => changed |= members.element(self, value, value_out, out),
            }
            cursor.whitespace();
            match cursor.peek() {
                Some(b',') => cursor.at += 1,
                Some(byte) if byte == close => break,
                _ => return Err(cursor.unexpected("expected `,` or the end")),
            }
        }
        cursor.at += 1;
        changed |= match close {
            b'}' => members.end_object(begin, out),
            _ => members.end_list(out),
        };
        out.push(close);
        Ok(changed)
    }

    /// Copies a field's name, and says what it is, and how it is written.
    fn key<'a>(
        &self,
        cursor: &mut Cursor<'a>,
        parent: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(Key, &'a [u8]), Reject> {
        cursor.whitespace();
        if cursor.peek() != Some(b'"') {
            return Err(cursor.unexpected("expected a field's name"));
        }
        let (start, mut scratch) = (cursor.at, Vec::new());
        let name = cursor.string(&mut scratch)?;
        let name = String::from_utf8_lossy(name.bytes(&scratch));
        let key = match () {
            () if self.names(&name) || self.names_within(parent, &name) => Key::Personal,
            () if is_label(&name) => Key::Label,
            () => Key::Other,
        };
        let written = &cursor.bytes[start..cursor.at];
        out.extend_from_slice(written);
        out.push(b':');
        cursor.expect(b':')?;
        Ok((key, written))
    }

    fn string(
        &self,
        cursor: &mut Cursor<'_>,
        mut room: Room<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Reject> {
        let (start, mut scratch) = (cursor.at, Vec::new());
        let text = cursor.string(&mut scratch)?;
        let raw = &cursor.bytes[start..cursor.at];
        let text = std::str::from_utf8(text.bytes(&scratch)).unwrap_or_default();
        let left = room.bytes.checked_sub(text.len());
        room.bytes = left.unwrap_or_default();
        let cleaned = match left {
            None if looks_like_json(text) => Cleaned::Emptied,
            _ => self.text(text, room),
        };
        match &cleaned {
            Cleaned::Same => out.extend_from_slice(raw),
            Cleaned::Emptied => out.extend_from_slice(b"null"),
            Cleaned::Changed(text) => quote(text, out),
        }
        Ok(cleaned != Cleaned::Same)
    }

    /// Whether a name stands in a text that is no JSON as a field's name does: before `:` or `=`.
    fn stand_in(&self, text: &str) -> bool {
        let flat = flat(text);
        let bytes = flat.as_bytes();
        let is_letter = |byte: u8| !matches!(byte, b' ' | b'_' | b'=');
        let begins =
            |at: usize| is_letter(bytes[at]) && (at == 0 || matches!(bytes[at - 1], b' ' | b'='));
        (0..bytes.len()).filter(|at| begins(*at)).any(|begin| {
            self.names.iter().any(|name| {
                let mut at = begin;
                for byte in name.bytes() {
                    if at > begin && matches!(bytes.get(at), Some(b' ' | b'_')) {
                        at += 1;
                    }
                    if bytes.get(at) != Some(&byte) {
                        return false;
                    }
                    at += 1;
                }
                bytes.get(at) == Some(&b'=')
            })
        })
    }
}

impl Room<'_> {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

/// Whether two names have the same letters and digits, without regard to case.
pub(crate) fn is_spelled_alike(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

/// A name's letters and digits, without regard to case.
fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(folded)
}

/// One case for all: upper case first, since only so some letters are one (`ı` and `I`).
fn folded(c: char) -> impl Iterator<Item = char> {
    c.to_uppercase().flat_map(char::to_lowercase)
}

fn looks_like_json(text: &str) -> bool {
    let begin = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    begin.starts_with(['{', '[', '"'])
}

/// A text's letters without regard to case; what is between them as one `=` where `:` or `=` is
/// among it, as one `_` where it is nothing but `_` and `-`, else as one space.
fn flat(text: &str) -> String {
    let mut flat = String::with_capacity(text.len());
    let mut between: Option<char> = None;
    let mut rest = text.chars();
    while let Some(mut c) = rest.next() {
        if c == '\\'
            && let Some((escaped, behind)) = escape(rest.as_str())
        {
            (c, rest) = (escaped, behind.chars());
        }
        if c.is_alphanumeric() {
            flat.extend(between.take());
            flat.extend(folded(c));
            continue;
        }
        between = Some(match (c, between) {
            (':' | '=', _) | (_, Some('=')) => '=',
            ('_' | '-', None | Some('_')) => '_',
            _ => ' ',
        });
    }
    flat.extend(between);
    flat
}

/// The character of an escape as in `\u005f`, behind its backslash, and what follows it.
fn escape(text: &str) -> Option<(char, &str)> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    Some((char::from_u32(code)?, &text[5..]))
}

/// Skips an object or a list without looking into it, however deep it nests.
fn skip_brackets(cursor: &mut Cursor<'_>) -> Result<(), Reject> {
    let (mut open, mut scratch) = (0_u64, Vec::new());
    loop {
        match cursor.peek() {
            None => return Err(cursor.unexpected("expected a bracket")),
            Some(b'"') => {
                cursor.string(&mut scratch)?;
                continue;
            }
            Some(b'{' | b'[') => open += 1,
            Some(b'}' | b']') => open -= 1,
            Some(_) => {}
        }
        cursor.at += 1;
        if open == 0 {
            return Ok(());
        }
    }
}

/// Appends a text as a JSON string.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    // A Vec takes every byte.
    let _ = serde_json::to_writer(out, &text);
}
