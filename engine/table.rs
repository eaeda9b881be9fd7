//! One Delta table: read a version, write files, commit them. The only door to delta-rs.
//!
//! delta-rs has faults that corrupt tables when it is used naively; the rules that avoid them live
//! here and in the two modules below: appends carry the `txn` that says how far the source was
//! read, rewriting commits carry a fence, log cleanup is off, and after any commit error the log is
//! read before anything is decided.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::TableProvider;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Action, MetadataExt, StructField, StructType, new_metadata};
use deltalake::logstore::get_actions;
use deltalake::protocol::SaveMode;
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use serde_json::{Map, Value};
use url::Url;

use crate::contract::{Contract, TableName};
use crate::error::{Error, Kind, Result};

mod commit;
mod history;
mod provider;
mod read;
mod staged;
mod tip;
mod write;
pub use commit::{Commit, Outcome};
pub use read::{FileRows, StoredFile};
use tip::{Tip, info_of};
pub use write::{Files, Writer};

/// Tries of a request to a remote store whose connection may have broken off.
const TRIES: u32 = 3;

/// Properties that say which topic a table was read from: this, and the topic's name.
pub const TOPIC_PROPERTY: &str = "lake.topic.";

/// A change of a table's columns or properties, as part of a commit.
pub type Change = Box<Action>;

/// Options of the object store, as delta-rs names them.
pub type StoreOptions = HashMap<String, String>;

