//! Output that is held back at first: a query that fails before it has given much leaves nothing,
//! neither the header of a CSV nor the first bytes of a Parquet file.

use std::io::{self, Write};

/// So many bytes are held; a longer result is written as it comes.
const HELD_BYTES: usize = 1 << 20;

/// Writes to `out` once there is much to write, or when all is written.
pub(super) struct Held<W> {
    out: W,
    /// What is held back; `None` once it was written.
    held: Option<Vec<u8>>,
}

impl<W: Write> Held<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, held: Some(Vec::new()) }
    }

    /// Writes what is held: all went well.
    pub(super) fn release(mut self) -> io::Result<()> {
        self.begin()?;
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(held) => self.out.write_all(&held),
            None => Ok(()),
        }
    }
}

impl<W: Write> Write for Held<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(held) = &mut self.held {
            if held.len() + bytes.len() <= HELD_BYTES {
                held.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            self.begin()?;
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // The writers of some formats flush in between, which is no reason to begin.
        if self.held.is_some() { Ok(()) } else { self.out.flush() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_leaves_nothing_and_what_is_released_is_whole() {
        let mut out = Vec::new();
        let mut held = Held::new(&mut out);
        held.write_all(b"PAR1").unwrap();
        held.flush().unwrap();
        drop(held);
        assert!(out.is_empty());
        let mut held = Held::new(&mut out);
        held.write_all(b"a").unwrap();
        held.write_all(b"b").unwrap();
        held.release().unwrap();
        assert_eq!(out, b"ab");
    }

    #[test]
    fn a_long_result_is_written_as_it_comes() {
        let mut out = Vec::new();
        let mut held = Held::new(&mut out);
        held.write_all(&vec![1; HELD_BYTES]).unwrap();
        held.write_all(&[2]).unwrap();
        drop(held);
        assert_eq!((out.len(), out.last()), (HELD_BYTES + 1, Some(&2)));
    }
}
