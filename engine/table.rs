//! One Delta table: read a version, write files, commit them. The only door to delta-rs.
//!
//! delta-rs has faults that corrupt tables when it is used naively; the rules that avoid them live
//! here and in the two modules below: appends carry the `txn` that says how far the source was
//! read, rewriting commits carry a fence, log cleanup is off, and after any commit error the log is
//! read before anything is decided.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::TableProvider;
use deltalake::kernel::Action;
use deltalake::logstore::get_actions;
use deltalake::protocol::SaveMode;
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use object_store::ObjectStore;
use serde_json::{Map, Value};
use url::Url;

use crate::contract::{Contract, TableName};
use crate::error::{Error, Kind, Result};

mod aside;
mod calendar;
mod commit;
mod damage;
mod evolution;
mod fault;
mod folders;
mod hint;
mod history;
mod nans;
mod provider;
mod read;
mod rules;
mod split;
mod staged;
mod statistics;
mod tip;
mod versions;
mod write;
pub use aside::Scratch;
pub use calendar::beyond_years;
pub use commit::{Commit, Outcome};
pub use damage::Damage;
pub use evolution::{Difference, Evolution};
use evolution::{kernel_schema, properties};
pub(crate) use fault::{misconfigured, storage_error, translate};
pub use folders::nameless;
pub use read::{FileRows, StoredFile};
use tip::{Tip, info_of};
pub use write::{Files, Writer};

/// Tries of a request to a remote store whose connection may have broken off.
const TRIES: u32 = 3;

/// Properties that say which topic a table was read from: this, and the topic's name.
pub const TOPIC_PROPERTY: &str = "lake.topic.";

/// Properties that say which files of a folder were listed and not there to be read: this, and the
/// folder's name.
pub const AWAY_PROPERTY: &str = "lake.away.";

/// The property of a table that says how many of its rows a narrower contract does not take.
pub const NARROWED_PROPERTY: &str = "lake.narrowed";

/// The property of a table with personal columns that says under which key its pseudonyms are.
pub const KEY_PROPERTY: &str = "lake.privacy_key";

/// The property of a table whose sources were never read: its first commit takes it out.
const UNREAD_PROPERTY: &str = "lake.unread";

/// A change of a table's columns or properties, as part of a commit.
pub type Change = Vec<Action>;

/// Options of the object store, as delta-rs names them.
pub type StoreOptions = HashMap<String, String>;

/// Opens the object store at `url`, rooted there.
///
/// # Errors
/// The place cannot be used: no credentials, no permission.
pub fn open_store(url: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>> {
    deltalake::aws::register_handlers(None);
    let store = DeltaTableBuilder::from_url(url.clone())
        .map(|builder| builder.with_storage_options(options.clone()))
        .and_then(|builder| builder.build_storage());
    // Nothing was asked yet: it is the address, or a setting of AWS in the environment.
    let store = store.map_err(|cause| {
        Error::usage(format!("cannot open {url}")).caused_by(cause).hint(match url.scheme() {
            "file" => "name a folder without control characters on the way to it",
            _ => "check the variables AWS_… (credentials, AWS_ENDPOINT_URL, AWS_REGION) and the place",
        })
    })?;
    Ok(store.object_store(None))
}

/// Whether an error may have passed after a moment, which is waited: of a remote store, a few times.
pub(crate) async fn may_pass(url: &Url, error: &Error, tries: &mut u32) -> bool {
    *tries += 1;
    let may = *tries < TRIES && error.kind() == Kind::Retry && url.scheme() != "file";
    if may {
        tokio::time::sleep(Duration::from_millis(300) * *tries).await;
    }
    may
}

/// A Delta table at one of its versions.
#[derive(Clone)]
pub struct Table {
    name: TableName,
    delta: DeltaTable,
    /// How far this handle is beyond what was opened.
    tip: Tip,
    /// The `txn`s that were asked for, as of this version: each question reads the log.
    txns: Arc<Mutex<HashMap<String, Option<i64>>>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} v{})", self.name, self.version())
    }
}

