//! What pages of delta-encoded text take in memory, which their headers do not say.
//!
//! Such a page begins with the number of its values and their lengths, and the library makes room for
//! as many; and a value may share its first bytes with the one before, so that a page of a megabyte
//! may hold thousands of values of a megabyte each. So the lengths are looked at first.

use std::fs::File;
use std::io;
use std::sync::Arc;

use datafusion::parquet::basic::Encoding;
use datafusion::parquet::column::page::{Page, PageReader};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use datafusion::parquet::file::serialized_reader::SerializedPageReader;

/// Bytes that the library takes for the lengths of one value.
const LENGTHS_BYTES: u64 = 8;

/// What delta-encoded text of a row group needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    /// Bytes for the lengths of one page.
    pub(super) lengths: u64,
    /// Bytes of a value at most.
    pub(super) longest: u64,
}

/// Looks at the delta-encoded text of a row group, whose pages are known not to be too large.
///
/// # Errors
/// A page cannot be read.
pub(super) fn texts(file: &File, group: &RowGroupMetaData) -> Result<Texts, ParquetError> {
    let mut texts = Texts::default();
    let n_rows = usize::try_from(group.num_rows()).unwrap_or(0);
    for column in group.columns().iter().filter(|column| column.encodings().any(is_delta)) {
        let file = Arc::new(file.try_clone()?);
        let mut pages = SerializedPageReader::new(file, column, n_rows, None)?;
        while let Some(page) = pages.get_next_page()? {
            if let Some(found) = texts_of(&page, column)? {
                texts.lengths = texts.lengths.max(found.lengths);
                texts.longest = texts.longest.max(found.longest);
            }
        }
    }
    Ok(texts)
}

fn is_delta(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY)
}

/// The library counts in 32 bits.
#[allow(clippy::cast_possible_truncation, reason = "it wraps around as the library does")]
fn in_32_bits(n: i64) -> i64 {
    i64::from(n as i32)
}

/// The text of a page; `None` if it is encoded otherwise.
fn texts_of(page: &Page, column: &ColumnChunkMetaData) -> io::Result<Option<Texts>> {
    if matches!(page, Page::DictionaryPage { .. }) || !is_delta(page.encoding()) {
        return Ok(None);
    }
    let levels = if let Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } = page {
        *def_levels_byte_len as usize + *rep_levels_byte_len as usize
    } else {
        let descriptor = column.column_descr();
        let kinds = [descriptor.max_rep_level(), descriptor.max_def_level()];
        let n = kinds.iter().filter(|level| **level > 0).count();
        (0..n).try_fold(0, |at, _| behind_levels(page.buffer(), at))?
    };
    let values = page.buffer().get(levels..).ok_or_else(broken)?;
    let mut first = Lengths::new(values)?;
    if first.n > u64::from(page.num_values()) {
        return Err(broken());
    }
    let mut texts = Texts { lengths: first.n * LENGTHS_BYTES, longest: first.longest()? };
    if page.encoding() == Encoding::DELTA_BYTE_ARRAY {
        // The bytes that are shared stand first, and then those that are not.
        let mut second = Lengths::new(values.get(first.end()..).ok_or_else(broken)?)?;
        if second.n != first.n {
            return Err(broken());
        }
        texts.longest += second.longest()?;
    }
    Ok(Some(texts))
}

/// The place behind levels, whose length stands before them.
fn behind_levels(page: &[u8], at: usize) -> io::Result<usize> {
    let length = page.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    let length = u32::from_le_bytes(length.ok_or_else(broken)?);
    Ok(at + 4 + length as usize)
}

/// Lengths, each as the difference to the one before, in blocks of small blocks.
struct Lengths<'a> {
    bytes: &'a [u8],
    at: usize,
    small_blocks: usize,
    /// Lengths of a small block.
    size: usize,
    n: u64,
    first: i64,
}

impl<'a> Lengths<'a> {
    fn new(bytes: &'a [u8]) -> io::Result<Self> {
        let mut lengths = Self { bytes, at: 0, small_blocks: 0, size: 0, n: 0, first: 0 };
        let block = lengths.varint()?;
        let small_blocks = lengths.varint()?;
        lengths.n = lengths.varint()?;
        lengths.first = lengths.signed()?;
        let is_right = small_blocks > 0 && block % small_blocks == 0 && block > 0;
        if !is_right || block > 1 << 20 || (block / small_blocks) % 32 != 0 {
            return Err(broken());
        }
        lengths.small_blocks = usize::try_from(small_blocks).map_err(|_| broken())?;
        lengths.size = usize::try_from(block / small_blocks).map_err(|_| broken())?;
        Ok(lengths)
    }

