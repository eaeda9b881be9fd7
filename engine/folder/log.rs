//! The log of batches in the store: `<root>/_lake/<table>/<source>/<number>`.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::batchlog::{Batch, Range, Seen};
use crate::error::{Error, Result};

/// Batches between two compact files.
const COMPACT_EVERY: i64 = 100;
/// Files in the batches since the last compact file: each is held whole, in memory and on disk.
const COMPACT_FILES: usize = 20_000;
const COMPACT_ENDING: &str = ".compact";

/// The log of one source of one table, as it stands.
#[derive(Debug)]
pub struct Log {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    seen: Seen,
    /// Ranges of files that have changed, looked up in the compact file.
    looked_up: HashMap<String, Range>,
    compact: Option<i64>,
    batches: BTreeMap<i64, Batch>,
}

impl Log {
    /// Reads the log.
    pub async fn open(store: Arc<dyn ObjectStore>, table: &str, source: &str) -> Result<Self> {
        let prefix = Path::from(format!("{table}/{}", source.replace('/', "%2F")));
        let mut log = Self {
            store,
            prefix,
            seen: Seen::default(),
            looked_up: HashMap::new(),
            compact: None,
            batches: BTreeMap::new(),
        };
        let mut numbers = Vec::new();
        let mut listing = log.store.list(Some(&log.prefix));
        while let Some(file) =
            listing.try_next().await.map_err(|cause| log.failed("list", cause))?
        {
            let name = file.location.filename().unwrap_or_default();
            if let Some(number) = name.strip_suffix(COMPACT_ENDING).and_then(|n| n.parse().ok()) {
                log.compact = log.compact.max(Some(number));
            } else if let Ok(number) = name.parse::<i64>() {
                numbers.push(number);
            }
        }
        drop(listing);
        if let Some(number) = log.compact {
            let mut seen = std::mem::take(&mut log.seen);
            log.each_compacted(number, |range| seen.add(&range)).await?;
            log.seen = seen;
        }
        numbers.retain(|number| Some(*number) > log.compact);
        numbers.sort_unstable();
        for number in numbers {
            let batch = log.read(number).await?;
            for range in &batch.ranges {
                log.seen.add_recent(range.clone());
            }
            log.batches.insert(number, batch);
        }
        Ok(log)
    }

    /// Which files were read.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The number of the newest batch.
    pub fn last(&self) -> Option<i64> {
        self.batches.keys().next_back().copied().max(self.compact)
    }

    /// A batch that is not folded away.
    pub fn batch(&self, number: i64) -> Option<&Batch> {
        self.batches.get(&number)
    }

    /// How far a file was read, if it was; a file of the compact file must be looked up before.
    pub fn range(&self, path: &str) -> Option<&Range> {
        self.seen.recent(path).or_else(|| self.looked_up.get(path))
    }

    /// Looks up the ranges of files that the compact file knows.
    pub async fn look_up(&mut self, paths: impl Iterator<Item = &str>) -> Result<()> {
        let wanted: std::collections::HashSet<String> =
            paths.filter(|path| self.seen.recent(path).is_none()).map(str::to_owned).collect();
        let Some(number) = self.compact.filter(|_| !wanted.is_empty()) else { return Ok(()) };
        let mut found = HashMap::new();
        self.each_compacted(number, |range| {
            if wanted.contains(&range.path) {
                found.insert(range.path.clone(), range);
            }
        })
        .await?;
        self.looked_up = found;
        Ok(())
    }

    /// Writes a batch ahead; `false` if another run wrote one of this number first.
    pub async fn append(&mut self, batch: Batch) -> Result<bool> {
        let bytes = serde_json::to_vec(&batch)
            .map_err(|cause| Error::internal("a batch is no JSON").caused_by(cause))?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self
            .store
            .put_opts(&self.path(&format!("{:020}", batch.number)), bytes.into(), options)
            .await
        {
            Ok(_) => {
                for range in &batch.ranges {
                    self.seen.add_recent(range.clone());
                }
                self.batches.insert(batch.number, batch);
                Ok(true)
            }
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(cause) => Err(self.failed("write", cause)),
        }
    }

