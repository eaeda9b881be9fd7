//! The headers of a record as JSON: in their order, doubles included.

use serde_json::{Value, json};

use super::raw::Headers;
use crate::chunk::text_or_base64;

/// Appends the headers as a list of `{"key": …, "value": …}`. A value is text, or
/// `{"base64": …}` where its bytes are none, or null.
pub(super) fn write_json(headers: Headers<'_>, out: &mut Vec<u8>) {
    write_list(headers, out);
}

/// The bytes of all keys and values.
pub(super) fn n_bytes(headers: Headers<'_>) -> usize {
    headers.into_iter().map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len)).sum()
}

fn write_list<'a>(
    headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    out: &mut Vec<u8>,
) {
    let mut separator = b'[';
    for (key, value) in headers {
        let value = match value.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
            None => Value::Null,
            Some((Ok(text), _)) => json!(text),
            Some((Err(_), bytes)) => json!({ "base64": text_or_base64(bytes) }),
        };
        let header = json!({ "key": String::from_utf8_lossy(key), "value": value });
        out.push(separator);
        out.extend_from_slice(header.to_string().as_bytes());
        separator = b',';
    }
    if separator == b',' {
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(headers: &[(&[u8], Option<&[u8]>)]) -> String {
        let mut out = Vec::new();
        write_list(headers.iter().copied(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn headers_keep_their_order_and_their_doubles() {
        assert_eq!(list(&[]), "");
        let headers: &[(&[u8], Option<&[u8]>)] = &[
            (b"b", Some(b"1\n\"")),
            (b"a", Some(b"")),
            (b"b", Some(b"\xff\x00")),
            (b"c", None),
            (b"\xfe", Some("\u{e9}".as_bytes())),
        ];
        assert_eq!(
            list(headers),
            "[{\"key\":\"b\",\"value\":\"1\\n\\\"\"},{\"key\":\"a\",\"value\":\"\"},\
             {\"key\":\"b\",\"value\":{\"base64\":\"/wA=\"}},{\"key\":\"c\",\"value\":null},\
             {\"key\":\"\u{fffd}\",\"value\":\"\u{e9}\"}]"
        );
    }
}