    /// The greatest of them.
    fn longest(&mut self) -> io::Result<u64> {
        let (mut value, mut longest) = (self.first, self.first);
        let mut left = self.n.saturating_sub(1);
        while left > 0 {
            let least = self.signed()?;
            let widths = self.bytes.get(self.at..self.at + self.small_blocks);
            let widths = widths.ok_or_else(broken)?;
            self.at += self.small_blocks;
            for width in widths.iter().map(|width| usize::from(*width)) {
                if left == 0 {
                    break;
                }
                if width > 32 {
                    return Err(broken());
                }
                let packed = self.bytes.get(self.at..).ok_or_else(broken)?;
                let here = left.min(self.size as u64);
                for i in 0..usize::try_from(here).unwrap_or(0) {
                    let more = bits(packed, i * width, width).ok_or_else(broken)?;
                    let sum = value.wrapping_add(least).wrapping_add(more);
                    value = in_32_bits(sum);
                    longest = longest.max(value);
                }
                self.at += width * self.size / 8;
                left -= here;
            }
        }
        u64::try_from(longest).map_err(|_| broken())
    }

    /// Where they end, when all were read.
    fn end(&self) -> usize {
        self.at
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or_else(broken)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken())
    }

    fn signed(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }
}

/// So many bits behind a place, the least first.
fn bits(bytes: &[u8], at: usize, width: usize) -> Option<i64> {
    if width == 0 {
        return Some(0);
    }
    let (first, last) = (at / 8, (at + width - 1) / 8);
    let mut value = 0_u64;
    for (i, byte) in bytes.get(first..=last)?.iter().enumerate() {
        value |= u64::from(*byte) << (8 * i);
    }
    Some(((value >> (at % 8)) & ((1 << width) - 1)).cast_signed())
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the lengths of a page's text are broken")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use datafusion::parquet::file::properties::{WriterProperties, WriterVersion};

    use super::*;

    /// What a file of one column of text needs.
    fn needs(values: &[String], version: WriterVersion, encoding: Encoding) -> Texts {
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_dictionary_enabled(false)
            .set_encoding(encoding)
            .build();
        let column: ArrayRef = Arc::new(values.iter().map(Some).collect::<StringArray>());
        let rows = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&writer.into_inner().unwrap()).unwrap();
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
        texts(&file, metadata.metadata().row_group(0)).unwrap()
    }

    #[test]
    fn values_that_share_their_first_bytes_are_known_to_be_long() {
        let values: Vec<String> =
            (0..1000).map(|i| format!("{}{i}", "x".repeat(5000 + i % 7))).collect();
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let found = needs(&values, version, Encoding::DELTA_BYTE_ARRAY);
            assert_eq!(found.lengths, 8000);
            // The first bytes of one and the others of another: twice the longest at most.
            assert!((5009..=2 * 5009).contains(&found.longest), "{found:?}");
            let found = needs(&values, version, Encoding::DELTA_LENGTH_BYTE_ARRAY);
            assert_eq!(found.longest, 5009);
            assert!((8..8000).contains(&found.lengths), "they are on many pages: {found:?}");
            let found = needs(&values, version, Encoding::PLAIN);
            assert_eq!(found, Texts::default());
        }
    }

    #[test]
    fn lengths_that_say_more_than_there_is_are_an_error() {
        // A block of 128 in 4, of 2^31 - 1 values, of which the first has 3 bytes.
        let many = [0x80, 1, 4, 0xff, 0xff, 0xff, 0xff, 7, 6];
        assert!(Lengths::new(&many).unwrap().longest().is_err());
        assert!(Lengths::new(&[0x80, 1, 0, 1, 6]).is_err(), "no small blocks");
        assert!(Lengths::new(&[0x80]).is_err());
        // Two values: 3, and 5 more.
        let two = [0x80, 1, 4, 2, 6, 10, 0, 0, 0, 0];
        assert_eq!(Lengths::new(&two).unwrap().longest().unwrap(), 8);
    }
}