    /// Folds committed batches into one compact file when there are enough of them.
    pub async fn fold(&mut self, committed: i64) -> Result<()> {
        let few = committed - self.compact.unwrap_or(-1) < COMPACT_EVERY;
        if few && self.seen.n_recent() < COMPACT_FILES {
            return Ok(());
        }
        let failed = |cause| Error::retry("cannot fold the log of batches").caused_by(cause);
        let mut latest: BTreeMap<&str, &Range> = BTreeMap::new();
        for batch in self.batches.values().filter(|batch| batch.number <= committed) {
            latest.extend(batch.ranges.iter().map(|range| (range.path.as_str(), range)));
        }
        let mut out = zstd::Encoder::new(Vec::new(), 3).map_err(failed)?;
        if let Some(number) = self.compact {
            let mut result = Ok(());
            self.each_compacted(number, |range| {
                if result.is_ok() && !latest.contains_key(range.path.as_str()) {
                    result = write_line(&mut out, &range);
                }
            })
            .await?;
            result.map_err(failed)?;
        }
        for range in latest.values() {
            write_line(&mut out, range).map_err(failed)?;
        }
        let bytes = out.finish().map_err(failed)?;
        let path = self.path(&format!("{committed:020}{COMPACT_ENDING}"));
        self.store.put(&path, bytes.into()).await.map_err(|cause| self.failed("write", cause))?;
        let old: Vec<i64> =
            self.batches.keys().copied().filter(|number| *number <= committed).collect();
        for number in old {
            self.delete(&format!("{number:020}")).await;
            self.batches.remove(&number);
        }
        if let Some(number) = self.compact.replace(committed) {
            self.delete(&format!("{number:020}{COMPACT_ENDING}")).await;
        }
        Ok(())
    }

    async fn delete(&self, name: &str) {
        // A file that stays is older than the compact file, and is not read again.
        if let Err(cause) = self.store.delete(&self.path(name)).await {
            tracing::warn!(%cause, name, "an old batch file stays behind");
        }
    }

    async fn read(&self, number: i64) -> Result<Batch> {
        let path = self.path(&format!("{number:020}"));
        let bytes = self.get(&path).await?;
        serde_json::from_slice(&bytes).map_err(|cause| {
            Error::data(format!("the batch file _lake/{path} is broken"))
                .hint("if no commit of the table has its number, it can be deleted")
                .caused_by(cause)
        })
    }

    /// Calls `each` with every range of a compact file, without holding them all.
    async fn each_compacted(&self, number: i64, mut each: impl FnMut(Range)) -> Result<()> {
        let path = self.path(&format!("{number:020}{COMPACT_ENDING}"));
        let bytes = self.get(&path).await?;
        let broken = |cause: std::io::Error| {
            Error::data(format!("the file _lake/{path} is broken")).caused_by(cause)
        };
        let lines = BufReader::new(zstd::Decoder::new(bytes.as_ref()).map_err(broken)?).lines();
        for line in lines {
            let range = serde_json::from_str(&line.map_err(broken)?);
            each(range.map_err(|cause| broken(cause.into()))?);
        }
        Ok(())
    }

    async fn get(&self, path: &Path) -> Result<bytes::Bytes> {
        let got = self.store.get(path).await.map_err(|cause| self.failed("read", cause))?;
        got.bytes().await.map_err(|cause| self.failed("read", cause))
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn failed(&self, what: &str, cause: object_store::Error) -> Error {
        let error = Error::retry(format!("cannot {what} the log of batches _lake/{}", self.prefix));
        let error = if cause.to_string().contains("ermission denied") {
            error.hint("give this user permission on the root, then run again")
        } else {
            error
        };
        error.caused_by(cause)
    }
}

fn write_line(out: &mut impl Write, range: &Range) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, range)?;
    out.write_all(b"\n")
}
