//! Commits: rows and the progress they stand for, in one version; and what to think of an error.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::time::Duration;

use buoyant_kernel::Snapshot;
use bytes::Bytes;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{
    CommitBuilder, CommitData, CommitProperties, TransactionError,
};
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use rand::Rng;
use serde_json::{Map, Value, json};

use super::write::delete;
use super::{Change, Files, Table, translate};
use crate::error::{Error, Result};

/// Every rewriting commit carries this `txn`, so that of two rewriters one loses: delta-rs by
/// itself lets both win and doubles rows.
const FENCE: &str = "lake/rewrite";
/// The key of a commit's own id in its commit info.
pub(super) const COMMIT_ID: &str = "lake.commit";
pub(super) const ATTEMPTS: u32 = 5;
/// A checkpoint lists every file, so a table of many gets one more rarely: after every so many
/// files its interval doubles.
const CHECKPOINT_FILES: u64 = 1000;

/// What goes into one version of a table.
#[derive(Debug, Default)]
pub struct Commit {
    /// New files.
    pub files: Files,
    /// Whether all files before go.
    pub replace: bool,
    /// Else the files before that go: their rows that stay are among the new ones.
    pub remove: BTreeSet<String>,
    /// How far each application has come: its id and version.
    pub txns: Vec<(String, i64)>,
    /// What was seen of `txn`s when this was read, for records, which come once: the commit is lost
    /// unless they are still so.
    pub seen: Vec<(String, Option<i64>)>,
    /// What the commit info says besides.
    pub info: Map<String, Value>,
    /// A change of columns or properties.
    pub metadata: Option<Change>,
    /// Whether it is one of many that add rows whose files the handle is not asked for: then those
    /// are not looked up again.
    pub follows: bool,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is this version.
    Committed(u64),
    /// Somebody else's commit stands where ours would: read again, and decide anew.
    Lost,
}

impl Commit {
    /// Whether files go. Files that others add at the same time stay in any case.
    fn rewrites(&self) -> bool {
        self.replace || !self.remove.is_empty()
    }

    fn transactions(&self) -> Vec<Transaction> {
        self.txns.iter().map(|(app, version)| Transaction::new(app, *version)).collect()
    }

    fn commit_info(&self, id: &str) -> Map<String, Value> {
        let mut info = self.info.clone();
        info.insert(COMMIT_ID.to_owned(), json!(id));
        info.insert("isBlindAppend".to_owned(), json!(!self.rewrites()));
        info
    }
}

impl Table {
    /// Commits against the version that this handle sees, and moves the handle to the new one.
    ///
    /// After an error the log is
    /// read: ours landed, another's landed, or none did; only then it is tried again.
    ///
    /// # Errors
    /// The store failed, several times in a row.
    pub async fn commit(&mut self, commit: Commit) -> Result<(Outcome, Option<Files>)> {
        let appends = commit.follows && commit.metadata.is_none() && !commit.rewrites();
        let appends = appends && self.is_simple()?;
        if !appends && self.tip.n_commits > 0 {
            self.reload().await?;
        }
        // This handle may have moved on since, also past others' commits.
        if !self.is_as_seen(&commit.seen).await? || !self.holds(&commit.remove)? {
            return Ok((Outcome::Lost, Some(commit.files)));
        }
        let id = uuid::Uuid::new_v4().to_string();
        if appends {
            return self.append(commit, &id).await;
        }
        self.refuse_or_discard(&commit).await?;
        let base = self.version();
        let fence = self.txn(FENCE).await?.unwrap_or(0) + 1;
        let (mut attempt, mut may_arrive) = (0, false);
        loop {
            let error = match self.try_commit(&commit, &id, fence).await {
                Ok(version) => {
                    tracing::info!(table = %self.name, version, replace = commit.replace, "committed");
                    if let Err(error) = self.reload().await {
                        // The commit is there; the next one against the old handle will be lost.
                        tracing::warn!(table = %self.name, error = error.report(), "the table could not be opened anew");
                    }
                    self.checkpoint(version).await;
                    return Ok((Outcome::Committed(version), None));
                }
                Err(cause) => {
                    may_arrive |= self.may_arrive(&cause);
                    translate(format!("cannot commit to {}", self.name), cause)
                }
            };
            let mut fresh = self.clone();
            fresh.reload().await?;
            if let Some(version) = fresh.find(&id, base + 1).await? {
                *self = fresh;
                self.checkpoint(version).await;
                return Ok((Outcome::Committed(version), None));
            }
            if fresh.overtaken(&commit, self).await? {
                *self = fresh;
                return Ok((Outcome::Lost, (!may_arrive).then_some(commit.files)));
            }
            attempt += 1;
            if attempt == ATTEMPTS {
                if !may_arrive {
                    self.discard(commit.files).await;
                }
                return Err(error);
            }
            *self = fresh;
            if !may_arrive {
                self.refuse_or_discard(&commit).await?;
            }
            tokio::time::sleep(back_off(attempt)).await;
        }
    }

