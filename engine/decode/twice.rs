//! Names that come twice in an object of JSON: readers see one of the values, and which one depends
//! on the reader. Here a name is there once, with the list of its values in their order.

use std::borrow::Cow;

use super::Reject;
use super::cursor::{Cursor, Text};

/// A field of an object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Without quotes and escapes.
    pub(super) name: Cow<'a, str>,
    /// The name as it stands.
    pub(super) key: &'a [u8],
    /// As JSON.
    pub(super) value: Cow<'a, [u8]>,
}

/// Appends members, divided by commas: each name once.
pub(super) fn push_members(members: &[Member<'_>], out: &mut Vec<u8>) {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|one, other| members[*one].name.cmp(&members[*other].name));
    let groups = order.chunk_by(|one, other| members[*one].name == members[*other].name);
    let mut groups: Vec<&[usize]> = groups.collect();
    groups.sort_unstable_by_key(|group| group[0]);
    for (n, group) in groups.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(members[group[0]].key);
        out.push(b':');
        let is_list = group.len() > 1;
        out.extend_from_slice(if is_list { b"[" } else { b"" });
        for (n, at) in group.iter().enumerate() {
            out.extend_from_slice(if n > 0 { b"," } else { b"" });
            out.extend_from_slice(&members[*at].value);
        }
        out.extend_from_slice(if is_list { b"]" } else { b"" });
    }
}

/// A JSON value in whose objects each name is there once; `None` if it is that already.
pub(super) fn merged(json: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor { bytes: json, at: 0 };
    match value(&mut cursor) {
        Ok(Cow::Owned(merged)) => Some(merged),
        // It was read before: there is no error.
        Ok(Cow::Borrowed(_)) | Err(_) => None,
    }
}

fn value<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, Reject> {
    cursor.whitespace();
    let start = cursor.at;
    match cursor.peek() {
        Some(b'{') => object(cursor),
        Some(b'[') => list(cursor),
        _ => {
            cursor.skip(&mut Vec::new(), 0)?;
            Ok(Cow::Borrowed(&cursor.bytes[start..cursor.at]))
        }
    }
}

/// The bytes of a value of which some parts are others.
struct Patched<'a> {
    bytes: &'a [u8],
    /// What is before this place is in `out`, if there is any part.
    at: usize,
    start: usize,
    out: Vec<u8>,
}

impl<'a> Patched<'a> {
    fn new(cursor: &Cursor<'a>) -> Self {
        Self { bytes: cursor.bytes, at: cursor.at, start: cursor.at, out: Vec::new() }
    }

    /// Takes the next value.
    fn value(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Reject> {
        cursor.whitespace();
        let start = cursor.at;
        if let Cow::Owned(other) = value(cursor)? {
            self.out.extend_from_slice(&self.bytes[self.at..start]);
            self.out.extend_from_slice(&other);
            self.at = cursor.at;
        }
        Ok(())
    }

    fn end(mut self, cursor: &Cursor<'a>) -> Cow<'a, [u8]> {
        if self.out.is_empty() {
            return Cow::Borrowed(&self.bytes[self.start..cursor.at]);
        }
        self.out.extend_from_slice(&self.bytes[self.at..cursor.at]);
        Cow::Owned(self.out)
    }
}

fn list<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, Reject> {
    let mut patched = Patched::new(cursor);
    while begins_another(cursor, b']') {
        patched.value(cursor)?;
    }
    Ok(patched.end(cursor))
}

fn object<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, Reject> {
    let mut patched = Patched::new(cursor);
    let mut names = Vec::new();
    while begins_another(cursor, b'}') {
        names.push(name(cursor)?.0);
        cursor.expect(b':')?;
        patched.value(cursor)?;
    }
    let patched = patched.end(cursor);
    names.sort_unstable();
    if names.windows(2).all(|pair| pair[0] != pair[1]) {
        return Ok(patched);
    }
    drop(names);
    let mut out = vec![b'{'];
    push_members(&members(&patched)?, &mut out);
    out.push(b'}');
    Ok(Cow::Owned(out))
}

/// Passes an opening bracket or a comma, or the closing bracket; whether a value follows.
fn begins_another(cursor: &mut Cursor<'_>, close: u8) -> bool {
    cursor.whitespace();
    let is_closed = |cursor: &Cursor<'_>| cursor.peek().is_none_or(|byte| byte == close);
    let was_closed = is_closed(cursor);
    cursor.at += 1;
    if was_closed {
        return false;
    }
    cursor.whitespace();
    if is_closed(cursor) {
        cursor.at += 1;
        return false;
    }
    true
}

fn members(object: &[u8]) -> Result<Vec<Member<'_>>, Reject> {
    let mut cursor = Cursor { bytes: object, at: 0 };
    let mut members = Vec::new();
    while begins_another(&mut cursor, b'}') {
        let (name, key) = name(&mut cursor)?;
        cursor.expect(b':')?;
        cursor.whitespace();
        let start = cursor.at;
        cursor.skip(&mut Vec::new(), 0)?;
        members.push(Member { name, key, value: Cow::Borrowed(&object[start..cursor.at]) });
    }
    Ok(members)
}

/// A name without quotes and escapes, and as it stands.
fn name<'a>(cursor: &mut Cursor<'a>) -> Result<(Cow<'a, str>, &'a [u8]), Reject> {
    cursor.whitespace();
    let (start, mut scratch) = (cursor.at, Vec::new());
    let name = match cursor.string(&mut scratch)? {
        Text::Plain(bytes) => String::from_utf8_lossy(bytes),
        Text::Unescaped => Cow::Owned(String::from_utf8_lossy(&scratch).into_owned()),
    };
    Ok((name, &cursor.bytes[start..cursor.at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(json: &str) -> String {
        merged(json.as_bytes()).map_or("same".to_owned(), |out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_name_that_comes_twice_has_the_list_of_its_values() {
        assert_eq!(once(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":[1,3],"b":2}"#);
        assert_eq!(once(r#"{"a":[1],"\u0061":[2],"a":null}"#), r#"{"a":[[1],[2],null]}"#);
        assert_eq!(once(r#"{"b":{"a":1,"a":2},"b":3}"#), r#"{"b":[{"a":[1,2]},3]}"#);
        assert_eq!(once(r#"[1, {"a":1, "a":2} , {}]"#), r#"[1, {"a":[1,2]} , {}]"#);
        assert_eq!(
            once(r#" { "a" : { "":1,"":2 } , "b" : 1 } "#),
            r#"{ "a" : {"":[1,2]} , "b" : 1 }"#
        );
    }

    #[test]
    fn a_value_whose_names_are_there_once_stays_as_it_is() {
        for json in
            [r#"{"a":1,"A":2}"#, "[]", "{}", "[ ]", "{ }", "1", "\"a\"", "[[],[1,2]]", "null"]
        {
            assert_eq!(once(json), "same", "{json}");
        }
        assert_eq!(once(r#"{"a":{"a":{"a":[{"a":1},{"a":1}]}}}"#), "same");
    }
}
