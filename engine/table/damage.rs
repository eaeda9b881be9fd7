//! What is wrong with the files of a table, as a listing of its folder shows; and which file of a
//! log is the reason that a table cannot be opened.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;
use url::Url;

use super::{StoreOptions, Table, open_store};
use crate::contract::TableName;
use crate::error::{Error, Result};

pub(super) const LOG: &str = "_delta_log/";
pub(super) const LAST_CHECKPOINT: &str = "_last_checkpoint";
/// So many commits are read to find one that is damaged: as many as may follow a checkpoint.
const READ_MAX: usize = 1000;
/// What a Parquet file begins and ends with.
const PARQUET: &[u8] = b"PAR1";

/// Files that are not as the log has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Each file, and what is wrong with it, as `is gone`.
    files: Vec<(String, String)>,
}

impl Damage {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether the log itself is damaged: no new rows mend that.
    pub fn is_of_log(&self) -> bool {
        self.files.iter().any(|(file, _)| file.starts_with(LOG))
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((file, what)) = self.files.first() else { return f.write_str("no damage") };
        write!(f, "the file {file} of the table {what}")?;
        match self.files.len() - 1 {
            0 => Ok(()),
            1 => f.write_str(", and one more is damaged"),
            n => write!(f, ", and {n} more are damaged"),
        }
    }
}

impl Table {
    /// The files of this version that are not in the store, or have another length there than in
    /// the log, and commits without a byte. One listing; nothing is read.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub async fn damage(&self) -> Result<Damage> {
        let mut named: HashMap<String, u64> =
            self.files()?.into_iter().map(|file| (file.path, file.bytes)).collect();
        let mut files = Vec::new();
        let store = self.delta.object_store();
        let mut listing = store.list(None);
        while let Some(file) =
            listing.try_next().await.map_err(|cause| self.failed("list", cause.into()))?
        {
            let path = file.location.as_ref();
            if let Some(bytes) = named.remove(path) {
                if bytes != file.size {
                    let what = format!("has {} bytes, and the log says {bytes}", file.size);
                    files.push((path.to_owned(), what));
                }
            } else if file.size == 0 && is_commit(path) {
                files.push((path.to_owned(), "is empty: nobody knows what it said".to_owned()));
            }
        }
        files.extend(named.into_keys().map(|path| (path, "is gone".to_owned())));
        files.sort();
        Ok(Damage { files })
    }
}

/// Whether a file is a commit of a log.
fn is_commit(path: &str) -> bool {
    path.strip_prefix(LOG).and_then(commit_version).is_some()
}

