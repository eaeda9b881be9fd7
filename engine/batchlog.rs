//! What a folder source has read: a log of batches, written ahead.
//!
//! Batch N lists the files, and the bytes of each, that commit N of the table holds. It is written
//! by put-if-absent before anything is read, so that a crash repeats exactly batch N. Every now
//! and then the log is folded into one compact file.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod mark;
pub use mark::{MARK_BYTES, holds_all, is_marked, mark, mark_bytes};

/// The bytes of one file that a batch holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The file, below the source's folder.
    pub path: String,
    /// The first byte of the file (as stored) that is not in an earlier batch.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
    /// The file's size when the batch was written.
    pub size: u64,
    /// When the file was changed last, in milliseconds since 1970.
    pub modified_ms: i64,
    /// A hash of the bytes before `end` that tells a grown file from another one.
    pub mark: String,
    /// Of a file that has grown: where its reading goes on. It follows from the looks before, each
    /// as it was taken, so that no record gets another position however often a file is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// Where the reading of a file goes on: what must be known of the text before.
#[allow(clippy::struct_excessive_bools, reason = "each says another thing of the text before")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resume {
    /// Bytes of the text before it.
    pub bytes: u64,
    /// The position of the record there, unless `same_line` adds one.
    pub next: u64,
    /// JSON: a record began in this line already.
    pub same_line: bool,
    /// JSON: the file is a list: positions count its elements, and not lines.
    pub is_list: bool,
    /// JSON: the list was opened and not closed.
    pub is_open: bool,
    /// JSON: the record here is known to be too large.
    pub is_too_large: bool,
    /// JSON: something but white space stands before: whether the file is a list is known.
    pub has_begun: bool,
}

impl Resume {
    /// The same place in a text that begins here.
    pub(crate) fn behind(self) -> Self {
        Self { bytes: 0, ..self }
    }
}

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its number: the `txn` version of the commit that holds it.
    pub number: i64,
    /// What it reads, in this order.
    pub ranges: Vec<Range>,
}

/// Which files were read how far, in a few bytes a file.
#[derive(Debug, Default)]
pub struct Seen {
    /// Hash of the path → hash of size and time.
    files: HashMap<u64, u64>,
    /// Ranges of batches since the compact file, whole.
    recent: HashMap<String, Range>,
}

/// What is known of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is new.
    New,
    /// It was read as it stands.
    Unchanged,
    /// It was read, and has changed since: look up how far.
    Changed,
}

impl Seen {
    /// Notes that a range was read.
    pub fn add(&mut self, range: &Range) {
        self.files.insert(hash(range.path.as_bytes()), stamp(range.size, range.modified_ms));
    }

    /// Notes that a range was read, and keeps it whole.
    pub fn add_recent(&mut self, range: Range) {
        self.add(&range);
        self.recent.insert(range.path.clone(), range);
    }

    /// What is known of a file that is there now.
    pub fn known(&self, path: &str, size: u64, modified_ms: i64) -> Known {
        match self.files.get(&hash(path.as_bytes())) {
            None => Known::New,
            Some(seen) if *seen == stamp(size, modified_ms) => Known::Unchanged,
            Some(_) => Known::Changed,
        }
    }

    /// The range read last of a file, if it is in a recent batch.
    pub fn recent(&self, path: &str) -> Option<&Range> {
        self.recent.get(path)
    }

    /// Files whose ranges are held whole.
    pub fn n_recent(&self) -> usize {
        self.recent.len()
    }
}

fn stamp(size: u64, modified_ms: i64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&size.to_le_bytes());
    bytes[8..].copy_from_slice(&modified_ms.to_le_bytes());
    hash(&bytes)
}

fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    u64::from_le_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ])
}

/// Splits what is to be read into batches of about `batch_bytes`, at most `n_files_max` files each.
pub fn split(
    ranges: Vec<Range>,
    first_number: i64,
    batch_bytes: u64,
    n_files_max: usize,
) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for range in ranges {
        let size = range.end - range.start;
        let full = batches.last().is_none_or(|batch: &Batch| {
            batch.ranges.len() >= n_files_max || (bytes + size > batch_bytes && bytes > 0)
        });
        if full {
            let number = first_number + i64::try_from(batches.len()).unwrap_or(i64::MAX);
            batches.push(Batch { number, ranges: Vec::new() });
            bytes = 0;
        }
        bytes += size;
        if let Some(batch) = batches.last_mut() {
            batch.ranges.push(range);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(path: &str, end: u64) -> Range {
        Range {
            path: path.to_owned(),
            start: 0,
            end,
            size: end,
            modified_ms: 1,
            mark: String::new(),
            resume: None,
        }
    }

    #[test]
    fn a_file_is_new_once() {
        let mut seen = Seen::default();
        assert_eq!(seen.known("a", 10, 1), Known::New);
        seen.add_recent(range("a", 10));
        assert_eq!(seen.known("a", 10, 1), Known::Unchanged);
        assert_eq!(seen.known("a", 11, 2), Known::Changed);
        assert_eq!(seen.recent("a").map(|range| range.end), Some(10));
    }

    #[test]
    fn batches_hold_about_as_much_as_asked() {
        let ranges = vec![range("a", 60), range("b", 60), range("c", 10), range("d", 500)];
        let batches = split(ranges, 7, 100, 10);
        let paths: Vec<Vec<&str>> = batches
            .iter()
            .map(|batch| batch.ranges.iter().map(|range| range.path.as_str()).collect())
            .collect();
        assert_eq!(paths, [vec!["a"], vec!["b", "c"], vec!["d"]]);
        assert_eq!(batches[2].number, 9);
        assert_eq!(split(vec![range("a", 1), range("b", 1)], 0, 100, 1).len(), 2);
    }
}
