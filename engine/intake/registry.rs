//! What serializers put before a record's JSON so that readers find its schema in a registry.
//!
//! The JSON is read without it; quarantine keeps the record as it came.

/// What stands before the JSON: how it begins, how many bytes it has, whose it is.
const FRAMES: &[(&[u8], usize, &str)] = &[
    // A zero, and the schema's number in four bytes, the highest first.
    (&[0], 5, "a schema registry"),
    // The same with eight bytes, as Apicurio counts where it is not told otherwise.
    (&[0], 9, "a schema registry"),
    // A version, no compression, and the schema's UUID.
    (&[3, 0], 18, "the Glue schema registry"),
];

/// A record's JSON without what a registry's serializer puts before it, if that is there.
pub(super) fn unframed(record: &[u8]) -> &[u8] {
    // JSON begins with none of these bytes.
    if !matches!(record.first(), Some(0 | 3)) {
        return record;
    }
    let json = FRAMES.iter().filter(|(start, ..)| record.starts_with(start)).find_map(|frame| {
        let rest = record.get(frame.1..)?;
        (rest.trim_ascii_start().first() == Some(&b'{')).then_some(rest)
    });
    json.unwrap_or(record)
}

/// What to say of a record that is no JSON, if a registry's serializer wrote it: Avro or Protobuf.
/// Newer ones leave the record as it is, and name the schema in its headers.
pub(super) fn told(record: &[u8], headers: Option<&str>) -> Option<String> {
    let what = match record {
        [0, a, b, c, d, ..] => {
            let schema = u32::from_be_bytes([*a, *b, *c, *d]);
            format!("framed by a schema registry (schema {schema})")
        }
        [3, 0 | 5, ..] if record.len() > 18 => "framed by the Glue schema registry".to_owned(),
        _ if headers.is_some_and(|headers| headers.contains("\"__value_schema_id\"")) => {
            "with a schema in its headers".to_owned()
        }
        _ => return None,
    };
    Some(format!("the record is {what}, and no JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_behind_the_bytes_of_a_registry_is_found() {
        let frame = |frame: &[u8], rest: &[u8]| [frame, rest].concat();
        let glue = [&[3, 0][..], &[0xab; 16]].concat();
        for start in [&[0, 0, 0, 0, 7][..], &[0, 0, 0, 0, 0, 0, 0, 0, 7], &glue] {
            assert_eq!(unframed(&frame(start, b"{\"id\":1}")), b"{\"id\":1}");
            assert_eq!(unframed(&frame(start, b" \r\n{}")), b" \r\n{}");
        }
        // A schema whose number looks like JSON.
        assert_eq!(unframed(b"\x00{{{{{}"), b"{}");
        for record in [
            &b"{}"[..],
            b"",
            b"\x00",
            b"\x00\x00\x00\x00\x07",
            b"\x00\x00\x00\x00\x07[1]",
            b"\x00\x00\x00\x00\x07\x02abc",
            b"\x01\x00\x00\x00\x07{}",
            b"\x00{}",
        ] {
            assert_eq!(unframed(record), record);
        }
    }

    #[test]
    fn what_is_no_json_is_told_with_its_schema() {
        let told = |record: &[u8]| told(record, None);
        assert_eq!(
            told(b"\x00\x00\x01\x00\x07\x02abc").unwrap(),
            "the record is framed by a schema registry (schema 65543), and no JSON"
        );
        assert!(told(&[&[3, 5][..], &[0; 20]].concat()).unwrap().contains("Glue"));
        assert_eq!(told(b"\x00\x01"), None);
        assert_eq!(told(b"plain"), None);
        let headers = "[{\"key\":\"__value_schema_id\",\"value\":{\"base64\":\"AQ==\"}}]";
        assert!(super::told(b"\x02", Some(headers)).unwrap().contains("in its headers"));
    }
}
