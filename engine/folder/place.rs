//! Where landing files are: lists them and reads their bytes, in a local folder or an object store.
//!
//! One odd entry holds up nobody: it is left out with its reason, and all others are found.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::names::{Name, name_of};
use super::odd_keys::{is_odd_key, list_around};
use super::walk::walk;
use crate::error::{Error, Result};

/// Entries that a listing hands on at once.
pub(super) const ENTRIES: usize = 1024;

/// A landing folder, as a place that can be listed and read.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder of this machine.
    Local(LocalFolder),
    /// A prefix of an object store.
    Remote(Arc<dyn ObjectStore>, Url),
}

/// A folder of this machine, and where links in it may lead.
#[derive(Clone, Debug)]
pub struct LocalFolder {
    pub(super) folder: PathBuf,
    /// Links are followed below these folders, and nowhere else: who may write here must not read
    /// through us what only we may read.
    allowed: Vec<PathBuf>,
}

/// What a listing finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file: its path below the folder, its size in bytes, and when it was changed last, in
    /// milliseconds since 1970. If a link is on the way to it, also the file that it is.
    File { path: String, size: u64, modified_ms: i64, link: Option<PathBuf> },
    /// What cannot be read, as people should see its name, and why.
    LeftOut { shown: String, why: &'static str },
}

/// Why bytes of a file cannot be had.
#[derive(Debug)]
pub(super) enum Unread {
    /// The file is not there any more, or is shorter.
    Gone,
    /// This user may not read it.
    Denied,
    /// Something else, which may pass.
    Failed(Error),
}

/// A listing under way, which ends with it.
#[derive(Debug)]
pub(super) struct Listing {
    entries: mpsc::Receiver<Result<Vec<Entry>>>,
    _task: JoinSet<()>,
}

impl Listing {
    /// Some more files; `None` behind the last.
    pub(super) async fn recv(&mut self) -> Option<Result<Vec<Entry>>> {
        self.entries.recv().await
    }
}

impl Place {
    /// A local folder below a landing place. Links may lead below the landing place, and below the
    /// folders in `linked`.
    ///
    /// # Errors
    /// `Data`: the folder itself is a link that leads elsewhere. Who may write below the landing
    /// place may have made it, to read through us what only we may read.
    pub fn local(landing: &Path, folder: PathBuf, linked: &[PathBuf]) -> Result<Self> {
        let allowed = linked.iter().map(PathBuf::as_path).chain([landing]);
        let allowed = allowed.filter_map(|path| path.canonicalize().ok()).collect();
        let local = LocalFolder { folder, allowed };
        match local.folder.canonicalize() {
            Ok(target) if !local.allows(&target) => Err(Error::data(format!(
                "{} is a link out of the landing folder, and not followed",
                local.folder.display()
            ))
            .hint("if it is yours, name the folder that it leads to in `ingest.linked_folders` (LAKE_INGEST_LINKED_FOLDERS)")),
            _ => Ok(Self::Local(local)),
        }
    }

    /// Starts to list all files, in no order. The listing ends with the first error.
    pub(super) fn list(&self) -> Listing {
        let (sender, entries) = mpsc::channel(2);
        let mut task = JoinSet::new();
        match self.clone() {
            Self::Local(local) => {
                task.spawn_blocking(move || walk(&local, &sender));
            }
            Self::Remote(store, url) => {
                task.spawn(list_remote(store, url, sender));
            }
        }
        Listing { entries, _task: task }
    }

    /// Whether there is no file of this name with nothing in it, though a listing says so.
    ///
    /// # Errors
    /// The store does not say.
    pub(super) async fn is_marker(&self, path: &str) -> Result<bool> {
        let Self::Remote(store, _) = self else { return Ok(false) };
        let Ok(key) = Key::parse(path) else { return Ok(false) };
        match store.head(&key).await {
            Ok(found) => Ok(found.size > 0),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(cause) => Err(failed("cannot look at the object", cause)),
        }
    }

    /// Some bytes of a file; all of them, or an error.
    pub(super) async fn bytes(
        &self,
        path: &str,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, Unread> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let bytes = match self {
            Self::Local(local) => {
                let (local, path) = (local.clone(), path.to_owned());
                let read = tokio::task::spawn_blocking(move || local.read(&path, range)).await;
                let read = read.map_err(|cause| {
                    Unread::Failed(Error::internal("a reader broke").caused_by(cause))
                })?;
                read.map_err(|cause| match cause.kind() {
                    io::ErrorKind::NotFound => Unread::Gone,
                    io::ErrorKind::PermissionDenied => Unread::Denied,
                    _ => Unread::Failed(Error::retry("cannot read the file").caused_by(cause)),
                })?
            }
            Self::Remote(store, _) => {
                let key = Key::parse(path).map_err(|_| Unread::Gone)?;
                store.get_range(&key, range).await.map_err(|cause| match cause {
                    object_store::Error::NotFound { .. } => Unread::Gone,
                    // A range that begins behind the end: the object is shorter now.
                    cause if cause.to_string().contains("416") => Unread::Gone,
                    cause => Unread::Failed(failed("cannot read the object", cause)),
                })?
            }
        };
        if (bytes.len() as u64) < wanted { Err(Unread::Gone) } else { Ok(bytes) }
    }
}

