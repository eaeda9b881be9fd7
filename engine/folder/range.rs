//! What is new in a file: all of it, or what it has grown by.

use super::names::{Format, format_of};
use super::place::Unread;
use super::{Candidate, Folder, Log, Reader};
use crate::batchlog::{MARK_BYTES, Range, holds_all, is_marked, mark, mark_bytes};
use crate::error::Error;

impl Folder {
    /// What is new in a file, which is `again` there if its last range was listed and not read.
    pub(super) async fn range(
        &self,
        log: &Log,
        file: &Candidate,
        again: bool,
        reader: &Reader,
    ) -> Result<Option<Range>, Unread> {
        let (path, size) = (file.path.as_str(), file.size);
        let before = log.range(path);
        let is_same = match before {
            Some(before) if size >= before.end => self.is_marked(before).await?,
            Some(_) => false,
            None => true,
        };
        let start = match before {
            // Exactly as it was listed, so that what quarantine holds of it is known; what it has
            // grown by since is for the next look.
            Some(before) if again && is_same => return Ok(Some(before.clone())),
            // Nothing of it was ever read, so whatever it holds now is new.
            Some(before) if again && before.start == 0 => 0,
            _ if !is_same => return Err(Unread::Failed(self.replaced(path))),
            _ => before.map_or(0, |range| range.end),
        };
        if size <= start {
            return Ok(None);
        }
        let is_parquet = format_of(path).is_some_and(|(format, _)| format == Format::Parquet);
        if start > 0 && is_parquet {
            let what = "was read, and has changed: a Parquet file cannot grow";
            return Err(Unread::Failed(
                Error::data(format!("{} {what}", self.place(path)))
                    .hint("write new rows into a file with a new name"),
            ));
        }
        let resume = match before.filter(|_| start > 0) {
            None => None,
            Some(before) => match reader.resume(before, size).await? {
                (resume, false) => Some(resume),
                (_, true) => {
                    return Err(Unread::Failed(Error::data(format!(
                        "{} was read while its last row was still being written",
                        self.place(path)
                    ))
                    .hint("land the whole file under a new name; a name that ends in .part is left alone until it is renamed")));
                }
            },
        };
        let (modified_ms, mark) = (file.modified_ms, self.mark(path, size).await?);
        let path = path.to_owned();
        Ok(Some(Range { path, start, end: size, size, modified_ms, mark, resume }))
    }

    fn replaced(&self, path: &str) -> Error {
        Error::data(format!("{} was read, and now has other content", self.place(path)))
            .hint("put the new content into a file with a new name, and the old file back or away")
    }

    /// Whether the last range of a file shows all of its bytes: then nothing of it can be new.
    pub(super) fn is_known_whole(log: &Log, file: &Candidate) -> bool {
        let range = log.range(&file.path);
        range.is_some_and(|range| range.end == file.size && holds_all(&range.mark, file.size))
    }

    async fn mark(&self, path: &str, end: u64) -> Result<String, Unread> {
        let first = self.place.bytes(path, 0..end.min(MARK_BYTES)).await?;
        let last = match end.checked_sub(MARK_BYTES) {
            None | Some(0) => first.clone(),
            Some(from) => self.place.bytes(path, from..end).await?,
        };
        Ok(mark(&first, &last))
    }

    /// Whether a file still has the bytes that a range ended in.
    async fn is_marked(&self, range: &Range) -> Result<bool, Unread> {
        let (path, end, n) = (range.path.as_str(), range.end, mark_bytes(&range.mark));
        let first = self.place.bytes(path, 0..end.min(n)).await?;
        let last = self.place.bytes(path, end.saturating_sub(n)..end).await?;
        Ok(is_marked(&range.mark, &first, &last))
    }
}
