//! Where landing files are: lists them and reads their bytes, in a local folder or an object store.
//!
//! One odd entry holds up nobody: a name that is no text, a link that leads out of the landing
//! place or in a circle, a pipe. It is left out with its reason, and all others are found.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
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

use super::odd_keys::{is_odd_key, list_around};
use crate::error::{Error, Result};

/// Entries that the walker of a local folder hands on at once.
const ENTRIES: usize = 1024;

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
    folder: PathBuf,
    /// Links are followed below these folders, and nowhere else: who may write here must not read
    /// through us what only we may read.
    allowed: Vec<PathBuf>,
}

/// What a listing finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file: its path below the folder, its size in bytes, and when it was changed last, in
    /// milliseconds since 1970.
    File { path: String, size: u64, modified_ms: i64 },
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
    /// A local folder below a landing place.
    pub fn local(landing: &Path, folder: PathBuf) -> Self {
        let allowed = [landing, &folder].into_iter().filter_map(|path| path.canonicalize().ok());
        Self::Local(LocalFolder { allowed: allowed.collect(), folder })
    }

    /// Starts to list all files, in no order. The listing ends with the first error.
    pub(super) fn list(&self) -> Listing {
        let (sender, entries) = mpsc::channel(2);
        let mut task = JoinSet::new();
        match self.clone() {
            Self::Local(local) => {
                task.spawn_blocking(move || local.walk(&sender));
            }
            Self::Remote(store, url) => {
                task.spawn(list_remote(store, url, sender));
            }
        }
        Listing { entries, _task: task }
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
    /// Opens a file, if no link on the way leads out.
    fn open(&self, path: &str) -> io::Result<File> {
        let path = self.folder.join(path);
        let target = path.canonicalize()?;
        if !self.allows(&target) {
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

    fn allows(&self, target: &Path) -> bool {
        self.allowed.iter().any(|allowed| target.starts_with(allowed))
    }

    fn walk(&self, sender: &mpsc::Sender<Result<Vec<Entry>>>) {
        let mut walk = Walk { local: self, sender, entries: Vec::new() };
        let chain = self.folder.canonicalize().into_iter().collect();
        let walked = walk.folder(&self.folder, "", &Chain { folders: chain });
        let last = match walked {
            Ok(()) => Ok(walk.entries),
            Err(cause) => Err(failed("cannot list the folder", cause)),
        };
        // Nobody waits any more only if the look has failed already.
        let _ = sender.blocking_send(last);
    }
}

/// The folders from the top to here, as they are without links.
struct Chain {
    folders: Vec<PathBuf>,
}

/// A walk through a local folder.
struct Walk<'a> {
    local: &'a LocalFolder,
    sender: &'a mpsc::Sender<Result<Vec<Entry>>>,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    /// Walks through a folder; an error only if this folder cannot be listed.
    fn folder(&mut self, folder: &Path, prefix: &str, chain: &Chain) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            // What went away meanwhile is not there.
            let Ok(entry) = entry else { continue };
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                self.left_out(prefix, &entry.file_name(), "its name is no UTF-8: rename it");
                continue;
            };
            if name.chars().any(char::is_control) {
                let why = "its name has a control character: rename it";
                self.left_out(prefix, &entry.file_name(), why);
                continue;
            }
            let path = format!("{prefix}{name}");
            let found = self.entry(&entry.path(), &path, chain);
            if let Err(why) = found {
                self.left_out("", OsStr::new(&path), why);
            }
        }
        Ok(())
    }

    /// Takes one entry, or says why not.
    fn entry(&mut self, place: &Path, path: &str, chain: &Chain) -> Result<(), &'static str> {
        let Ok(mut metadata) = place.symlink_metadata() else { return Ok(()) };
        let mut target = None;
        if metadata.is_symlink() {
            let Ok(real) = place.canonicalize() else {
                return Err("it is a link that leads nowhere, or in a circle");
            };
            if !self.local.allows(&real) {
                return Err(
                    "it is a link out of the landing folder, and not followed: land a copy",
                );
            }
            let Ok(of_target) = real.metadata() else { return Ok(()) };
            (metadata, target) = (of_target, Some(real));
        }
        if metadata.is_dir() {
            return self.sub_folder(place, path, target, chain);
        }
        if !metadata.is_file() {
            return Err("it is no plain file");
        }
        self.file(path, &metadata);
        Ok(())
    }

    fn sub_folder(
        &mut self,
        place: &Path,
        path: &str,
        target: Option<PathBuf>,
        chain: &Chain,
    ) -> Result<(), &'static str> {
        // Many folders deep a name would be too long for the system anyway.
        const DEPTH_MAX: usize = 128;
        if target.as_ref().is_some_and(|target| chain.folders.contains(target)) {
            return Err("it is a link to a folder that it is in");
        }
        if chain.folders.len() > DEPTH_MAX {
            return Err("it is too many folders deep");
        }
        if is_unfinished_part(path.rsplit('/').next().unwrap_or(path)) {
            // One entry stands for all that is in it.
            self.push(Entry::File { path: format!("{path}/"), size: 0, modified_ms: 0 });
            return Ok(());
        }
        let real = target.or_else(|| place.canonicalize().ok());
        let folders = chain.folders.iter().cloned().chain(real).collect();
        match self.folder(place, &format!("{path}/"), &Chain { folders }) {
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                Err("this user may not list it: give permission")
            }
            // It went away meanwhile.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) => Err("it cannot be listed"),
            Ok(()) => Ok(()),
        }
    }

    fn file(&mut self, path: &str, metadata: &Metadata) {
        let modified_ms = metadata.modified().map_or(0, ms_of);
        self.push(Entry::File { path: path.to_owned(), size: metadata.len(), modified_ms });
    }

    fn left_out(&mut self, prefix: &str, name: &OsStr, why: &'static str) {
        #[allow(clippy::unnecessary_debug_formatting, reason = "it shows what is no text escaped")]
        let escaped = format!("{name:?}");
        let shown = format!("{prefix}{}", escaped.trim_matches('"'));
        self.push(Entry::LeftOut { shown, why });
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        if self.entries.len() == ENTRIES {
            // Nobody waits any more only if the look has failed already.
            let _ = self.sender.blocking_send(Ok(std::mem::take(&mut self.entries)));
        }
    }
}

/// Whether a folder's or file's name says that it is unfinished, or none of ours.
pub(super) fn is_unfinished_part(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// Milliseconds since 1970; negative before.
fn ms_of(time: SystemTime) -> i64 {
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
                    entries.push(Entry::File { path, size: file.size, modified_ms });
                }
                Err(cause) if is_odd_key(&cause) => {
                    let _ = sender.send(Ok(std::mem::take(&mut entries))).await;
                    if let Err(error) = list_around(&url, last.as_deref(), &sender).await {
                        let _ = sender.send(Err(error)).await;
                    }
                    return;
                }
                Err(cause) => ended = Some(failed("cannot list the folder", cause)),
            }
        }
        if sender.send(ended.map_or(Ok(entries), Err)).await.is_err() {
            return;
        }
    }
}

fn failed(what: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let denied = cause.to_string().contains("ermission denied");
    let error = Error::retry(what).caused_by(cause);
    if denied {
        return error.hint("give this user permission to read it, then run again");
    }
    error
}
