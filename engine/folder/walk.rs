//! Walks through a local folder.
//!
//! A name that is no text, a pipe, or a link that leads out of the landing place or in a circle is
//! left out with its reason. A link that stays inside is followed where that finds something new: a
//! file that is read under its own name is not read again through a link, and behind a link to a
//! folder no other is followed, so that folders which link to each other come to an end.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::names::{Name, name_of};
use super::place::{ENTRIES, Entry, LocalFolder, failed, is_unfinished_part, ms_of};
use crate::error::Result;

/// Many folders deep a name would be too long for the system anyway.
const DEPTH_MAX: usize = 128;

/// Lists a folder, to whom it may concern.
pub(super) fn walk(local: &LocalFolder, sender: &mpsc::Sender<Result<Vec<Entry>>>) {
    let top = local.folder.canonicalize().unwrap_or_else(|_| local.folder.clone());
    let mut walk = Walk { local, top: top.clone(), sender, entries: Vec::new() };
    let chain = Chain { folders: vec![top], is_linked: false };
    let last = match walk.folder(&local.folder, "", &chain) {
        Ok(()) => Ok(walk.entries),
        Err(cause) => Err(failed("cannot list the folder", cause)),
    };
    // Nobody waits any more only if the look has failed already.
    let _ = sender.blocking_send(last);
}

/// The folders from the top to here, as they are without links; whether one is behind a link.
struct Chain {
    folders: Vec<PathBuf>,
    is_linked: bool,
}

/// A walk through a local folder.
struct Walk<'a> {
    local: &'a LocalFolder,
    /// The folder without links.
    top: PathBuf,
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
        let Ok(metadata) = place.symlink_metadata() else { return Ok(()) };
        if metadata.is_symlink() {
            return self.link(place, path, chain);
        }
        if metadata.is_dir() {
            return self.sub_folder(place, path, chain);
        }
        if !metadata.is_file() {
            return Err("it is no plain file");
        }
        // The same file may be found through another link, too.
        let name = place.file_name().filter(|_| chain.is_linked);
        let link = name.and_then(|name| Some(chain.folders.last()?.join(name)));
        self.file(path, &metadata, link);
        Ok(())
    }

    fn link(&mut self, place: &Path, path: &str, chain: &Chain) -> Result<(), &'static str> {
        let Ok(target) = place.canonicalize() else {
            return Err("it is a link that leads nowhere, or in a circle");
        };
        if !self.local.allows(&target) {
            return Err(
                "it is a link out of the landing folder, and not followed: land a copy, or name the folder that it leads to in `ingest.linked_folders`",
            );
        }
        let Ok(metadata) = target.metadata() else { return Ok(()) };
        if metadata.is_file() {
            if self.is_listed(&target, true) {
                return Err("it is a link to a file that is read under its own name");
            }
            self.file(path, &metadata, Some(target));
            return Ok(());
        }
        if !metadata.is_dir() {
            return Err("it is no plain file");
        }
        if self.top.starts_with(&target) || chain.folders.contains(&target) {
            return Err("it is a link to a folder that it is in");
        }
        if self.is_listed(&target, false) {
            return Err("it is a link to a folder that is read under its own name");
        }
        if chain.is_linked {
            return Err("it is a link behind another link, and not followed");
        }
        self.walk_into(place, path, &[&chain.folders[..], &[target]].concat(), true)
    }

    /// Whether what is there without links is found under its own name.
    fn is_listed(&self, target: &Path, is_file: bool) -> bool {
        let Ok(below) = target.strip_prefix(&self.top) else { return false };
        let Some(below) = below.to_str() else { return false };
        let is_open = !below.split('/').any(is_unfinished_part);
        is_open && (!is_file || name_of(below) == Name::Ours)
    }

    fn sub_folder(&mut self, place: &Path, path: &str, chain: &Chain) -> Result<(), &'static str> {
        let name = place.file_name().unwrap_or_default();
        let target = chain.folders.last().map(|above| above.join(name));
        let folders = chain.folders.iter().cloned().chain(target).collect::<Vec<_>>();
        self.walk_into(place, path, &folders, chain.is_linked)
    }

    fn walk_into(
        &mut self,
        place: &Path,
        path: &str,
        folders: &[PathBuf],
        is_linked: bool,
    ) -> Result<(), &'static str> {
        if folders.len() > DEPTH_MAX {
            return Err("it is too many folders deep");
        }
        if is_unfinished_part(path.rsplit('/').next().unwrap_or(path)) {
            // One entry stands for all that is in it.
            let path = format!("{path}/");
            self.push(Entry::File { path, size: 0, modified_ms: 0, link: None });
            return Ok(());
        }
        let chain = Chain { folders: folders.to_vec(), is_linked };
        match self.folder(place, &format!("{path}/"), &chain) {
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                Err("this user may not list it: give permission")
            }
            // It went away meanwhile.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) => Err("it cannot be listed"),
            Ok(()) => Ok(()),
        }
    }

    fn file(&mut self, path: &str, metadata: &Metadata, link: Option<PathBuf>) {
        let (path, size) = (path.to_owned(), metadata.len());
        let modified_ms = metadata.modified().map_or(0, ms_of);
        self.push(Entry::File { path, size, modified_ms, link });
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