pub(super) fn commit_version(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Of an error that a table cannot be opened: the same with the file that is the reason, if a look
/// at the log finds one.
pub(super) async fn of_log(
    error: Error,
    name: &TableName,
    url: &Url,
    options: &StoreOptions,
) -> Error {
    let found = async {
        let store = open_store(url, options).ok()?;
        find(store.as_ref()).await
    };
    match found.await {
        None => error,
        Some((file, what, way_out)) => {
            Error::data(format!("cannot open table {name}: the file {LOG}{file} {what}"))
                .hint(way_out.unwrap_or_else(|| super::fault::LOG_IS_DAMAGED.to_owned()))
        }
    }
}

type Found = (String, String, Option<String>);

/// The first file of a log that is not as it must be.
async fn find(store: &dyn ObjectStore) -> Option<Found> {
    let listed: Vec<_> = store.list(Some(&"_delta_log".into())).try_collect().await.ok()?;
    let sizes: HashMap<&str, u64> =
        listed.iter().filter_map(|file| Some((file.location.filename()?, file.size))).collect();
    let commits: BTreeSet<u64> = sizes.keys().filter_map(|file| commit_version(file)).collect();
    let mut checkpoints: Vec<(u64, &str)> =
        sizes.keys().filter_map(|file| Some((checkpoint_version(file)?, *file))).collect();
    checkpoints.sort_unstable();
    if let Some(found) = last_checkpoint(store, &sizes, &checkpoints, &commits).await {
        return Some(found);
    }
    let newest = checkpoints.last().map(|(version, _)| *version);
    for (_, file) in checkpoints.iter().filter(|(version, _)| Some(*version) == newest) {
        if file.ends_with(".parquet") && !is_parquet(store, file, sizes[file]).await {
            return Some(damaged(file));
        }
    }
    let first = newest.map_or(0, |version| version + 1);
    let last = *commits.last()?;
    if let Some(gone) = (first..=last).find(|version| !commits.contains(version)) {
        return Some((format!("{gone:020}.json"), "is gone".to_owned(), None));
    }
    for version in commits.range(first..).take(READ_MAX) {
        let file = format!("{version:020}.json");
        let bytes = store.get(&path(&file)).await.ok()?.bytes().await.ok()?;
        let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let is_object = |line| serde_json::from_slice::<Value>(line).is_ok_and(|v| v.is_object());
        if bytes.is_empty() || !lines.all(is_object) {
            return Some(damaged(&file));
        }
    }
    None
}

/// What is wrong with the file that says where to begin.
async fn last_checkpoint(
    store: &dyn ObjectStore,
    sizes: &HashMap<&str, u64>,
    checkpoints: &[(u64, &str)],
    commits: &BTreeSet<u64>,
) -> Option<Found> {
    sizes.get(LAST_CHECKPOINT)?;
    let bytes = store.get(&path(LAST_CHECKPOINT)).await.ok()?.bytes().await.ok()?;
    let says: Option<u64> = serde_json::from_slice::<Value>(&bytes)
        .ok()
        .and_then(|says| says.get("version").and_then(Value::as_u64));
    let what = match says {
        None => "is damaged".to_owned(),
        Some(version) if checkpoints.iter().all(|(at, _)| *at != version) => {
            format!("names the checkpoint of version {version}, which is gone")
        }
        Some(_) => return None,
    };
    // It saves readers a listing, and nothing else.
    let begins = checkpoints.last().map_or(0, |(version, _)| version + 1);
    let is_whole = commits.range(begins..).count() as u64
        == commits.last().map_or(0, |last| (last + 1).saturating_sub(begins));
    let way_out = is_whole
        .then(|| format!("delete {LOG}{LAST_CHECKPOINT}: the rest of the log is whole without it"));
    Some((LAST_CHECKPOINT.to_owned(), what, way_out))
}

pub(super) fn checkpoint_version(file: &str) -> Option<u64> {
    let (digits, rest) = file.split_at_checked(20)?;
    rest.starts_with(".checkpoint.").then(|| digits.parse().ok()).flatten()
}

async fn is_parquet(store: &dyn ObjectStore, file: &str, size: u64) -> bool {
    let Some(end) = size.checked_sub(PARQUET.len() as u64) else { return false };
    for range in [0..PARQUET.len() as u64, end..size] {
        match store.get_range(&path(file), range).await {
            Ok(bytes) if bytes != PARQUET => return false,
            // A store that does not answer says nothing of the file.
            _ => {}
        }
    }
    true
}

fn path(file: &str) -> Path {
    Path::from(format!("{LOG}{file}"))
}

fn damaged(file: &str) -> Found {
    (file.to_owned(), "is damaged".to_owned(), None)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    async fn found(files: &[(&str, &str)]) -> Option<(String, String, bool)> {
        let store = InMemory::new();
        for (file, text) in files {
            let name = match file.split_once('.') {
                Some((version, rest)) => format!("{:020}.{rest}", version.parse::<u64>().unwrap()),
                None => (*file).to_owned(),
            };
            store.put(&path(&name), (*text).to_owned().into()).await.unwrap();
        }
        let (file, what, way_out) = find(&store).await?;
        Some((file.trim_start_matches('0').to_owned(), what, way_out.is_some()))
    }

    #[tokio::test]
    async fn the_file_that_is_the_reason_is_named() {
        let is =
            |file: &str, what: &str, mends: bool| Some((file.to_owned(), what.to_owned(), mends));
        let commit = "{\"commitInfo\":{}}\n";
        let zero = ("0.json", commit);
        assert_eq!(found(&[zero, ("1.json", commit)]).await, None);
        assert_eq!(found(&[zero, ("2.json", commit)]).await, is("1.json", "is gone", false));
        assert_eq!(found(&[("1.json", commit)]).await, is(".json", "is gone", false));
        for text in ["", "xx", "{\"add\":", "[]"] {
            let files = [zero, ("1.json", text), ("2.json", commit)];
            assert_eq!(found(&files).await, is("1.json", "is damaged", false), "{text}");
        }
        let gone = "names the checkpoint of version 1, which is gone";
        let last = ("_last_checkpoint", "{\"version\":1,\"size\":3}");
        let files = [zero, ("1.json", commit), last];
        assert_eq!(found(&files).await, is("_last_checkpoint", gone, true));
        assert_eq!(found(&files[1..]).await, is("_last_checkpoint", gone, false));
        let files = [("1.checkpoint.parquet", "PAR1...PAR1"), ("2.json", commit), last];
        assert_eq!(found(&files).await, None);
        for text in ["", "PAR1", "PAR1...PAR", "xAR1...PAR1"] {
            let files = [("1.checkpoint.parquet", text), ("2.json", commit), last];
            let is_cut = text != "PAR1";
            let wanted = is("1.checkpoint.parquet", "is damaged", false).filter(|_| is_cut);
            assert_eq!(found(&files).await, wanted, "{text}");
        }
        let torn = [zero, ("_last_checkpoint", "{\"ver")];
        assert_eq!(found(&torn).await, is("_last_checkpoint", "is damaged", true));
    }

    #[test]
    fn damage_is_told_by_its_first_file_and_how_many_there_are() {
        let file = |name: &str| (name.to_owned(), "is gone".to_owned());
        let damage =
            |names: &[&str]| Damage { files: names.iter().map(|name| file(name)).collect() };
        assert_eq!(damage(&["a"]).to_string(), "the file a of the table is gone");
        assert!(damage(&["a", "b"]).to_string().ends_with("is gone, and one more is damaged"));
        assert!(damage(&["a", "b", "c"]).to_string().ends_with(", and 2 more are damaged"));
        assert!(damage(&["_delta_log/1.json"]).is_of_log() && !damage(&["a"]).is_of_log());
        assert!(damage(&[]).is_none());
        assert!(is_commit("_delta_log/00000000000000000003.json"));
        for other in ["_delta_log/3.json", "a.json", "_delta_log/00000000000000000003.checkpoint"] {
            assert!(!is_commit(other), "{other}");
        }
    }
}
