//! The end of a table's log, followed commit by commit, and rows added there.
//!
//! To open a table costs time and memory for each of its files. A run that goes on adds rows every
//! few seconds and reads none of them, so it opens a table once. From then on it reads what others
//! commit, one entry of the log after the other, and writes its own behind the last one by
//! put-if-absent, as delta-rs does. The promises are those of `commit`: the entry that says that we
//! are first is the one that we write, and after any error the log is read before anything is
//! decided.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use deltalake::kernel::{Action, StructType};
use deltalake::logstore::{CommitOrBytes, get_actions};
use deltalake::table::state::DeltaTableState;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::commit::{ATTEMPTS, COMMIT_ID, Commit, Outcome, back_off};
use super::{Files, Table, translate};
use crate::error::{Error, Result};

/// So many commits are followed one by one; behind more, the table is opened anew.
const FOLLOWED_MAX: u64 = 50;
/// The newest protocol of tables that we make; later ones may ask more of a commit.
const WRITER_MAX: i32 = 4;
/// Others may be first so often before the commit is given up: each time costs a few reads.
const OVERTAKEN_MAX: u32 = 100;

/// How far a handle is beyond the version that it was opened at.
#[derive(Clone, Debug, Default)]
pub(super) struct Tip {
    /// Commits since, which all did no more than add files and move `txn`s.
    pub(super) n_commits: u64,
    /// Files that they added.
    pub(super) n_files: u64,
    /// The entry of the newest one, or of the version that was opened, once it was read.
    last: Option<Bytes>,
}

/// What stands in the log where a handle looked.
enum Next {
    /// Nothing yet.
    None,
    /// A commit that only added files.
    Rows,
    /// One that did more.
    Other,
}

impl Table {
    /// Moves the handle to the newest version, as `reload` does. Where only rows were added since,
    /// the table is not opened anew: then its files are still those of before, and whoever wants
    /// them takes [`Table::with_files`].
    pub async fn follow(&mut self) -> Result<()> {
        if !self.is_simple()? || !self.is_same_log().await? {
            return self.reload().await;
        }
        for _ in 0..FOLLOWED_MAX {
            match self.next().await? {
                Next::None => return Ok(()),
                Next::Rows => {}
                Next::Other => break,
            }
        }
        self.reload().await
    }

    /// This handle with the files of its version.
    pub async fn with_files(&self) -> Result<Self> {
        let mut table = self.clone();
        if table.tip.n_commits > 0 {
            table.reload().await?;
        }
        Ok(table)
    }

    /// The state with the files of this version.
    pub(super) fn files_state(&self) -> Result<&DeltaTableState> {
        match self.tip.n_commits {
            0 => self.state(),
            n => Err(Error::internal(format!("the files of {} are {n} versions old", self.name))),
        }
    }

    /// Whether a commit is no more than its actions under the table's protocol.
    pub(super) fn is_simple(&self) -> Result<bool> {
        Ok(self.state()?.protocol().min_writer_version() <= WRITER_MAX)
    }

    /// Whether the version that this handle sees is still what it was: a table that was dropped and
    /// made anew has another one there, or none.
    async fn is_same_log(&mut self) -> Result<bool> {
        let entry = self.log_entry(self.version()).await?;
        let is_same = match (&self.tip.last, &entry) {
            (Some(last), Some(entry)) => last == entry,
            // Opened a moment ago.
            (None, Some(_)) => true,
            // Cleaned up, or gone with its table.
            (_, None) => false,
        };
        self.tip.last = entry;
        Ok(is_same)
    }

    /// Takes in the commit behind this version, if there is one that only added rows.
    async fn next(&mut self) -> Result<Next> {
        let version = self.version() + 1;
        let Some(entry) = self.log_entry(version).await? else { return Ok(Next::None) };
        Ok(if self.take_in(version, entry)? { Next::Rows } else { Next::Other })
    }

    /// Moves the handle over a commit; `false`, and nothing is moved, if it did more than add rows.
    fn take_in(&mut self, version: u64, entry: Bytes) -> Result<bool> {
        let actions =
            get_actions(version, &entry).map_err(|cause| self.failed("read the log of", cause))?;
        let adds_rows = |action: &Action| {
            matches!(action, Action::Add(_) | Action::Txn(_) | Action::CommitInfo(_))
        };
        if !actions.iter().all(adds_rows) {
            return Ok(false);
        }
        // Clones of this handle stay where they are.
        let txns = self.known_txns().clone();
        self.txns = Arc::new(Mutex::new(txns));
        for action in actions {
            match action {
                Action::Add(_) => self.tip.n_files += 1,
                Action::Txn(txn) => {
                    self.known_txns().insert(txn.app_id, Some(txn.version));
                }
                _ => {}
            }
        }
        self.tip.n_commits += 1;
        self.tip.last = Some(entry);
        Ok(true)
    }

