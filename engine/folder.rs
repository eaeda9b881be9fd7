//! A landing folder as a source: finds what is new, and reads exactly what a batch lists.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::batchlog::{Known, MARK_BYTES, Range, mark};
use crate::contract::Source;
use crate::error::{Error, Result};

mod csv_line;
mod log;
mod parquet_rows;
mod read;
pub use log::Log;
pub use read::Reader;

/// The format of a landing file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// Rows under a header line.
    Csv,
    /// Parquet.
    Parquet,
}

/// How a landing file is compressed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

/// A file's format and packing; `None` if its name says that it is none of ours.
pub fn format_of(path: &str) -> Option<(Format, Packing)> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (stem, packing) = match name.rsplit_once('.')? {
        (stem, "gz") => (stem, Packing::Gzip),
        (stem, "zst") => (stem, Packing::Zstd),
        _ => (name, Packing::Plain),
    };
    let format = match stem.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" | "json" => Format::Json,
        "csv" => Format::Csv,
        "parquet" => Format::Parquet,
        _ => return None,
    };
    Some((format, packing))
}

/// Whether a file is still being written, by its name.
fn unfinished(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with(['.', '_']))
        || path.ends_with(".tmp")
        || path.ends_with(".part")
}

/// A landing folder of one table.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The source as the contract names it: `folder:events`.
    pub source: Source,
    store: Arc<dyn ObjectStore>,
    /// A folder for buffers, if the system's is not wanted.
    scratch: Option<Arc<tempfile::TempDir>>,
}

/// What a look into the folder found.
#[derive(Debug, Default)]
pub struct Found {
    /// What is to be read.
    pub ranges: Vec<Range>,
    /// Remarks for people: files of other formats, lines still being written.
    pub remarks: Vec<String>,
    /// Whether there is no file at all.
    pub is_empty: bool,
}

impl Folder {
    /// The folder of `source` in its store; buffers go to `scratch`, or the system's folder.
    pub fn new(
        source: Source,
        store: Arc<dyn ObjectStore>,
        scratch: Option<tempfile::TempDir>,
    ) -> Self {
        Self { source, store, scratch: scratch.map(Arc::new) }
    }

    /// A file for bytes that must be read from both ends; it goes when it is closed.
    fn buffer(&self) -> std::io::Result<std::fs::File> {
        match &self.scratch {
            Some(folder) => tempfile::tempfile_in(folder.path()),
            None => tempfile::tempfile(),
        }
    }

    /// Looks for new files and for files that have grown.
    ///
    /// With `settled_before_ms`, files that changed later are left for the next look.
    ///
    /// # Errors
    /// A file was replaced by other content, or the folder cannot be read.
    pub async fn look(&self, log: &mut Log, settled_before_ms: Option<i64>) -> Result<Found> {
        let mut found = Found::default();
        let candidates = self.candidates(log, settled_before_ms, &mut found).await?;
        for (path, size, modified_ms) in candidates {
            let range = self.range(log, &path, size, modified_ms, &mut found.remarks).await?;
            found.ranges.extend(range);
        }
        Ok(found)
    }

    /// How many files have bytes that no batch lists. Goes by their sizes, and opens none of them.
    ///
    /// # Errors
    /// The folder or the log cannot be read.
    pub async fn waiting(&self, log: &mut Log) -> Result<usize> {
        let candidates = self.candidates(log, None, &mut Found::default()).await?;
        let read = |path: &str| log.range(path).map_or(0, |range| range.end);
        Ok(candidates.iter().filter(|(path, size, _)| *size > read(path)).count())
    }

    /// The files that are new or have changed, with size and time, in the order of their paths;
    /// the log has looked them up.
    async fn candidates(
        &self,
        log: &mut Log,
        settled_before_ms: Option<i64>,
        found: &mut Found,
    ) -> Result<Vec<(String, u64, i64)>> {
        let mut candidates = Vec::new();
        let mut n_files = 0;
        let mut listing = self.store.list(None);
        while let Some(file) =
            listing.try_next().await.map_err(|cause| self.failed("list", &cause))?
        {
            let path = file.location.to_string();
            n_files += 1;
            let modified_ms = file.last_modified.timestamp_millis();
            if unfinished(&path) || settled_before_ms.is_some_and(|before| modified_ms > before) {
                continue;
            }
            if format_of(&path).is_none() {
                found.remarks.push(format!(
                    "{}: left out, not .ndjson, .jsonl, .json, .csv or .parquet (.gz, .zst)",
                    self.place(&path)
                ));
                continue;
            }
            if log.seen().known(&path, file.size, modified_ms) != Known::Unchanged {
                candidates.push((path, file.size, modified_ms));
            }
        }
        found.is_empty = n_files == 0;
        candidates.sort();
        log.look_up(candidates.iter().map(|(path, ..)| path.as_str())).await?;
        Ok(candidates)
    }