impl LocalFolder {
    /// Opens a file, if no link on the way leads out. What stands in its place and is none, as a
    /// folder of its name, or a file where its folder was, is not it.
    fn open(&self, path: &str) -> io::Result<File> {
        let path = self.folder.join(path);
        let target = path.canonicalize().map_err(|cause| match cause.kind() {
            io::ErrorKind::PermissionDenied => cause,
            _ if path.is_symlink() => io::ErrorKind::NotFound.into(),
            io::ErrorKind::NotADirectory => io::ErrorKind::NotFound.into(),
            _ => cause,
        })?;
        // A pipe would keep whoever opens it.
        if !self.allows(&target) || !target.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        File::open(target)
    }

    fn read(&self, path: &str, range: std::ops::Range<u64>) -> io::Result<Bytes> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.open(path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let wanted = range.end - range.start;
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        file.take(wanted).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    pub(super) fn allows(&self, target: &Path) -> bool {
        self.allowed.iter().any(|allowed| target.starts_with(allowed))
    }
}

/// Whether a folder's or file's name says that it is unfinished, or none of ours.
pub(super) fn is_unfinished_part(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// Milliseconds since 1970; negative before.
pub(super) fn ms_of(time: SystemTime) -> i64 {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    }
}

async fn list_remote(
    store: Arc<dyn ObjectStore>,
    url: Url,
    sender: mpsc::Sender<Result<Vec<Entry>>>,
) {
    let mut last = None;
    let mut listing = store.list(None).ready_chunks(ENTRIES);
    while let Some(found) = listing.next().await {
        let mut entries = Vec::new();
        let mut ended = None;
        for file in found {
            match file {
                Ok(file) => {
                    let path = file.location.to_string();
                    last = Some(path.clone());
                    let modified_ms = file.last_modified.timestamp_millis();
                    let size = file.size;
                    if size == 0 && is_folder_marker(&path) {
                        continue;
                    }
                    entries.push(Entry::File { path, size, modified_ms, link: None });
                }
                Err(cause) if is_odd_key(&cause) => {
                    let _ = sender.send(Ok(std::mem::take(&mut entries))).await;
                    if let Err(error) = list_around(&url, last.as_deref(), &sender).await {
                        let _ = sender.send(Err(error)).await;
                    }
                    return;
                }
                Err(cause) => ended = Some(not_listed(cause)),
            }
        }
        if sender.send(ended.map_or(Ok(entries), Err)).await.is_err() {
            return;
        }
    }
}

/// Whether an empty object stands for a folder, as consoles and Hadoop make them, or for nothing that
/// anybody would read. Its slash is not in a listing.
pub(super) fn is_folder_marker(path: &str) -> bool {
    matches!(name_of(path), Name::Foreign | Name::Beside)
}

/// Why the objects of a store cannot be listed.
fn not_listed(cause: object_store::Error) -> Error {
    let what = "cannot list the folder";
    crate::table::misconfigured(what, &cause).unwrap_or_else(|| failed(what, cause))
}

pub(super) fn failed(what: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let denied = cause.to_string().contains("ermission denied");
    let error = Error::retry(what).caused_by(cause);
    if denied {
        return error.hint("give this user permission to read it, then run again");
    }
    error
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn empty_objects_that_stand_for_folders_are_no_files() {
        let store = InMemory::new();
        let objects = [("2026", ""), ("a.ndjson", "x"), ("b_$folder$", ""), ("c.ndjson", "")];
        for (path, text) in objects.into_iter().chain([("d.txt", "x"), ("e.txt", "")]) {
            store.put(&path.into(), text.into()).await.unwrap();
        }
        let url = Url::parse("memory:///").unwrap();
        let place = Place::Remote(Arc::new(store), url);
        let mut listing = place.list();
        let mut found = Vec::new();
        while let Some(entries) = listing.recv().await {
            found.extend(entries.unwrap().into_iter().map(|entry| match entry {
                Entry::File { path, .. } => path,
                Entry::LeftOut { shown, .. } => shown,
            }));
        }
        found.sort();
        assert_eq!(found, ["a.ndjson", "c.ndjson", "d.txt"]);
        // Whether the empty object of a listing is the file of that name, or `a.ndjson/`.
        for (path, is_marker) in [("a.ndjson", true), ("c.ndjson", false), ("gone.ndjson", true)] {
            assert_eq!(place.is_marker(path).await.unwrap(), is_marker, "{path}");
        }
    }
}