    /// Refuses to break rules that others gave the table while the commit was made.
    pub(super) async fn refuse_or_discard(&self, commit: &Commit) -> Result<()> {
        let refused = self.refuse_rules_of_others(commit.rewrites());
        if refused.is_err() {
            delete(self.delta.object_store().as_ref(), &self.name.to_string(), &commit.files.adds)
                .await;
        }
        refused
    }

    /// Whether a write that failed may yet be carried out: its answer was lost, or is late. Then the
    /// commit would name files that are gone, so they stay, and belong to no version at worst.
    ///
    /// A conflict is seen in a version that stands where ours was sent, so ours cannot. That others
    /// are always there first says no such thing: they may be a write of ours that is under way.
    fn may_arrive(&self, cause: &DeltaTableError) -> bool {
        let is_taken = matches!(
            cause,
            DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) }
        );
        !is_taken && self.delta.table_url().scheme() != "file"
    }

    async fn try_commit(
        &self,
        commit: &Commit,
        id: &str,
        fence: i64,
    ) -> Result<u64, DeltaTableError> {
        let mut actions: Vec<Action> = Vec::new();
        if let Some(metadata) = &commit.metadata {
            actions.extend(metadata.iter().cloned());
        }
        if commit.rewrites() {
            let files = self.delta.snapshot()?.log_data().into_iter();
            let files =
                files.filter(|file| commit.replace || commit.remove.contains(&*file.path()));
            actions.extend(files.map(|file| Action::Remove(file.remove_action(true))));
        }
        actions.extend(commit.files.adds.iter().cloned().map(Action::Add));
        let mut txns = commit.transactions();
        if commit.rewrites() {
            txns.push(Transaction::new(FENCE, fence));
        }
        let properties = CommitProperties::default()
            .with_max_retries(ATTEMPTS as usize)
            .with_cleanup_expired_logs(Some(false))
            .with_create_checkpoint(false)
            .with_metadata(commit.commit_info(id))
            .with_application_transactions(txns);
        let state = self.delta.snapshot()?;
        let finished = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state), self.delta.log_store(), self.operation(commit)?)
            .await?;
        Ok(finished.version())
    }

    /// The entry of the log that a commit is which only adds rows.
    pub(super) fn entry(&self, commit: &Commit, id: &str) -> Result<Bytes> {
        let failed = |cause| self.failed("commit to", cause);
        let adds = commit.files.adds.iter().cloned().map(Action::Add).collect();
        let operation = self.operation(commit).map_err(failed)?;
        let info = commit.commit_info(id).into_iter().collect();
        let data = CommitData::new(adds, operation, info, commit.transactions());
        data.get_bytes().map_err(|cause| failed(cause.into()))
    }

    fn operation(&self, commit: &Commit) -> Result<DeltaOperation, DeltaTableError> {
        let mode = if commit.rewrites() { SaveMode::Overwrite } else { SaveMode::Append };
        let columns = self.delta.snapshot()?.metadata().partition_columns();
        let partition_by = Some(columns.to_vec());
        Ok(DeltaOperation::Write { mode, partition_by, predicate: None })
    }

    /// The version at or after `from` that carries our commit id.
    async fn find(&self, id: &str, from: u64) -> Result<Option<u64>> {
        for version in from..=self.version() {
            let info = self.commit_info(version).await?.unwrap_or_default();
            if info.get(COMMIT_ID).and_then(Value::as_str) == Some(id) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Whether these `txn`s are what they were, as this handle sees the table.
    pub async fn is_as_seen(&self, seen: &[(String, Option<i64>)]) -> Result<bool> {
        for (app, version) in seen {
            if self.txn(app).await? != *version {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all these files are in this version.
    fn holds(&self, paths: &BTreeSet<String>) -> Result<bool> {
        if paths.is_empty() {
            return Ok(true);
        }
        let files = self.state()?.log_data().into_iter();
        Ok(files.filter(|file| paths.contains(&*file.path())).count() == paths.len())
    }

    /// Whether somebody else moved what the commit depends on since `before`.
    async fn overtaken(&self, commit: &Commit, before: &Self) -> Result<bool> {
        if commit.replace && self.version() != before.version() {
            return Ok(true);
        }
        if commit.rewrites()
            && (!self.holds(&commit.remove)? || self.txn(FENCE).await? != before.txn(FENCE).await?)
        {
            return Ok(true);
        }
        if !commit.files.adds.is_empty() && self.shape()? != before.shape()? {
            return Ok(true);
        }
        // A change of columns or properties keeps what it saw, and would undo what it did not see.
        if commit.metadata.is_some() && self.state()?.metadata() != before.state()?.metadata() {
            return Ok(true);
        }
        for (app, _) in &commit.txns {
            if self.txn(app).await? != before.txn(app).await? {
                return Ok(true);
            }
        }
        Ok(!self.is_as_seen(&commit.seen).await?)
    }

    /// Writes a checkpoint when it is due, and opens the table anew: a long-lived handle grows with
    /// every commit, and a fresh one starts from the checkpoint.
    async fn checkpoint(&mut self, version: u64) {
        if !self.checkpoint_tip(version).await {
            return;
        }
        if let Err(error) = self.reload().await {
            tracing::warn!(table = %self.name, error = error.report(), "the table could not be opened anew");
        }
    }

    /// Writes a checkpoint when it is due, and says whether it did. One that fails costs time
    /// later, not rows.
    pub(super) async fn checkpoint_tip(&self, version: u64) -> bool {
        let Ok(state) = self.state() else { return false };
        let interval = state.table_config().checkpoint_interval.map_or(10, NonZero::get);
        let n_files = state.log_data().num_files() as u64 + self.tip.n_files;
        let rarer = (n_files / CHECKPOINT_FILES).max(1).next_power_of_two();
        if version == 0 || !version.is_multiple_of(interval.saturating_mul(rarer)) {
            return false;
        }
        let written = self.write_checkpoint(version).await;
        if let Err(cause) = &written {
            tracing::warn!(table = %self.name, version, %cause, "no checkpoint was written");
        }
        written.is_ok()
    }

    async fn write_checkpoint(&self, version: u64) -> Result<(), DeltaTableError> {
        let log = self.delta.log_store();
        let (url, engine) = (log.transaction_url(None)?, log.engine(None));
        let written = tokio::task::spawn_blocking(move || {
            let snapshot = Snapshot::builder_for(url).at_version(version).build(engine.as_ref())?;
            snapshot.checkpoint(engine.as_ref(), None).map(drop)
        });
        let written = written.await.map_err(|cause| DeltaTableError::Generic(cause.to_string()))?;
        written.map_err(DeltaTableError::from)
    }
}

pub(super) fn back_off(attempt: u32) -> Duration {
    let most = 50u64 << attempt.min(6);
    Duration::from_millis(rand::rng().random_range(most / 2..=most))
}

impl Outcome {
    /// The version, if it was committed.
    ///
    /// # Errors
    /// It was lost: `who` should run again.
    pub fn version(self, who: &str) -> Result<u64> {
        match self {
            Self::Committed(version) => Ok(version),
            Self::Lost => {
                Err(Error::retry(format!("{who}: another run was faster, five times in a row"))
                    .hint("nothing is lost; run again, or leave it to the other run"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::StoreOptions;
    use super::*;
    use crate::contract::{TableName, parse};

    /// Records that were read from offset `seen` to `next`.
    fn records(seen: Option<i64>, next: i64) -> Commit {
        let app = "kafka:t/0".to_owned();
        Commit { seen: vec![(app.clone(), seen)], txns: vec![(app, next)], ..Commit::default() }
    }

    async fn table(folder: &std::path::Path) -> Table {
        let url = Url::from_directory_path(folder).unwrap();
        let text = "-- One row is a record.\nCREATE TABLE bronze.t (a BIGINT COMMENT 'a');";
        let contract = parse(&TableName::new("bronze", "t"), "t.sql", text).unwrap();
        Table::create(&contract, &url, &StoreOptions::new(), false).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_before_others_went_on_is_lost_whatever_the_handle_sees() {
        for follows in [false, true] {
            let records = |seen, next| Commit { follows, ..records(seen, next) };
            let folder = tempfile::tempdir().unwrap();
            let mut ours = table(folder.path()).await;
            let mut theirs = ours.clone();

            let (outcome, _) = ours.commit(records(None, 10)).await.unwrap();
            assert_eq!(outcome, Outcome::Committed(1));
            // Read on the same snapshot, and slower.
            let (outcome, _) = theirs.commit(records(None, 12)).await.unwrap();
            assert_eq!(outcome, Outcome::Lost);

            // The handle moves on past a commit that our reader knows nothing of.
            theirs.commit(records(Some(10), 20)).await.unwrap();
            ours.reload().await.unwrap();
            let (outcome, _) = ours.commit(records(Some(10), 30)).await.unwrap();
            assert_eq!(outcome, Outcome::Lost);
            let (outcome, _) = ours.commit(records(Some(20), 30)).await.unwrap();
            assert_eq!(outcome, Outcome::Committed(3));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_handle_that_follows_sees_what_one_that_opens_anew_sees() {
        let folder = tempfile::tempdir().unwrap();
        let mut ours = table(folder.path()).await;
        let mut theirs = ours.clone();
        let other = |next: i64| Commit {
            txns: vec![("kafka:t/1".to_owned(), next)],
            follows: true,
            ..Commit::default()
        };
        // Theirs are of another partition, so both go on; each is behind the other when it commits.
        for (number, next) in (0..).zip(1..=13) {
            let seen = Some(number).filter(|seen| *seen > 0);
            let ours_next = Commit { follows: true, ..records(seen, next) };
            assert!(matches!(ours.commit(ours_next).await.unwrap().0, Outcome::Committed(_)));
            assert!(matches!(theirs.commit(other(next)).await.unwrap().0, Outcome::Committed(_)));
        }
        ours.follow().await.unwrap();
        let fresh = ours.with_files().await.unwrap();
        for table in [&ours, &theirs, &fresh] {
            assert_eq!(table.version(), 26);
            assert_eq!(table.txn("kafka:t/0").await.unwrap(), Some(13));
            assert_eq!(table.txn("kafka:t/1").await.unwrap(), Some(13));
        }
        assert!(ours.provider().is_err() && fresh.provider().is_ok());
        // The checkpoints are where they were.
        for (version, is_there) in [(10, true), (15, false), (20, true)] {
            let name = format!("_delta_log/{version:020}.checkpoint.parquet");
            assert_eq!(folder.path().join(name).exists(), is_there, "{version}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_appended_to_a_table_that_was_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut old = table(folder.path()).await;
        let follows = |commit: Commit| Commit { follows: true, ..commit };
        for (seen, next) in [(None, 1), (Some(1), 2), (Some(2), 3)] {
            old.commit(follows(records(seen, next))).await.unwrap();
        }
        std::fs::remove_dir_all(folder.path().join("_delta_log")).unwrap();
        let anew = table(folder.path()).await;
        let (outcome, _) = old.commit(follows(records(Some(3), 4))).await.unwrap();
        assert_eq!(outcome, Outcome::Lost);
        assert!(!folder.path().join("_delta_log/00000000000000000004.json").exists());
        old.follow().await.unwrap();
        assert_eq!((old.version(), old.id().unwrap()), (0, anew.id().unwrap()));
        let (outcome, _) = old.commit(follows(records(None, 1))).await.unwrap();
        assert_eq!(outcome, Outcome::Committed(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_of_columns_by_others_is_followed_by_opening_the_table_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut ours = table(folder.path()).await;
        let mut theirs = ours.clone();
        let wide = "-- One row is a record.\nCREATE TABLE bronze.t (a BIGINT COMMENT 'a', b INT COMMENT 'b');";
        let wide = parse(&TableName::new("bronze", "t"), "t.sql", wide).unwrap();
        let super::super::Evolution::Additive(action) = theirs.evolve(&wide, &[]).unwrap() else {
            panic!("another column is no breaking change");
        };
        theirs.commit(Commit { metadata: Some(action), ..records(None, 1) }).await.unwrap();
        let lost = ours.commit(Commit { follows: true, ..records(None, 2) }).await.unwrap();
        assert_eq!(lost.0, Outcome::Lost);
        assert_eq!(ours.schema().unwrap().fields().len(), 2);
        let ours_next = Commit { follows: true, ..records(Some(1), 2) };
        assert_eq!(ours.commit(ours_next).await.unwrap().0, Outcome::Committed(2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_written_for_another_shape_of_the_table_are_not_committed() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_directory_path(folder.path()).unwrap();
        let name = TableName::new("bronze", "t");
        let text = "-- One row is a record.\nCREATE TABLE bronze.t (a BIGINT COMMENT 'a', b INT COMMENT 'b')";
        let plain = parse(&name, "t.sql", text).unwrap();
        let mut ours = Table::create(&plain, &url, &StoreOptions::new(), false).await.unwrap();
        let mut theirs = ours.clone();
        let split = parse(&name, "t.sql", &format!("{text}\nPARTITIONED BY (b);")).unwrap();
        let super::super::Evolution::Additive(action) = theirs.evolve(&split, &[]).unwrap() else {
            panic!("a table without rows may be split otherwise");
        };
        theirs.commit(Commit { metadata: Some(action), ..Commit::default() }).await.unwrap();
        let follows = |commit: Commit| Commit { follows: true, ..commit };
        let (outcome, _) = ours.commit(follows(records(None, 1))).await.unwrap();
        assert_eq!(outcome, Outcome::Lost, "the files were written without folders");
        // What is read again is written for the table as it is.
        let (outcome, _) = ours.commit(follows(records(None, 1))).await.unwrap();
        assert_eq!(outcome, Outcome::Committed(2));
    }
}