    async fn log_entry(&self, version: u64) -> Result<Option<Bytes>> {
        let entry = self.delta.log_store().read_commit_entry(version).await;
        entry.map_err(|cause| self.failed("read the log of", cause))
    }

    /// Adds rows and their progress behind the newest version, and moves the handle there. Nobody
    /// has looked at the table's files for them, so it does not matter what others do to those.
    pub(super) async fn append(
        &mut self,
        commit: Commit,
        id: &str,
    ) -> Result<(Outcome, Option<Files>)> {
        let entry = self.entry(&commit, id)?;
        let before = (self.progress(&commit).await?, self.shape()?);
        if !self.is_same_log().await? {
            self.reload().await?;
            if (self.progress(&commit).await?, self.shape()?) != before || !self.is_simple()? {
                return Ok((Outcome::Lost, Some(commit.files)));
            }
        }
        self.refuse_or_discard(&commit).await?;
        let (mut attempt, mut overtaken, mut may_arrive) = (0, 0, false);
        loop {
            let version = self.version() + 1;
            let bytes = CommitOrBytes::LogBytes(entry.clone());
            let log = self.delta.log_store();
            let written = log.write_commit_entry(version, bytes, Uuid::new_v4()).await;
            let is_taken = matches!(written, Err(TransactionError::VersionAlreadyExists(_)));
            let is_remote = self.delta.table_url().scheme() != "file";
            let stands = match &written {
                Ok(()) => Some(entry.clone()),
                // Ours may be there all the same: the answer was lost, and the store asked again.
                Err(_) => self.log_entry(version).await?,
            };
            match (stands, written) {
                (Some(stands), _) if is_ours(&stands, id) => {
                    self.take_in(version, stands)?;
                    tracing::info!(table = %self.name, version, "committed");
                    self.checkpoint_tip(version).await;
                    return Ok((Outcome::Committed(version), None));
                }
                (Some(_), _) => {
                    // Another's stands there, so nothing of ours can arrive there any more.
                    may_arrive = false;
                    overtaken += 1;
                    self.follow().await?;
                    let now = (self.progress(&commit).await?, self.shape()?);
                    self.refuse_or_discard(&commit).await?;
                    let is_free = now == before && self.is_simple()?;
                    if !is_free || overtaken == OVERTAKEN_MAX {
                        return Ok((Outcome::Lost, Some(commit.files)));
                    }
                }
                (None, written) => {
                    may_arrive |= !is_taken && is_remote;
                    attempt += 1;
                    if attempt == ATTEMPTS {
                        if !may_arrive {
                            self.discard(commit.files).await;
                        }
                        let cause = written.err().map(DeltaTableError::from);
                        return Err(cause.map_or_else(
                            || Error::internal("a commit is nowhere"),
                            |cause| translate(format!("cannot commit to {}", self.name), cause),
                        ));
                    }
                    tokio::time::sleep(back_off(attempt)).await;
                }
            }
        }
    }

    /// The columns of this version, and those that split it into folders: files are written for
    /// these, and in a version of another shape nobody could read them.
    pub(super) fn shape(&self) -> Result<(Arc<StructType>, Vec<String>)> {
        let state = self.state()?;
        Ok((state.schema(), state.metadata().partition_columns().to_vec()))
    }

    /// The `txn`s that a commit moves, and those that it was read at, as this handle sees them.
    async fn progress(&self, commit: &Commit) -> Result<Vec<Option<i64>>> {
        let apps = commit.txns.iter().map(|(app, _)| app);
        let mut progress = Vec::new();
        for app in apps.chain(commit.seen.iter().map(|(app, _)| app)) {
            progress.push(self.txn(app).await?);
        }
        Ok(progress)
    }
}

/// Whether an entry of the log carries our commit id.
fn is_ours(entry: &Bytes, id: &str) -> bool {
    info_of(entry).and_then(|info| info.get(COMMIT_ID).and_then(Value::as_str).map(|own| own == id))
        == Some(true)
}

/// The commit info in an entry of the log.
pub(super) fn info_of(entry: &[u8]) -> Option<Map<String, Value>> {
    let lines = entry.split(|byte| *byte == b'\n');
    let info = lines
        .filter_map(|line| serde_json::from_slice::<Map<String, Value>>(line).ok())
        .find_map(|mut action| action.remove("commitInfo"));
    info.and_then(|info| info.as_object().cloned())
}
