//! A landing folder as a source: finds what is new, and reads exactly what a batch lists.
//!
//! One odd file holds up nobody: what is not read is told with the way out, once, and all others
//! come in. See `docs/decisions/0007-batch-log-of-folders.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batchlog::{Known, Range};
use crate::contract::{Contract, Source};
use crate::error::{Error, Result};
use crate::pseudonym::Pseudonyms;

mod csv;
mod csv_columns;
mod csv_row;
mod cut;
mod delta;
mod digits;
mod encode;
mod fine;
mod hive;
mod json;
mod levels;
mod log;
mod magic;
mod maps;
mod meaning;
mod moments;
mod names;
mod odd_keys;
mod pages;
mod parquet;
mod pipe;
mod place;
mod range;
mod read;
mod room;
mod sizes;
mod spill;
mod value;
mod walk;
pub(crate) use hive::given;
pub use log::Log;
pub use names::{Format, Packing, format_of};
pub use place::Place;
pub use read::{Done, Reader};

use names::{Name, name_of};
use place::{Entry, Unread};

/// With `--follow`, a file that changed within this time may still be written.
const SETTLED: Duration = Duration::from_secs(2);
/// A file that has not rested for so long is told.
const RESTLESS: Duration = Duration::from_mins(1);
/// Entries that are left out and named one by one; of others only their number is told.
const TOLD_MAX: usize = 50;

/// A landing folder of one table.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The source as the contract names it: `folder:events`.
    pub source: Source,
    place: Place,
    /// A folder for buffers, if the system's is not wanted.
    scratch: Option<Arc<tempfile::TempDir>>,
    masks: Arc<hive::Masks>,
}

/// What a run that goes on remembers of a folder from one look to the next.
#[derive(Debug, Default)]
pub struct Watch {
    /// Hashes of the remarks that were made.
    told: HashSet<u64>,
    /// Files that may still be written.
    resting: HashMap<String, Resting>,
}

/// A file that may still be written.
#[derive(Debug)]
struct Resting {
    size: u64,
    modified_ms: i64,
    /// Since when it has them.
    since: Instant,
    /// When it was seen first.
    first: Instant,
}

/// How to look into a folder.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// What will read the files.
    pub reader: &'a Reader,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// Whether files that may still be written are left for the next look.
    pub following: bool,
    /// Files that were listed and not there to be read, by their names for people: they are read if
    /// they are there again.
    pub away: &'a BTreeSet<String>,
}

/// What a look into the folder found.
#[derive(Debug, Default)]
pub struct Found {
    /// What is to be read.
    pub ranges: Vec<Range>,
    /// Remarks for people: what is not read, and the way out.
    pub remarks: Vec<String>,
    /// Files of which the log has another content: what was read cannot be unread.
    pub replaced: Vec<Error>,
    /// Whether there is no file at all.
    pub is_empty: bool,
    /// Those of [`Glance::away`] that are there.
    pub again: BTreeSet<String>,
}

/// A file that is new or has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    path: String,
    size: u64,
    modified_ms: i64,
}

impl Watch {
    /// Keeps only remarks that were not made before.
    pub fn only_new(&mut self, remarks: &mut Vec<String>) {
        remarks.retain(|remark| {
            let mut hasher = DefaultHasher::new();
            remark.hash(&mut hasher);
            self.told.insert(hasher.finish())
        });
    }

    /// Whether a file has rested: its time is a while ago, or it has stayed as it is for a while.
    /// The clock of who wrote it may be wrong, so its time alone does not decide.
    fn has_rested(&mut self, file: &Candidate, now_ms: i64) -> bool {
        let settled_ms = i64::try_from(SETTLED.as_millis()).unwrap_or(0);
        if file.modified_ms <= now_ms - settled_ms {
            self.resting.remove(&file.path);
            return true;
        }
        let now = Instant::now();
        let as_it_is = (file.size, file.modified_ms);
        let (size, modified_ms) = as_it_is;
        match self.resting.get_mut(&file.path) {
            Some(seen) if (seen.size, seen.modified_ms) == as_it_is => {
                seen.since.elapsed() >= SETTLED
            }
            Some(seen) => {
                *seen = Resting { size, modified_ms, since: now, first: seen.first };
                false
            }
            None => {
                let seen = Resting { size, modified_ms, since: now, first: now };
                self.resting.insert(file.path.clone(), seen);
                false
            }
        }
    }

    /// The files that never rest: nobody should wait for their records without knowing why.
    fn restless(&self) -> impl Iterator<Item = &str> {
        let restless = |seen: &Resting| seen.first.elapsed() >= RESTLESS;
        self.resting.iter().filter(move |(_, seen)| restless(seen)).map(|(path, _)| path.as_str())
    }
}

