//! Names and values side by side, where no field is called like a personal column: an object that
//! says a name and a value (`{"key":"user_id","value":"u1"}`), a list of both, and `user_id=u1` in
//! a text, as in the query of an address, in cookies and forms, also percent-encoded.
//!
//! What is far from its name is not found: a name in one list and its value in another, a value
//! behind the part of a path, and what is encoded otherwise, as base64.

use std::ops::Range;

use super::{Persons, letters};

/// Names are no longer than this: what is longer is a text.
const NAME_BYTES_MAX: usize = 128;
/// Objects of more members are no pairs.
const MEMBERS_MAX: usize = 16;
/// How far back from its sign a name may begin, percent-encoded.
const BACK_BYTES: usize = 3 * NAME_BYTES_MAX;
/// Words of a name that is spelled with spaces.
const WORDS_MAX: usize = 3;
/// What fields are called that hold the name of something, or the end of what they are called.
const LABELS: &[&str] = &[
    "key",
    "name",
    "field",
    "param",
    "parameter",
    "property",
    "prop",
    "attribute",
    "attr",
    "type",
    "id",
    "identifier",
    "label",
    "header",
    "column",
    "variable",
    "claim",
    "trait",
    "tag",
    "code",
];

/// The members of an object or a list, as far as it may be a pair.
#[derive(Default)]
pub(super) struct Members {
    n: usize,
    /// Of an object: the first ones, as they stand in the output.
    kept: Vec<Member>,
    /// Of a list: whether the first element, and the last one, is a name.
    first_is_name: bool,
    last_is_name: bool,
    last_at: usize,
}

struct Member {
    place: Range<usize>,
    is_label: bool,
    is_name: bool,
    /// `true`, `false` and `null` tell nobody's id.
    is_plain: bool,
}

impl Members {
    /// Takes in a member of an object; `value` is its value as it was.
    pub(super) fn member(
        &mut self,
        persons: &Persons,
        is_label: bool,
        value: &[u8],
        place: Range<usize>,
    ) {
        self.n += 1;
        if self.n <= MEMBERS_MAX {
            self.kept.push(Member {
                place,
                is_label,
                is_name: persons.is_name(value),
                is_plain: matches!(value.first(), Some(b't' | b'f' | b'n')),
            });
        }
    }

    /// Takes in an element of a list, and empties it if it is the value of the one before; whether
    /// it did.
    pub(super) fn element(
        &mut self,
        persons: &Persons,
        value: &[u8],
        at: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let is_name = persons.is_name(value);
        let is_value = self.n % 2 == 1 && self.last_is_name && !is_name;
        self.first_is_name |= self.n == 0 && is_name;
        (self.last_is_name, self.last_at) = (is_name, at);
        self.n += 1;
        is_value && empty(at, out)
    }

    /// Ends an object: without its values, if it is a pair whose name is a person's; whether it is.
    pub(super) fn end_object(&self, begin: usize, out: &mut Vec<u8>) -> bool {
        let n_values = self.kept.iter().filter(|member| !member.is_plain).count();
        let is_pair = self.n <= MEMBERS_MAX
            && self.kept.iter().any(|member| member.is_name && (member.is_label || n_values == 2));
        let goes = |member: &&Member| !member.is_name && !member.is_plain;
        if !is_pair || !self.kept.iter().any(|member| goes(&member)) {
            return false;
        }
        let mut rest = Vec::new();
        for member in self.kept.iter().filter(|member| !goes(member)) {
            if !rest.is_empty() {
                rest.push(b',');
            }
            rest.extend_from_slice(&out[member.place.clone()]);
        }
        out.truncate(begin);
        out.extend_from_slice(&rest);
        true
    }

    /// Ends a list: of a name, an operator and a value nothing but the name stays.
    pub(super) fn end_list(&self, out: &mut Vec<u8>) -> bool {
        self.n == 3 && self.first_is_name && !self.last_is_name && empty(self.last_at, out)
    }
}

/// Makes what stands at the end of the output a `null`; whether it was none.
fn empty(at: usize, out: &mut Vec<u8>) -> bool {
    let was = out[at..] != *b"null";
    out.truncate(at);
    out.extend_from_slice(b"null");
    was
}

/// Whether a field holds the name of something.
pub(super) fn is_label(field: &str) -> bool {
    let field: String = letters(field).collect();
    matches!(field.as_str(), "k" | "n") || LABELS.iter().any(|label| field.ends_with(label))
}

impl Persons {
    /// Whether a JSON value is the name of a personal column, and no text that holds one.
    fn is_name(&self, value: &[u8]) -> bool {
        if value.first() != Some(&b'"') || value.len() > NAME_BYTES_MAX {
            return false;
        }
        let is_of_name = |c: char| c.is_alphanumeric() || "_-.[]$@ ".contains(c);
        serde_json::from_slice::<String>(value)
            .is_ok_and(|text| text.chars().all(is_of_name) && self.names(&text))
    }

