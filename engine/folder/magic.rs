//! What the first bytes of a file say, whatever its name says.

use super::names::Packing;
use crate::error::{Error, Result};

/// Bytes at a file's start that are looked at.
pub(super) const HEAD_BYTES: usize = 16;

const UNPACK: &str = "unpack it, or pack it as .gz or .zst, and land it under a new name";
const CONVERT: &str = "land its rows as .ndjson, .csv or .parquet";

/// How files of other kinds begin; what they are; what to do.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "packed with gzip more than once", UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstd more than once", UNPACK),
    (b"\xfd7zXZ\0", "packed with xz", UNPACK),
    (b"\x04\x22\x4d\x18", "packed with lz4", UNPACK),
    (b"\xff\x06\0\0sNaPpY", "packed with snappy", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"PK\x03\x04", "a zip archive, as spreadsheets are", UNPACK),
    (b"Obj\x01", "an Avro file", CONVERT),
    (b"ARROW1\0", "an Arrow file", CONVERT),
    (b"SQLite format 3\0", "an SQLite database", CONVERT),
];

/// How a file is packed: its first bytes know better than its name.
pub(super) fn packing_of(named: Packing, head: &[u8]) -> Packing {
    match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ => named,
    }
}

/// Whether a text can be one of ours.
///
/// # Errors
/// Its first bytes say that it is no text, or one in another encoding than UTF-8.
pub(super) fn check_text(head: &[u8]) -> Result<()> {
    let is_binary = |byte: Option<&u8>| byte.is_some_and(|byte| *byte < 9);
    let known = FOREIGN.iter().find(|(start, ..)| head.starts_with(start));
    let named = match head {
        // Letters that a text may begin with, too.
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if rest.starts_with(b"1AY&SY") => {
            Some(("packed with bzip2", UNPACK))
        }
        [b'P', b'A', b'R', b'1', 0x15, ..] => {
            Some(("a Parquet file", "land it under a name that ends in .parquet"))
        }
        [b'O', b'R', b'C', ..] if is_binary(head.get(3)) => Some(("an ORC file", CONVERT)),
        _ => known.map(|(_, what, hint)| (*what, *hint)),
    };
    if let Some((what, hint)) = named {
        let message = format!("the file is {what}, and not what its name says");
        return Err(Error::data(message).hint(hint));
    }
    let is_utf16 = match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [0, other, ..] | [other, 0, ..] => *other != 0,
        _ => false,
    };
    if is_utf16 {
        return Err(Error::data("the text is UTF-16 or UTF-32")
            .hint("write it as UTF-8, and land it under a new name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_known_and_texts_are_texts() {
        for head in [
            &b"BZh91AY&SY\x94"[..],
            b"\xfd7zXZ\0\0\x04",
            b"PK\x03\x04\x14\0",
            b"\x04\x22\x4d\x18\x64",
            b"PAR1\x15\x04\x15",
            b"ORC\x08",
            b"Obj\x01\x04\x14",
            b"\xff\xfei\0d\0",
            b"i\0d\0",
        ] {
            assert!(check_text(head).is_err(), "{head:?}");
        }
        for head in
            ["", "{", "id,name\n", "BZh9,name", "PAR1,x", "ORC,x", "PK", "Obj,x", "\u{feff}id"]
        {
            assert!(check_text(head.as_bytes()).is_ok(), "{head}");
        }
        assert_eq!(packing_of(Packing::Plain, b"\x1f\x8b\x08"), Packing::Gzip);
        assert_eq!(packing_of(Packing::Gzip, b"\x28\xb5\x2f\xfd\x04"), Packing::Zstd);
        assert_eq!(packing_of(Packing::Gzip, b"id,name"), Packing::Gzip);
    }
}
