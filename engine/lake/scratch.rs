//! Scratch folders on local disk, of processes that are at work and of those that were killed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::clock::Clock;

const DAY_MS: i64 = 86_400_000;

/// The file in a process's scratch folder that it keeps locked.
const LOCK: &str = "lock";

/// A folder of this process below `<root>/_lake/tmp`, for all its scratch folders.
#[derive(Debug)]
pub(super) struct Workplace {
    folder: tempfile::TempDir,
    /// Held as long as the process may use the folder: how others know that it is at work.
    #[allow(dead_code, reason = "it is held, and never asked")]
    lock: File,
}

impl Workplace {
    /// Makes it below `parent`, and removes those that killed processes left there.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        remove_stale(parent);
        let folder = tempfile::tempdir_in(parent)?;
        let lock = File::create_new(folder.path().join(LOCK))?;
        // A file system without locks: the folder is then kept from others by its age alone.
        let _ = lock.try_lock();
        Ok(Self { folder, lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of processes that were killed. A prompt may be open for days: only a folder
/// whose lock can be taken is nobody's. One that is a day old and has no lock was made by an older
/// version, or by a process that was killed at its first step.
fn remove_stale(parent: &Path) {
    let day_ago = Clock::System.now_ms() - DAY_MS;
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let is_old = modified.is_some_and(|at| at.as_millis() < day_ago.unsigned_abs().into());
        let lock = File::open(entry.path().join(LOCK));
        if is_old && lock.map_or(true, |lock| lock.try_lock().is_ok()) {
            // One that cannot be removed takes space, and nothing else.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a folder as old as one that was left two days ago.
    fn age(folder: &Path) {
        let two_days = std::time::Duration::from_hours(48);
        let times = std::fs::FileTimes::new();
        let opened = File::open(folder).unwrap();
        let modified = opened.metadata().unwrap().modified().unwrap();
        opened.set_times(times.set_modified(modified - two_days)).unwrap();
    }

    #[test]
    fn scratch_of_a_process_at_work_stays_however_old_it_is() {
        let parent = tempfile::tempdir().unwrap();
        let at_work = Workplace::new(parent.path()).unwrap();
        let Workplace { folder, lock } = Workplace::new(parent.path()).unwrap();
        let of_killed = folder.keep();
        // As when its process ends: the file stays, and the lock goes.
        drop(lock);
        let without_lock = tempfile::tempdir_in(parent.path()).unwrap().keep();
        let young = tempfile::tempdir_in(parent.path()).unwrap();
        for folder in [at_work.path(), &of_killed, &without_lock] {
            age(folder);
        }
        remove_stale(parent.path());
        assert!(at_work.path().is_dir() && young.path().is_dir());
        assert!(!of_killed.exists() && !without_lock.exists());
    }
}