impl Folder {
    /// The folder of `source` in its place; buffers go to `scratch`, or the system's folder.
    pub fn new(source: Source, place: Place, scratch: Option<tempfile::TempDir>) -> Self {
        Self { source, place, scratch: scratch.map(Arc::new), masks: Arc::default() }
    }

    /// The same folder, whose names show no raw value of a contract's personal columns.
    pub fn masked(self, contract: &Contract, pseudonyms: Option<&Pseudonyms>) -> Self {
        Self { masks: Arc::new(hive::Masks::new(contract, pseudonyms)), ..self }
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
    /// # Errors
    /// The folder cannot be read.
    pub async fn look(
        &self,
        log: &mut Log,
        watch: &mut Watch,
        glance: &Glance<'_>,
    ) -> Result<Found> {
        let mut found = Found::default();
        let mut candidates = self.candidates(log, glance.away, &mut found).await?;
        if glance.following {
            watch.resting.retain(|path, _| {
                candidates.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
            });
            candidates.retain(|file| watch.has_rested(file, glance.now_ms));
            found.remarks.extend(watch.restless().take(TOLD_MAX).map(|path| {
                format!(
                    "{}: not read yet, since it is still written to: a run that follows waits until it has rested for {} s; write on in a new file, or stop this run and let `lake run` take what is there",
                    self.place(path),
                    SETTLED.as_secs()
                )
            }));
        }
        let mut touched = Vec::new();
        for file in candidates {
            let again = !found.again.is_empty() && found.again.contains(&self.place(&file.path));
            match self.range(log, &file, again, glance.reader).await {
                Ok(None) if again || Self::is_known_whole(log, &file) => {}
                Ok(None) if log.range(&file.path).is_some() => touched.push(file.path),
                Ok(range) => found.ranges.extend(range),
                Err(Unread::Gone) => {}
                Err(Unread::Denied) => found.remarks.push(format!(
                    "{}: left out, this user may not read it: give permission",
                    self.place(&file.path)
                )),
                // What was replaced must be looked at; the others are read all the same.
                Err(Unread::Failed(error)) if error.kind() == crate::error::Kind::Data => {
                    found.replaced.push(error);
                }
                Err(Unread::Failed(error)) => return Err(error.at(self.place(&file.path))),
            }
        }
        if let [first, rest @ ..] = touched.as_slice() {
            let more = match rest.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            found.remarks.push(format!(
                "{}{more}: another time than when it was read, but the same length, start and end, so it counts as read: land other content under a new name",
                self.place(first)
            ));
        }
        Ok(found)
    }

    /// How many files have bytes that no batch lists, and how many are `away` that were listed. Goes
    /// by their sizes, and opens none of them.
    ///
    /// # Errors
    /// The folder or the log cannot be read.
    pub async fn waiting(&self, log: &mut Log, away: &BTreeSet<String>) -> Result<usize> {
        let mut found = Found::default();
        let candidates = self.candidates(log, away, &mut found).await?;
        let read = |path: &str| log.range(path).map_or(0, |range| range.end);
        let grown = candidates.iter().filter(|file| file.size > read(&file.path));
        let grown = grown.filter(|file| !away.contains(&self.place(&file.path))).count();
        Ok(grown + away.len())
    }

    /// The files that are new or have changed, in the order of their paths; the log has looked
    /// them up.
    async fn candidates(
        &self,
        log: &mut Log,
        away: &BTreeSet<String>,
        found: &mut Found,
    ) -> Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        let mut left_out = LeftOut::default();
        let mut linked = Vec::new();
        let mut n_entries = 0;
        let mut listing = self.place.list();
        while let Some(entries) = listing.recv().await {
            for entry in entries.map_err(|error| error.at(&self.source))? {
                n_entries += 1;
                let (path, size, modified_ms, link) = match entry {
                    Entry::File { path, size, modified_ms, link } => {
                        (path, size, modified_ms, link)
                    }
                    Entry::LeftOut { shown, why } => {
                        left_out.one(shown, why);
                        continue;
                    }
                };
                match name_of(&path) {
                    Name::Ours => {
                        let mut known = log.seen().known(&path, size, modified_ms);
                        if !away.is_empty() && away.contains(&self.place(&path)) {
                            found.again.insert(self.place(&path));
                            known = Known::Changed;
                        }
                        let file = Candidate { path, size, modified_ms };
                        match link {
                            Some(target) => linked.push((target, known == Known::New, file, known)),
                            None if known == Known::Unchanged => {}
                            None => candidates.push(file),
                        }
                    }
                    Name::Unfinished => left_out.unfinished(&path),
                    Name::TableLog(table) => {
                        left_out.tables.insert(table.to_owned());
                    }
                    Name::Beside => {}
                    Name::Foreign => left_out.one(
                        path,
                        "left out, not .ndjson, .jsonl, .json, .csv or .parquet (.gz, .zst)",
                    ),
                }
            }
        }
        // Of links to one file the one counts that was read, or else the first.
        linked.sort_by(|one, other| (&one.0, one.1, &one.2).cmp(&(&other.0, other.1, &other.2)));
        let mut last = None;
        for (target, _, file, known) in linked {
            if last.as_ref() == Some(&target) {
                left_out.one(file.path, "it is a link to a file that another link names");
            } else if known != Known::Unchanged {
                candidates.push(file);
            }
            last = Some(target);
        }
        found.is_empty = n_entries == 0;
        let in_table = |path: &str| left_out.tables.iter().any(|table| path.starts_with(table));
        candidates.retain(|file| !in_table(&file.path));
        candidates.sort();
        left_out.tell(self, &mut found.remarks);
        log.look_up(candidates.iter().map(|file| file.path.as_str())).await?;
        self.drop_markers(log, &mut candidates).await?;
        Ok(candidates)
    }

