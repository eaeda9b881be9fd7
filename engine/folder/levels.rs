//! How many values each row of a list or map has, which no header says: it is looked at before the
//! rows are read, so that as many are read at once as memory has room for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use datafusion::parquet::basic::Encoding;
use datafusion::parquet::column::page::{Page, PageReader};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::file::serialized_reader::SerializedPageReader;

/// Numbers of rows that may be read at once, beginning at a multiple of them.
pub(super) const SIZES: [u64; 7] = [4096, 1024, 256, 64, 16, 4, 1];

/// What the rows of a column take in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    /// Bytes of the heaviest rows that are read at once, for each of `SIZES`.
    pub(super) windows: [u64; SIZES.len()],
    /// The rows that take `heavy` bytes or more, and how many; they are in no window.
    pub(super) heavy: BTreeMap<u64, u64>,
}

/// Weighs the rows of a column whose pages are known not to be too large: each value at `width` bytes
/// and what it has in its page. `None` if nobody can tell.
///
/// # Errors
/// A page cannot be read.
pub(super) fn weights(
    file: &File,
    column: &ColumnChunkMetaData,
    n_rows: usize,
    width: u64,
    heavy: u64,
) -> Result<Option<Weights>, ParquetError> {
    let file = Arc::new(file.try_clone()?);
    let mut pages = SerializedPageReader::new(file, column, n_rows, None)?;
    let level_max = column.column_descr().max_rep_level();
    let bits = u32::BITS - u32::from(level_max.unsigned_abs()).leading_zeros();
    let mut rows = Rows::new(heavy);
    while let Some(page) = pages.get_next_page()? {
        let n = page.num_values();
        let levels = match &page {
            Page::DictionaryPage { .. } => continue,
            Page::DataPage { rep_level_encoding: Encoding::RLE, buf, .. } => {
                let length = buf.get(..4).and_then(|bytes| bytes.try_into().ok());
                let length = u32::from_le_bytes(length.ok_or_else(broken)?);
                buf.get(4..).and_then(|levels| levels.get(..length as usize))
            }
            // An encoding of old that nobody writes.
            Page::DataPage { .. } => return Ok(None),
            Page::DataPageV2 { buf, rep_levels_byte_len, .. } => {
                buf.get(..*rep_levels_byte_len as usize)
            }
        };
        rows.weight = width + (page.buffer().len() as u64).div_ceil(u64::from(n.max(1)));
        runs(levels.ok_or_else(broken)?, bits, n, |level, n| rows.add(level, n))?;
    }
    Ok(Some(rows.finish()))
}

/// Rows, one level after the other.
struct Rows {
    weights: Weights,
    heavy: u64,
    /// Bytes of a value.
    weight: u64,
    /// The row that is being read, and its bytes so far.
    row: u64,
    bytes: u64,
    is_started: bool,
    windows: [u64; SIZES.len()],
}

impl Rows {
    fn new(heavy: u64) -> Self {
        Self {
            weights: Weights::default(),
            heavy,
            weight: 0,
            row: 0,
            bytes: 0,
            is_started: false,
            windows: [0; SIZES.len()],
        }
    }

    /// So many values of a level; at level 0 a row begins.
    fn add(&mut self, level: u64, n: u64) {
        if level > 0 {
            self.is_started = true;
            self.bytes = self.bytes.saturating_add(self.weight.saturating_mul(n));
            return;
        }
        for _ in 0..n {
            if self.is_started {
                self.end();
            }
            self.is_started = true;
            self.bytes = self.weight;
        }
    }

    fn end(&mut self) {
        if self.bytes >= self.heavy {
            self.weights.heavy.insert(self.row, self.bytes);
        } else {
            let most = self.weights.windows.iter_mut().zip(SIZES);
            for (window, (most, size)) in self.windows.iter_mut().zip(most) {
                if self.row.is_multiple_of(size) {
                    *window = 0;
                }
                *window += self.bytes;
                *most = (*most).max(*window);
            }
        }
        self.row += 1;
        self.bytes = 0;
    }

    fn finish(mut self) -> Weights {
        if self.is_started {
            self.end();
        }
        self.weights
    }
}

/// The runs of `n` levels of so many bits, as they are encoded in runs of one value and in groups of
/// eight values.
fn runs(levels: &[u8], bits: u32, n: u32, mut run: impl FnMut(u64, u64)) -> io::Result<()> {
    let (mut at, mut left) = (0, u64::from(n));
    let n_bytes = bits.div_ceil(8) as usize;
    while left > 0 {
        let head = varint(levels, &mut at)?;
        if head & 1 == 0 {
            let value = levels.get(at..at + n_bytes).ok_or_else(broken)?;
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            let here = left.min(head >> 1);
            // A run of nothing would go on for ever.
            if here == 0 {
                return Err(broken());
            }
            run(value, here);
            (at, left) = (at + n_bytes, left - here);
            continue;
        }
        let groups = usize::try_from(head >> 1).map_err(|_| broken())?;
        let packed = groups.checked_mul(bits as usize).and_then(|n| at.checked_add(n));
        let end = packed.filter(|_| groups > 0).ok_or_else(broken)?.min(levels.len());
        let packed = &levels[at..end];
        let here = left.min(packed.len() as u64 * 8 / u64::from(bits.max(1)));
        if here == 0 {
            return Err(broken());
        }
        for i in 0..here {
            let bit = usize::try_from(i * u64::from(bits)).map_err(|_| broken())?;
            let both = u32::from(packed[bit / 8])
                | u32::from(packed.get(bit / 8 + 1).copied().unwrap_or(0)) << 8
                | u32::from(packed.get(bit / 8 + 2).copied().unwrap_or(0)) << 16;
            run(u64::from(both >> (bit % 8) & ((1 << bits) - 1)), 1);
        }
        (at, left) = (end, left - here);
    }
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(*at).ok_or_else(broken)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(broken())
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the levels of a page are broken")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(bytes: &[u8], bits: u32, n: u32) -> io::Result<Vec<u64>> {
        let mut levels = Vec::new();
        runs(bytes, bits, n, |level, n| levels.extend((0..n).map(|_| level)))?;
        Ok(levels)
    }

    #[test]
    fn levels_are_runs_and_groups() {
        assert_eq!(levels(&[6, 1, 3, 0b1010_0110], 1, 8).unwrap(), [1, 1, 1, 0, 1, 1, 0, 0]);
        assert_eq!(levels(&[3, 0b1110_0100, 0b0000_0001], 2, 5).unwrap(), [0, 1, 2, 3, 1]);
        assert!(levels(&[6, 1], 1, 8).is_err(), "too few");
        assert!(levels(&[0, 1], 1, 8).is_err(), "a run of nothing");
        assert!(levels(&[], 1, 1).is_err());
        assert!(levels(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1, 1).is_err());
    }

    #[test]
    fn rows_are_weighed_together_and_heavy_ones_apart() {
        let mut rows = Rows { weight: 10, ..Rows::new(1000) };
        for n in [1, 5, 200, 2, 3] {
            rows.add(0, 1);
            rows.add(1, n - 1);
        }
        let weights = rows.finish();
        assert_eq!(weights.heavy, BTreeMap::from([(2, 2000)]));
        let [all, .., four, one] = weights.windows;
        assert_eq!((all, four, one), (110, 80, 50));
    }
}