impl Table {
    /// Opens a table at its newest version, or at `version`; `None` if there is no table.
    pub async fn open(
        name: &TableName,
        url: &Url,
        options: &StoreOptions,
        version: Option<u64>,
    ) -> Result<Option<Self>> {
        deltalake::aws::register_handlers(None);
        let failed = |cause| translate(format!("cannot open table {name}"), cause);
        let mut tries = 0;
        loop {
            let mut builder = DeltaTableBuilder::from_url(url.clone())
                .map_err(failed)?
                .with_storage_options(options.clone());
            if let Some(version) = version {
                builder = builder.with_version(version);
            }
            let error = match builder.load().await {
                Ok(delta) => {
                    let table = Self::of(name, delta);
                    table.refuse_unsafe()?;
                    return Ok(Some(table));
                }
                Err(DeltaTableError::NotATable(_)) if version.is_none() => {
                    // A hint beyond the log's end hides all of it.
                    let Some(delta) = hint::open_without(url, options, version).await else {
                        return Ok(None);
                    };
                    let table = Self::of(name, delta);
                    table.refuse_unsafe()?;
                    return Ok(Some(table));
                }
                Err(cause) => failed(cause),
            };
            if error.kind() == Kind::Data
                && let Some(delta) = hint::open_without(url, options, version).await
            {
                let table = Self::of(name, delta);
                table.refuse_unsafe()?;
                return Ok(Some(table));
            }
            if let Some(version) = version
                && let Some(error) = versions::missing(name, url, options, version).await?
            {
                return Err(error);
            }
            // Who cleans the log up takes files away that were listed a moment ago.
            let is_cleaned = error.kind() == Kind::Data && tries < TRIES;
            if is_cleaned {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50) * tries).await;
            } else if !may_pass(url, &error, &mut tries).await {
                return Err(match error.kind() {
                    Kind::Data => damage::of_log(error, name, url, options).await,
                    _ => error,
                });
            }
        }
    }

    /// Makes the table of a contract; `unread` if records wait for it, and its rows are not none
    /// before the first look. If somebody else makes it at the same time, theirs is it.
    pub async fn create(
        contract: &Contract,
        url: &Url,
        options: &StoreOptions,
        unread: bool,
    ) -> Result<Self> {
        deltalake::aws::register_handlers(None);
        let name = &contract.name;
        let failed = |cause| translate(format!("cannot create table {name}"), cause);
        let schema = kernel_schema(contract)?;
        let mut properties = properties(contract);
        if unread {
            properties.insert(UNREAD_PROPERTY.to_owned(), "true".to_owned());
        }
        let delta = DeltaTable::try_from_url_with_storage_options(url.clone(), options.clone())
            .await
            .map_err(failed)?;
        let created = delta
            .create()
            .with_save_mode(SaveMode::ErrorIfExists)
            .with_table_name(name.to_string())
            .with_comment(contract.about.clone())
            .with_columns(schema.fields().cloned())
            .with_partition_columns(contract.partition_by.clone())
            .with_raise_if_key_not_exists(false)
            .with_configuration(properties.into_iter().map(|(key, value)| (key, Some(value))))
            .await;
        match created {
            Ok(delta) => Ok(Self::of(name, delta)),
            Err(cause) => Self::open(name, url, options, None).await?.ok_or_else(|| failed(cause)),
        }
    }

    fn of(name: &TableName, delta: DeltaTable) -> Self {
        Self { name: name.clone(), delta, tip: Tip::default(), txns: Arc::default() }
    }

    /// The table's name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The version that this handle sees.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default() + self.tip.n_commits
    }

    /// A table that was dropped and made anew has another id.
    pub fn id(&self) -> Result<String> {
        Ok(self.state()?.metadata().id().to_owned())
    }

    /// Whether nobody has read the sources of this table yet.
    pub fn is_unread(&self) -> Result<bool> {
        Ok(self.property(UNREAD_PROPERTY)?.is_some())
    }

    /// Whether it was made, and nothing was committed to it since.
    pub fn is_blank(&self) -> Result<bool> {
        Ok(self.version() == 0 && self.files()?.is_empty())
    }

    /// The schema at this version.
    pub fn schema(&self) -> Result<SchemaRef> {
        Ok(self.state()?.snapshot().arrow_schema())
    }

    /// The version that application `app` wrote last, as this handle sees the table.
    pub async fn txn(&self, app: &str) -> Result<Option<i64>> {
        if let Some(known) = self.known_txns().get(app) {
            return Ok(*known);
        }
        let version = self.state()?.transaction_version(&self.delta.log_store(), app).await;
        let version = version.map_err(|cause| self.failed("read", cause))?;
        self.known_txns().insert(app.to_owned(), version);
        Ok(version)
    }

    fn known_txns(&self) -> MutexGuard<'_, HashMap<String, Option<i64>>> {
        self.txns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A property of the table, from its contract or of our own.
    pub fn property(&self, key: &str) -> Result<Option<String>> {
        Ok(self.state()?.metadata().configuration().get(key).cloned())
    }

    /// How many files it has, from the log.
    pub fn n_files(&self) -> Result<u64> {
        Ok(self.state()?.log_data().num_files() as u64 + self.tip.n_files)
    }

    /// How many checks its contract had when it was written last.
    pub fn n_checks(&self) -> Result<usize> {
        let properties = self.state()?.metadata().configuration();
        Ok(properties.keys().filter(|key| key.starts_with("lake.check.")).count())
    }

    /// When the version of this handle was committed, in milliseconds since 1970; `None` if the log
    /// no longer has it.
    pub async fn committed_at_ms(&self) -> Result<Option<i64>> {
        let info = self.commit_info(self.version()).await?;
        Ok(info.and_then(|info| info.get("timestamp").and_then(Value::as_i64)))
    }

    /// The newest commit that names `key` in its commit info: its version, and what it says, looking
    /// back at most as far as the log reaches.
    pub async fn last_info(&self, key: &str) -> Result<Option<(u64, Map<String, Value>)>> {
        for version in (0..=self.version()).rev() {
            let Some(info) = self.commit_info(version).await? else { return Ok(None) };
            if info.contains_key(key) {
                return Ok(Some((version, info)));
            }
        }
        Ok(None)
    }

    /// The commit info of `version`; `None` if the log no longer has it.
    async fn commit_info(&self, version: u64) -> Result<Option<Map<String, Value>>> {
        let log = self.delta.log_store();
        let entry = log
            .read_commit_entry(version)
            .await
            .map_err(|cause| self.failed("read the log of", cause))?;
        Ok(entry.map(|bytes| info_of(&bytes).unwrap_or_default()))
    }

    /// Whether a commit after `version` added or removed rows, up to the version of this handle.
    /// Compaction does neither; a log that no longer reaches back may have.
    pub async fn changed_since(&self, version: u64) -> Result<bool> {
        if version > self.version() {
            return Ok(true);
        }
        for later in version + 1..=self.version() {
            let entry = self.delta.log_store().read_commit_entry(later).await;
            let Some(bytes) = entry.map_err(|cause| self.failed("read the log of", cause))? else {
                return Ok(true);
            };
            let actions = get_actions(later, &bytes)
                .map_err(|cause| self.failed("read the log of", cause))?;
            let changes = |action: &Action| match action {
                Action::Add(add) => add.data_change,
                Action::Remove(remove) => remove.data_change,
                Action::Metadata(_) => true,
                _ => false,
            };
            if actions.iter().any(changes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Loads the newest version into this handle.
    pub async fn reload(&mut self) -> Result<()> {
        let url = self.delta.table_url().clone();
        let options = self.delta.log_store().config().options().raw.clone();
        let fresh = Self::open(&self.name, &url, &options, None).await?;
        let fresh = fresh.ok_or_else(|| Error::data(format!("table {} is gone", self.name)))?;
        if let Some(txns) = self.txns_at(&fresh).await? {
            *fresh.known_txns() = txns;
        }
        *self = fresh;
        Ok(())
    }

    /// What is known of `txn`s, brought up to a later handle's version by reading what was
    /// committed between; `None` if that is too much, or another table.
    async fn txns_at(&self, fresh: &Self) -> Result<Option<HashMap<String, Option<i64>>>> {
        const COMMITS_MAX: u64 = 20;
        let (from, to) = (self.version(), fresh.version());
        let mut txns = self.known_txns().clone();
        if txns.is_empty() || to < from || to - from > COMMITS_MAX || self.id()? != fresh.id()? {
            return Ok(None);
        }
        for version in from + 1..=to {
            let entry = self.delta.log_store().read_commit_entry(version).await;
            let Some(bytes) = entry.map_err(|cause| self.failed("read the log of", cause))? else {
                return Ok(None);
            };
            let actions = get_actions(version, &bytes)
                .map_err(|cause| self.failed("read the log of", cause))?;
            for action in actions {
                if let Action::Txn(txn) = action {
                    txns.insert(txn.app_id, Some(txn.version));
                }
            }
        }
        Ok(Some(txns))
    }

    /// The table as `DataFusion` reads it, frozen at this version.
    pub fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        self.files_state()?;
        provider::provider(&self.delta).map_err(|cause| {
            crate::query::translate(&format!("cannot read table {}", self.name), cause)
        })
    }

    /// Rows in the table, from the log.
    pub fn n_rows(&self) -> Result<Option<u64>> {
        let state = self.files_state()?;
        let rows = state.log_data().into_iter().map(|file| file.num_records());
        Ok(rows.map(|n| n.map(|n| n as u64)).sum())
    }

    fn state(&self) -> Result<&DeltaTableState> {
        self.delta.snapshot().map_err(|cause| self.failed("read", cause))
    }

    fn failed(&self, what: &str, cause: DeltaTableError) -> Error {
        translate(format!("cannot {what} table {}", self.name), cause)
    }

    /// Deletion vectors give wrong answers in delta-rs, and an expiring `txn` loses offsets.
    fn refuse_unsafe(&self) -> Result<()> {
        let configuration = self.state()?.metadata().configuration();
        if configuration.get("delta.enableDeletionVectors").is_some_and(|value| value == "true") {
            return Err(Error::usage(format!(
                "table {} has deletion vectors, which lake does not support",
                self.name
            ))
            .hint("rewrite it without them with the tool that turned them on"));
        }
        let property = "delta.setTransactionRetentionDuration";
        if configuration.contains_key(property) {
            return Err(Error::usage(format!(
                "table {} has {property}: Delta would forget how far sources were read",
                self.name
            ))
            .hint("remove the property from the table"));
        }
        Ok(())
    }
}