/// Opens the object store at `url`, rooted there.
///
/// # Errors
/// The place cannot be used: no credentials, no permission.
pub fn open_store(url: &Url, options: &StoreOptions) -> Result<Arc<dyn object_store::ObjectStore>> {
    deltalake::aws::register_handlers(None);
    let store = DeltaTableBuilder::from_url(url.clone())
        .map(|builder| builder.with_storage_options(options.clone()))
        .and_then(|builder| builder.build_storage());
    // Nothing was asked yet: it is the address, or a setting of AWS in the environment.
    let store = store.map_err(|cause| {
        Error::usage(format!("cannot open {url}")).caused_by(cause).hint(
            "check the variables AWS_… (credentials, AWS_ENDPOINT_URL, AWS_REGION) and the place",
        )
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
                Err(DeltaTableError::NotATable(_)) if version.is_none() => return Ok(None),
                Err(cause) => failed(cause),
            };
            if !may_pass(url, &error, &mut tries).await {
                return Err(error);
            }
        }
    }

    /// Makes the table of a contract. If somebody else makes it at the same time, theirs is it.
    pub async fn create(contract: &Contract, url: &Url, options: &StoreOptions) -> Result<Self> {
        deltalake::aws::register_handlers(None);
        let name = &contract.name;
        let failed = |cause| translate(format!("cannot create table {name}"), cause);
        let schema = kernel_schema(contract)?;
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
            .with_configuration(
                properties(contract).into_iter().map(|(key, value)| (key, Some(value))),
            )
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

    /// When the version of this handle was committed, in milliseconds since 1970; `None` if the log
    /// no longer has it.
    pub async fn committed_at_ms(&self) -> Result<Option<i64>> {
        let info = self.commit_info(self.version()).await?;
        Ok(info.and_then(|info| info.get("timestamp").and_then(Value::as_i64)))
    }

    /// What the newest commit that names `key` in its commit info says there, looking back at most
    /// as far as the log reaches.
    pub async fn last_info(&self, key: &str) -> Result<Option<Value>> {
        for version in (0..=self.version()).rev() {
            let Some(info) = self.commit_info(version).await? else { return Ok(None) };
            if let Some(value) = info.get(key) {
                return Ok(Some(value.clone()));
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
            Error::retry(format!("cannot read table {}", self.name)).caused_by(cause)
        })
    }

    /// Rows in the table, from the log.
    pub fn n_rows(&self) -> Result<Option<u64>> {
        let state = self.files_state()?;
        let rows = state.log_data().into_iter().map(|file| file.num_records());
        Ok(rows.map(|n| n.map(|n| n as u64)).sum())
    }

    /// Whether the table's columns and properties are still those of the contract and of `own`; if
    /// not, the action that brings them up to date.
    pub fn evolve(&self, contract: &Contract, own: &[(String, String)]) -> Result<Evolution> {
        let state = self.state()?;
        let wanted = kernel_schema(contract)?;
        let have = state.schema();
        let same_columns = *have == wanted;
        let mut wanted_properties = properties(contract);
        // What earlier commits noted of their sources stays.
        let noted = state.metadata().configuration().iter();
        let noted = noted.filter(|(key, _)| key.starts_with(TOPIC_PROPERTY));
        wanted_properties.extend(noted.map(|(key, value)| (key.clone(), value.clone())));
        wanted_properties.extend(own.iter().cloned());
        let same_properties = wanted_properties
            .iter()
            .all(|(key, value)| state.metadata().configuration().get(key) == Some(value));
        let partitions = state.metadata().partition_columns();
        if same_columns && same_properties && *partitions == contract.partition_by {
            return Ok(Evolution::None);
        }
        let described = new_metadata(&wanted, contract.partition_by.clone(), wanted_properties)
            .and_then(|metadata| metadata.with_table_id(state.metadata().id().to_owned()))
            .and_then(|metadata| metadata.with_name(self.name.to_string()))
            .and_then(|metadata| metadata.with_description(contract.about.clone()));
        let metadata = described.map_err(|cause| self.failed("describe", cause.into()))?;
        let action = Box::new(Action::Metadata(metadata));
        let additive = *partitions == contract.partition_by
            && have.fields().all(|field| {
                wanted.field(field.name()).is_some_and(|wanted| additive(field, wanted))
            });
        Ok(if additive { Evolution::Additive(action) } else { Evolution::Breaking(action) })
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

/// How a table differs from its contract.
#[derive(Debug)]
pub enum Evolution {
    /// Not at all.
    None,
    /// The contract has more columns, or other properties: old rows stay as they are.
    Additive(Box<Action>),
    /// Columns went, changed their type, or the table is split otherwise: rows must be rewritten.
    Breaking(Box<Action>),
}

fn additive(have: &StructField, wanted: &StructField) -> bool {
    use deltalake::kernel::DataType::Struct;
    let stricter = have.is_nullable() && !wanted.is_nullable();
    !stricter
        && match (have.data_type(), wanted.data_type()) {
            (Struct(have), Struct(wanted)) => have.fields().all(|field| {
                wanted.field(field.name()).is_some_and(|wanted| additive(field, wanted))
            }),
            (have, wanted) => have == wanted,
        }
}

fn kernel_schema(contract: &Contract) -> Result<StructType> {
    let arrow = contract.schema();
    let plain: StructType = arrow.as_ref().try_into_kernel().map_err(|cause| {
        Error::usage(format!("{}: the columns are no Delta schema", contract.file)).caused_by(cause)
    })?;
    let fields = plain.fields().map(|field| commented(field, field.name(), contract));
    StructType::try_new(fields).map_err(|cause| {
        Error::usage(format!("{}: the columns are no Delta schema", contract.file)).caused_by(cause)
    })
}

fn commented(field: &StructField, path: &str, contract: &Contract) -> StructField {
    use deltalake::kernel::DataType::Struct;
    let mut field = field.clone();
    if let Struct(inner) = field.data_type() {
        let fields = inner
            .fields()
            .map(|inner| commented(inner, &format!("{path}.{}", inner.name()), contract));
        if let Ok(inner) = StructType::try_new(fields) {
            field.data_type = Struct(Box::new(inner));
        }
    }
    match contract.comment(path) {
        Some(comment) => field.with_metadata([("comment", comment)]),
        None => field,
    }
}

/// The properties of the Delta table: those of the contract, and its checks for people to see.
fn properties(contract: &Contract) -> HashMap<String, String> {
    let mut properties: HashMap<String, String> = contract
        .properties
        .iter()
        .filter(|(key, _)| !key.starts_with("lake.comment."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for check in &contract.checks {
        properties.insert(format!("lake.check.{}", check.name), check.expression.clone());
    }
    properties.entry("delta.checkpointInterval".to_owned()).or_insert_with(|| "10".to_owned());
    properties
}

/// A delta-rs error as ours: what a person can do about it is in the chain of causes.
pub(crate) fn translate(what: impl fmt::Display, cause: DeltaTableError) -> Error {
    let mut io_kind = None;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&cause);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            io_kind = Some(error.kind());
        }
        next = error.source();
    }
    match io_kind {
        Some(
            kind @ (io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::QuotaExceeded),
        ) => Error::io(what, io::Error::new(kind, cause.to_string())),
        _ => with_store_hint(Error::retry(what.to_string()), &cause).caused_by(cause),
    }
}

/// Adds what a person can do about what a remote store says.
pub(crate) fn with_store_hint(error: Error, cause: &(dyn std::error::Error + 'static)) -> Error {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let (mut next, mut denied, mut text) = (Some(cause), false, String::new());
    while let Some(cause) = next {
        let found = cause.downcast_ref::<object_store::Error>();
        denied |= matches!(found, Some(PermissionDenied { .. } | Unauthenticated { .. }));
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    let says = |part: &str| text.contains(part);
    match () {
        () if says("NoSuchBucket") => error.hint("make the bucket, or correct its name"),
        // Where machines in AWS ask for their role.
        () if says("169.254.169.254") => error.hint(
            "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role",
        ),
        () if says("URL scheme is not allowed") => {
            error.hint("for a store without TLS, set AWS_ALLOW_HTTP=true")
        }
        () if says("SignatureDoesNotMatch") || says("InvalidAccessKeyId") => {
            error.hint("the store does not know these credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        }
        () if denied || says("AccessDenied") => {
            error.hint("give this user permission to read, write and delete there, then run again")
        }
        () => error,
    }
}