    /// Leaves out the empty objects that consoles make for folders, where they are called as a file
    /// that was read is, with a slash behind it: listings do not tell the two apart.
    async fn drop_markers(&self, log: &Log, candidates: &mut Vec<Candidate>) -> Result<()> {
        let mut markers = HashSet::new();
        for file in candidates.iter().filter(|file| file.size == 0) {
            let was_read = log.range(&file.path).is_some_and(|range| range.end > 0);
            if was_read && self.place.is_marker(&file.path).await? {
                markers.insert(file.path.clone());
            }
        }
        candidates.retain(|file| file.size > 0 || !markers.contains(&file.path));
        Ok(())
    }

    /// A file's name for messages and `_source_file`: below the landing place.
    pub fn place(&self, path: &str) -> String {
        format!("{}/{}", self.source.name, self.masks.apply(path))
    }
}

/// What a look does not read.
#[derive(Debug, Default)]
struct LeftOut {
    /// Reason → entries.
    by_reason: BTreeMap<&'static str, Vec<String>>,
    n: usize,
    unfinished: BTreeSet<String>,
    n_unfinished: usize,
    /// Folders that are tables, each with a slash behind it; empty for the landing folder itself.
    tables: BTreeSet<String>,
}

impl LeftOut {
    fn one(&mut self, shown: String, why: &'static str) {
        self.n += 1;
        if self.n <= TOLD_MAX {
            self.by_reason.entry(why).or_default().push(shown);
        }
    }

    fn unfinished(&mut self, path: &str) {
        self.n_unfinished += 1;
        if self.unfinished.len() < TOLD_MAX {
            self.unfinished.insert(path.to_owned());
        }
    }

    fn tell(&self, folder: &Folder, remarks: &mut Vec<String>) {
        let shown = |path: &str| folder.place(path).trim_end_matches('/').to_owned();
        let is_in_table =
            |path: &&String| self.tables.iter().any(|table| path.starts_with(table.as_str()));
        for (why, entries) in &self.by_reason {
            let why = why.strip_prefix("left out, ").unwrap_or(why);
            let entries = entries.iter().filter(|path| !is_in_table(path));
            remarks.extend(entries.map(|path| format!("{}: left out, {why}", shown(path))));
        }
        if self.n > TOLD_MAX {
            remarks.push(format!("{}: {} more are left out", folder.source, self.n - TOLD_MAX));
        }
        for table in &self.tables {
            remarks.push(format!(
                "{}: left out, it is a table, whose files may be removed or replaced: land plain files, or name the table as an input of a model",
                shown(table)
            ));
        }
        let names: Vec<String> = self
            .unfinished
            .iter()
            .filter(|path| !is_in_table(path))
            .map(|path| shown(path))
            .collect();
        if let [first, rest @ ..] = names.as_slice() {
            let and = match self.n_unfinished.max(names.len()) - 1 {
                0 => String::new(),
                _ if rest.len() == 1 => format!(" and {}", rest[0]),
                n => format!(" and {n} more"),
            };
            remarks.push(format!(
                "{first}{and}: left out as unfinished, since names begin with . or _, or end in .tmp or .part: rename what is whole"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_never_rests_is_known_after_a_while() {
        let mut watch = Watch::default();
        let file = |size| Candidate { path: "a.ndjson".to_owned(), size, modified_ms: 10_000 };
        assert!(!watch.has_rested(&file(1), 10_000));
        assert_eq!(watch.restless().count(), 0);
        let long_ago = Instant::now().checked_sub(RESTLESS).unwrap();
        watch.resting.get_mut("a.ndjson").unwrap().first = long_ago;
        assert!(!watch.has_rested(&file(2), 10_000));
        assert_eq!(watch.restless().collect::<Vec<_>>(), ["a.ndjson"]);
        assert!(watch.has_rested(&file(2), 20_000));
        assert_eq!(watch.restless().count(), 0);
    }
}