    /// What is new in a file: all of it, or what it has grown by.
    async fn range(
        &self,
        log: &Log,
        path: &str,
        size: u64,
        modified_ms: i64,
        remarks: &mut Vec<String>,
    ) -> Result<Option<Range>> {
        let before = log.range(path);
        let start = before.map_or(0, |range| range.end);
        if let Some(before) = before {
            let same = size >= before.end && self.mark(path, before.end).await? == before.mark;
            if !same {
                return Err(Error::data(format!("{} was read, and now has other content", self.place(path)))
                    .hint("put the new content into a file with a new name, and the old file back or away"));
            }
        }
        let (format, packing) = format_of(path).unwrap_or((Format::Json, Packing::Plain));
        if format == Format::Csv && packing == Packing::Plain && start > 0 && size > start {
            let edge = self.bytes(path, start - 1..start + 1).await?;
            if !edge.contains(&b'\n') && !edge.contains(&b'\r') {
                return Err(Error::data(format!(
                    "{} was read while its last row was still being written",
                    self.place(path)
                ))
                .hint("land the whole file under a new name; a name that ends in .part is left alone until it is renamed"));
            }
        }
        let end = match (format, packing) {
            (Format::Json, Packing::Plain) => self.whole_lines(path, start, size).await?,
            (Format::Parquet, _) if start > 0 && size > start => {
                return Err(Error::data(format!(
                    "{} was read, and has changed: a Parquet file cannot grow",
                    self.place(path)
                ))
                .hint("write new rows into a file with a new name"));
            }
            _ => size,
        };
        if end < size {
            remarks.push(format!(
                "{}: the last {} bytes are no whole line yet, and wait",
                self.place(path),
                size - end
            ));
        }
        if end <= start {
            return Ok(None);
        }
        Ok(Some(Range {
            path: path.to_owned(),
            start,
            end,
            size,
            modified_ms,
            mark: self.mark(path, end).await?,
        }))
    }

    /// The end of the last line: a line without its newline counts if it is a whole JSON object.
    async fn whole_lines(&self, path: &str, start: u64, size: u64) -> Result<u64> {
        let mut tail = 64 << 10;
        loop {
            let from = size.saturating_sub(tail).max(start);
            let bytes = self.bytes(path, from..size).await?;
            if let Some(newline) = memchr::memrchr(b'\n', &bytes) {
                let rest = &bytes[newline + 1..];
                return Ok(if is_object(rest) || blank(rest) {
                    size
                } else {
                    from + newline as u64 + 1
                });
            }
            if from == start {
                return Ok(if is_object(&bytes) || blank(&bytes) { size } else { start });
            }
            tail *= 4;
        }
    }

    async fn mark(&self, path: &str, end: u64) -> Result<String> {
        let first = self.bytes(path, 0..end.min(MARK_BYTES)).await?;
        let last = self.bytes(path, end.saturating_sub(MARK_BYTES)..end).await?;
        Ok(mark(&first, &last))
    }

    /// Some bytes of a file.
    async fn bytes(&self, path: &str, range: std::ops::Range<u64>) -> Result<bytes::Bytes> {
        if range.is_empty() {
            return Ok(bytes::Bytes::new());
        }
        let location = Path::parse(path).map_err(|cause| {
            Error::data(format!("{}: no path", self.place(path))).caused_by(cause)
        })?;
        self.store.get_range(&location, range).await.map_err(|cause| match cause {
            object_store::Error::NotFound { .. } => {
                Error::data(format!("{} is gone", self.place(path)))
            }
            cause => self.failed(path, &cause),
        })
    }

    /// A file's name for messages and `_source_file`: below the landing place.
    pub fn place(&self, path: &str) -> String {
        format!("{}/{path}", self.source.name)
    }

    fn failed(&self, what: &str, cause: &object_store::Error) -> Error {
        let error = Error::retry(format!(
            "cannot read {} in the landing folder: {cause}",
            self.place(what)
        ));
        if cause.to_string().contains("ermission denied") {
            return error.hint("give this user permission to read it, then run again");
        }
        error
    }
}

fn is_object(line: &[u8]) -> bool {
    let start = line.iter().find(|byte| !byte.is_ascii_whitespace());
    start == Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

fn blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        assert_eq!(format_of("a/b.ndjson"), Some((Format::Json, Packing::Plain)));
        assert_eq!(format_of("b.csv.gz"), Some((Format::Csv, Packing::Gzip)));
        assert_eq!(format_of("b.parquet"), Some((Format::Parquet, Packing::Plain)));
        assert_eq!(format_of("b.jsonl.zst"), Some((Format::Json, Packing::Zstd)));
        assert_eq!(format_of("readme.txt"), None);
        assert_eq!(format_of("noending"), None);
        for name in [".a.json", "_a.json", "a.json.tmp", "a.json.part", "_x/a.json"] {
            assert!(unfinished(name), "{name}");
        }
        assert!(!unfinished("a_b/c.json"));
    }
}