    /// A text without the values behind the name of a personal column and `=` or `:`; `None` if
    /// there is none.
    pub(super) fn without_pairs(&self, text: &str) -> Option<String> {
        let (mut out, mut copied, mut at) = (String::new(), 0, 0);
        while let Some(sign) = next_sign(text.as_bytes(), at) {
            let before = &text[at..sign.start];
            at = sign.end;
            if !self.ends_with_name(before) {
                continue;
            }
            let end = value_end(text, sign.end);
            if !text[sign.end..end].trim().is_empty() {
                out.push_str(&text[copied..sign.end]);
                copied = end;
            }
            at = end;
        }
        if copied == 0 {
            return None;
        }
        out.push_str(&text[copied..]);
        Some(out)
    }

    /// Where the value begins in a part of a path that names a personal column before a `=` or `:`;
    /// `parent` is the part before. More may stand before the name in a file's name, as in
    /// `export-user_id=u1.csv`, and behind another pair.
    pub(crate) fn value_in_path(&self, parent: &str, part: &str, is_file: bool) -> Option<usize> {
        let mut at = 0;
        while let Some(sign) = next_sign(part.as_bytes(), at) {
            let before = &part[at..sign.start];
            let name = decoded(before);
            let ends = |from: (usize, &str)| self.names(&name[from.0 + from.1.len()..]);
            let is_named = self.names(&name)
                || self.names_within(decoded(parent).as_bytes(), &name)
                || self.ends_with_name(before)
                || (is_file || at > 0) && name.match_indices(['-', '_', '.', ' ']).any(ends);
            if is_named {
                return Some(sign.end);
            }
            at = sign.end;
        }
        None
    }

    /// Whether a name stands in a text as that of an element, or of a part of a form.
    pub(super) fn is_tagged(&self, text: &str) -> bool {
        let begins = |rest: &str| {
            let end = rest.find(|c: char| c.is_whitespace() || "<>/\"'".contains(c));
            let name = &rest[..end.unwrap_or(rest.len())];
            name.len() <= NAME_BYTES_MAX && self.names(name)
        };
        ["<", "name=\"", "name='", "name=\\\""]
            .iter()
            .any(|mark| text.match_indices(mark).any(|(at, mark)| begins(&text[at + mark.len()..])))
    }

    fn ends_with_name(&self, before: &str) -> bool {
        let mut start = before.len().saturating_sub(BACK_BYTES);
        while !before.is_char_boundary(start) {
            start += 1;
        }
        let before = decoded(&before[start..]);
        let before = before.trim_end_matches([' ', '"', '\'', '\\', ')']);
        let separates = |c: char| "&?;#,/=\"'(){}<>|\\\n\r\t".contains(c);
        let token = before.rsplit(separates).next().unwrap_or_default();
        let words: Vec<(usize, &str)> = token.match_indices(' ').collect();
        let mut starts = words.iter().rev().map(|(at, _)| at + 1).take(WORDS_MAX).chain([0]);
        starts.any(|start| self.names(&token[start..]))
    }
}

/// Where the next `=` or `:` is, percent-encoded or not.
fn next_sign(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        at += memchr::memchr3(b'=', b':', b'%', &bytes[at..])?;
        if bytes[at] != b'%' {
            return Some(at..at + 1);
        }
        let code = encoded(&bytes[at..]);
        if matches!(code, Some((b'=' | b':', _))) {
            return code.map(|(_, n)| at..at + n);
        }
        at += 1;
    }
}

/// The character that a text begins with percent-encoded, once or more often, and its bytes.
fn encoded(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut at = 1;
    while bytes[at..].starts_with(b"25") {
        at += 2;
    }
    let digits = std::str::from_utf8(bytes.get(at..at + 2)?).ok()?;
    Some((u8::from_str_radix(digits, 16).ok()?, at + 2))
}

/// A text without its percent-encoding.
fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        match (bytes[at], encoded(&bytes[at..])) {
            (b'%', Some((byte, n))) => {
                out.push(byte);
                at += n;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where a value ends that begins at `start`, perhaps behind spaces.
fn value_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while bytes.get(at) == Some(&b' ') {
        at += 1;
    }
    match bytes.get(at) {
        // Of what nests nobody knows here where it ends.
        Some(b'{' | b'[' | b'(' | b'<' | b'\\') => return bytes.len(),
        Some(quote @ (b'"' | b'\'')) => {
            let end = memchr::memchr(*quote, &bytes[at + 1..]);
            return end.map_or(bytes.len(), |end| at + 1 + end + 1);
        }
        _ => {}
    }
    while at < bytes.len() {
        match bytes[at] {
            b'&' | b';' | b'#' | b',' | b'\n' | b'\r' | b'"' | b'\'' | b'}' | b']' | b')' => {
                return at;
            }
            b'%' if matches!(encoded(&bytes[at..]), Some((b'&' | b';' | b'#', _))) => return at,
            // The next word may be the next name.
            b' ' | b'\t' => {
                let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
                let blank = bytes[at..].iter().take_while(|byte| is_blank(byte)).count();
                let word = bytes[at + blank..].iter().take_while(|byte| !is_blank(byte));
                if word.clone().any(|byte| matches!(byte, b'=' | b':')) {
                    return at;
                }
                at += blank;
            }
            _ => at += 1,
        }
    }
    at
}
