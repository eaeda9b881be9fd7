//! What the headers of a Parquet file's pages say, before a page is read: how much memory it takes.
//!
//! The library makes room for as many bytes as a header names. So the headers are looked at first,
//! in Thrift's compact protocol, as the Parquet format has them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use datafusion::parquet::file::metadata::RowGroupMetaData;
use flate2::Crc;

/// Bytes of the rows that are read at once, by what the headers say.
pub(super) const BATCH_BYTES: u64 = 4 << 20;
/// Nesting of structs in a header.
const DEPTH_MAX: u32 = 16;

/// What the pages of a column in a row group need, by their headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// Bytes of the largest page of values.
    pub(super) page: u64,
    /// Pages of values.
    pub(super) n_pages: u64,
    /// Bytes of the largest page as it is in the file.
    pub(super) packed: u64,
    /// Bytes of the dictionary, and how many values are in it.
    pub(super) dictionary: u64,
    pub(super) n_words: u64,
    /// Values of all pages, or places for them.
    pub(super) n_values: u64,
    /// Bytes of all pages of values.
    pub(super) bytes: u64,
    /// Rows that have about `BATCH_BYTES` in every page, if the column has one value a row.
    pub(super) rows: u64,
}

/// Bytes of the metadata at the end of a Parquet file, as its last eight bytes say; `None` if they
/// are not those of a Parquet file.
pub(super) fn metadata_bytes(file: &mut File) -> io::Result<Option<u64>> {
    if file.metadata()?.len() < 12 {
        return Ok(None);
    }
    let mut end = [0; 8];
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut end)?;
    let [a, b, c, d, magic @ ..] = end;
    let is_parquet = matches!(&magic, b"PAR1" | b"PARE");
    Ok(is_parquet.then_some(u64::from(u32::from_le_bytes([a, b, c, d]))))
}

/// How deep the groups of a file's schema nest. The library follows them without a bound.
///
/// # Errors
/// The metadata of `n` bytes cannot be read.
pub(super) fn schema_depth(file: &mut File, n: u64) -> io::Result<usize> {
    let before = file.metadata()?.len().checked_sub(n.saturating_add(8)).ok_or_else(broken)?;
    file.seek(SeekFrom::Start(before))?;
    Header { file: BufReader::new(file.take(n)), n_read: 0 }.schema_depth()
}

/// Looks at all headers of a row group, and at the checksums of pages that have one.
///
/// # Errors
/// A header is broken, or a page is not the one that was written.
pub(super) fn needs(file: &File, group: &RowGroupMetaData) -> io::Result<Vec<Needs>> {
    let mut file = BufReader::new(file.try_clone()?);
    group.columns().iter().map(|column| needs_of(&mut file, column.byte_range())).collect()
}

fn needs_of(file: &mut BufReader<File>, (start, length): (u64, u64)) -> io::Result<Needs> {
    let mut needs = Needs {
        page: 0,
        n_pages: 0,
        packed: 0,
        dictionary: 0,
        n_words: 0,
        n_values: 0,
        bytes: 0,
        rows: u64::MAX,
    };
    let (mut at, end) = (start, start.saturating_add(length));
    while at < end {
        file.seek(SeekFrom::Start(at))?;
        let mut header = Header { file: &mut *file, n_read: 0 };
        let page = header.page()?;
        at += header.n_read + page.packed;
        if let Some(checksum) = page.checksum
            && checksum_of(file, page.packed)? != checksum
        {
            return Err(damaged("a page has another checksum than was written"));
        }
        needs.packed = needs.packed.max(page.packed);
        if page.is_dictionary {
            needs.dictionary = needs.dictionary.max(page.unpacked);
            needs.n_words = needs.n_words.max(page.n_values);
            continue;
        }
        needs.page = needs.page.max(page.unpacked);
        needs.n_pages += 1;
        needs.n_values = needs.n_values.saturating_add(page.n_values);
        needs.bytes = needs.bytes.saturating_add(page.unpacked);
        let rows = BATCH_BYTES.saturating_mul(page.n_values).checked_div(page.unpacked);
        needs.rows = needs.rows.min(rows.unwrap_or(u64::MAX));
    }
    Ok(needs)
}

/// The checksum of the bytes that follow.
fn checksum_of(file: &mut BufReader<File>, mut n: u64) -> io::Result<u32> {
    let mut checksum = Crc::new();
    while n > 0 {
        let bytes = file.fill_buf()?;
        let here = bytes.len().min(usize::try_from(n).unwrap_or(usize::MAX));
        if here == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        checksum.update(&bytes[..here]);
        file.consume(here);
        n -= here as u64;
    }
    Ok(checksum.sum())
}

/// One page, as its header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    is_dictionary: bool,
    packed: u64,
    unpacked: u64,
    n_values: u64,
    checksum: Option<u32>,
}

/// Reads one header.
struct Header<R> {
    file: R,
    n_read: u64,
}

impl<R: Read> Header<R> {
    fn page(&mut self) -> io::Result<Page> {
        let mut page = Page::default();
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (1, I32) => page.is_dictionary = self.integer()? == 2,
                (2, I32) => page.unpacked = self.size()?,
                (3, I32) => page.packed = self.size()?,
                (4, I32) => page.checksum = Some(in_32_bits(self.integer()?)),
                // Of a data page, a dictionary and a data page of the second version.
                (5 | 7 | 8, STRUCT) => {
                    let mut inner = 0;
                    while let Some(kind) = self.field(&mut inner)? {
                        match (inner, kind) {
                            (1, I32) => page.n_values = self.size()?,
                            _ => self.skip(kind, 1)?,
                        }
                    }
                }
                _ => self.skip(kind, 0)?,
            }
        }
        Ok(page)
    }

    /// The schema is a list of all groups and columns; a group says how many of the next are its own.
    fn schema_depth(&mut self) -> io::Result<usize> {
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            if (id, kind) != (2, LIST) {
                self.skip(kind, 0)?;
                continue;
            }
            let (mut open, mut deepest) = (Vec::new(), 0);
            let (n, _) = self.list()?;
            for _ in 0..n {
                while open.last() == Some(&0) {
                    open.pop();
                }
                if let Some(left) = open.last_mut() {
                    *left -= 1;
                }
                let (mut inner, mut n_children) = (0, 0);
                while let Some(kind) = self.field(&mut inner)? {
                    match (inner, kind) {
                        (5, I32) => n_children = self.size()?,
                        _ => self.skip(kind, 1)?,
                    }
                }
                if n_children > 0 {
                    open.push(n_children);
                }
                deepest = deepest.max(open.len());
            }
            return Ok(deepest);
        }
        Ok(0)
    }

    /// How many elements a list has, and of which type.
    fn list(&mut self) -> io::Result<(u64, u8)> {
        let byte = self.byte()?;
        let n = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
        Ok((n, byte & 0x0f))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.file.read_exact(&mut byte)?;
        self.n_read += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken())
    }

    fn integer(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn size(&mut self) -> io::Result<u64> {
        u64::try_from(self.integer()?).map_err(|_| broken())
    }

    /// The type of the next field of a struct, whose number is put into `id`; `None` at its end.
    fn field(&mut self, id: &mut i64) -> io::Result<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *id = match byte >> 4 {
            0 => self.integer()?,
            delta => *id + i64::from(delta),
        };
        Ok(Some(byte & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: u32) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(broken());
        }
        match kind {
            TRUE | FALSE => {}
            BYTE => drop(self.byte()?),
            I16 | I32 | I64 => drop(self.varint()?),
            DOUBLE => self.skip_bytes(8)?,
            BINARY => {
                let n = self.varint()?;
                self.skip_bytes(n)?;
            }
            LIST | SET => {
                let (n, kind) = self.list()?;
                for _ in 0..n {
                    // A boolean takes a byte in a list.
                    let kind = if matches!(kind, TRUE | FALSE) { BYTE } else { kind };
                    self.skip(kind, depth + 1)?;
                }
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
            }
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn skip_bytes(&mut self, n: u64) -> io::Result<()> {
        if io::copy(&mut self.file.by_ref().take(n), &mut io::sink())? < n {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.n_read += n;
        Ok(())
    }
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

/// A checksum is a number of 32 bits without a sign, in a field that has one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it wraps around")]
fn in_32_bits(n: i64) -> u32 {
    n as u32
}

fn broken() -> io::Error {
    damaged("the header of a page is broken")
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(bytes: &[u8]) -> io::Result<Page> {
        Header { file: bytes, n_read: 0 }.page()
    }

    #[test]
    fn a_header_says_how_large_its_page_is() {
        // type 0, unpacked 300, packed 100, data page of 7 values with an encoding and statistics
        let header = [
            0x15, 0, 0x15, 0xd8, 0x04, 0x15, 0xc8, 0x01, 0x2c, 0x15, 14, 0x15, 0, 0x3c, 0x18, 2, 1,
            2, 0, 0, 0,
        ];
        let expected = Page { packed: 100, unpacked: 300, n_values: 7, ..Page::default() };
        assert_eq!(page(&header).unwrap(), expected);
    }

    #[test]
    fn a_broken_header_is_an_error_and_never_a_hang() {
        assert!(page(&[0x15]).is_err());
        assert!(page(&[0x15, 0, 0x15, 0x01, 0]).is_err(), "a negative size");
        assert!(page(&[0x1c; 100]).is_err(), "too deep");
        assert!(
            page(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(),
            "a long list of nothing"
        );
        assert!(
            page(&[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
                .is_err()
        );
    }
}
