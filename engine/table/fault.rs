//! What a storage error means: whether it may pass by itself, and what a person can do about it.
//!
//! delta-rs, `DataFusion`, Parquet and `object_store` wrap each other's errors in many ways. What
//! decides is found in the chain of causes, not in the outermost type. Only a store that did not
//! answer, and a place that may not be written now, are worth trying again: a file that is gone or
//! damaged is the same the next time.

use std::error::Error as StdError;
use std::{fmt, io, iter};

use buoyant_kernel::Error as KernelError;
use datafusion::arrow::error::ArrowError;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use deltalake::parquet::errors::ParquetError;

use crate::contract::TableName;
use crate::error::{Error, Kind, Result};

/// An error of any library, as it comes.
type Cause = Box<dyn StdError + Send + Sync>;

pub(super) const LOG_IS_DAMAGED: &str = "the table's log is not whole: restore the table's folder from a backup; if a model computes the table, move its folder away, and the next run makes it anew";
const SOME_FILE: &str = "a file is damaged";

/// What is at the bottom of a chain of causes.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// A file is not there.
    Gone(String),
    /// What a file holds cannot be read; most readers do not say which file it is.
    Damaged(Option<String>),
    /// The operating system refused.
    Io(io::ErrorKind),
    /// The store, or another writer, was in the way.
    Store,
}

/// A delta-rs error as ours: what a person can do about it is in the chain of causes.
pub(crate) fn translate(what: impl fmt::Display, cause: DeltaTableError) -> Error {
    use DeltaTableError::{InvalidJsonLog, InvalidStatsJson, Kernel, KernelError, Parquet};
    // What the kernel reads is the log, and so is what delta-rs reads as JSON or Parquet.
    let is_of_log = matches!(
        cause,
        KernelError(_)
            | Kernel { .. }
            | InvalidJsonLog { .. }
            | InvalidStatsJson { .. }
            | Parquet { .. }
    );
    if let Some(feature) = unsupported(&cause) {
        return Error::data(format!("{what}: {feature}")).hint(
            "another tool asked for a feature of Delta that lake does not read: take it away with that tool (`ALTER TABLE … DROP FEATURE …`), or move the table's folder away: lake makes the table anew",
        );
    }
    let error = storage_error(&what, cause.into());
    let error = error.unwrap_or_else(|cause| Error::data(what.to_string()).caused_by(cause));
    if is_of_log && error.kind() == Kind::Data { error.hint(LOG_IS_DAMAGED) } else { error }
}

/// What the kernel says of a table that has more than it can read.
fn unsupported(cause: &(dyn StdError + 'static)) -> Option<String> {
    fn of(error: &KernelError) -> Option<String> {
        match error {
            KernelError::Backtraced { source, .. } => of(source),
            KernelError::Unsupported(text) => Some(text.clone()),
            _ => None,
        }
    }
    chain(cause).filter_map(|error| error.downcast_ref::<KernelError>()).find_map(of)
}

/// An error in whose chain of causes something of storage is; else the cause again.
///
/// # Errors
/// The cause, if it is of another kind.
pub(crate) fn storage_error(what: &dyn fmt::Display, cause: Cause) -> Result<Error, Cause> {
    use io::ErrorKind::{
        InvalidFilename, InvalidInput, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull, Unsupported,
    };
    if is_misconfigured(cause.as_ref()) {
        let error = Error::usage(what.to_string());
        return Ok(with_store_hint(error, cause.as_ref()).caused_by(cause));
    }
    Ok(match find(cause.as_ref()) {
        None => return Err(cause),
        Some(Fault::Gone(path)) => {
            let place = Place::of(&path);
            Error::data(format!("{what}: {place} is gone")).hint(place.way_out()).caused_by(cause)
        }
        Some(Fault::Damaged(path)) => {
            let place = path.as_deref().map(Place::of).unwrap_or_default();
            let message = match path {
                Some(_) => format!("{what}: {place} is damaged"),
                None => format!("{what}: {SOME_FILE}"),
            };
            Error::data(message).hint(place.way_out()).caused_by(cause)
        }
        Some(Fault::Io(
            kind @ (PermissionDenied | StorageFull | ReadOnlyFilesystem | QuotaExceeded),
        )) => Error::io(what, io::Error::new(kind, cause.to_string())),
        // A name or a request that the system does not take today it does not take tomorrow.
        Some(Fault::Io(InvalidFilename | InvalidInput | Unsupported)) => {
            Error::data(what.to_string()).caused_by(cause)
        }
        Some(Fault::Io(_) | Fault::Store) => {
            with_store_hint(Error::retry(what.to_string()), cause.as_ref()).caused_by(cause)
        }
    })
}

/// A damaged file of a table, once it is known which one it is.
pub(super) fn damaged(error: &Error, path: &str, table: &TableName) -> Error {
    let table = Some((table.layer.clone(), table.table.clone()));
    let file = path.rsplit('/').next().unwrap_or_default().to_owned();
    let place = Place { table, file };
    let what = error.to_string().trim_end_matches(SOME_FILE).to_owned();
    Error::data(format!("{what}{place} is damaged")).hint(place.way_out())
}

/// Whether an error is about a damaged file whose name nobody knows yet.
pub(super) fn is_nameless(error: &Error) -> bool {
    error.to_string().ends_with(SOME_FILE)
}

fn chain<'a>(
    cause: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(cause), |&error| error.source())
}

/// The deepest cause that says what is wrong.
fn find(cause: &(dyn StdError + 'static)) -> Option<Fault> {
    let found = chain(cause).filter_map(one).last();
    match found {
        // Here and there only the words of an error are handed on.
        None | Some(Fault::Damaged(None)) => of_system(&words(cause)).or(found),
        found => found,
    }
}

/// What words of a store or of the operating system mean.
fn of_system(text: &str) -> Option<Fault> {
    let says = |part: &str| text.contains(part);
    match () {
        () if says("No space left on device") => Some(Fault::Io(io::ErrorKind::StorageFull)),
        () if says("Permission denied") => Some(Fault::Io(io::ErrorKind::PermissionDenied)),
        () if says("Read-only file system") => Some(Fault::Io(io::ErrorKind::ReadOnlyFilesystem)),
        () if says("Generic S3 error") || says("error sending request") => Some(Fault::Store),
        () => None,
    }
}

/// What one link of a chain says, if it says anything.
fn one(error: &(dyn StdError + 'static)) -> Option<Fault> {
    use object_store::Error as StoreError;
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_io(error.kind());
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return Some(match error {
            StoreError::NotFound { path, .. } => Fault::Gone(path.clone()),
            _ => Fault::Store,
        });
    }
    if let Some(error) = error.downcast_ref::<KernelError>() {
        return of_kernel(error);
    }
    if let Some(error) = error.downcast_ref::<DeltaTableError>() {
        return of_delta(error);
    }
    if let Some(error) = error.downcast_ref::<ParquetError>() {
        return match error {
            ParquetError::External(_) => None,
            ParquetError::General(text) => Some(of_words(text)),
            _ => Some(Fault::Damaged(None)),
        };
    }
    match error.downcast_ref::<ArrowError>()? {
        ArrowError::ParquetError(text) => Some(of_words(text)),
        ArrowError::IpcError(_) => Some(Fault::Damaged(None)),
        _ => None,
    }
}

/// `DataFusion` hands on only the words of what its reader of metadata says; and arrow those of
/// Parquet.
fn of_words(text: &str) -> Fault {
    let rest = text.split_once("Failed to fetch metadata for file ").map(|(_, rest)| rest);
    let (path, text) = match rest.and_then(|rest| rest.split_once(": ")) {
        Some((path, text)) => (Some(path.to_owned()), text),
        None => (None, text),
    };
    match path {
        Some(path) if text.contains("Object at location") && text.contains(" not found") => {
            Fault::Gone(path)
        }
        // The file is shorter than the log has it.
        path if text.contains("Requested range was invalid") || text.contains("InvalidRange") => {
            Fault::Damaged(path)
        }
        _ if text.contains("Object Store error") || text.contains("Generic S3 error") => {
            Fault::Store
        }
        path => Fault::Damaged(path),
    }
}

/// What an error of the operating system means; its wrappers say more where it is `Other`.
fn of_io(kind: io::ErrorKind) -> Option<Fault> {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, Other, UnexpectedEof};
    match kind {
        Other | io::ErrorKind::NotFound => None,
        InvalidData | UnexpectedEof | IsADirectory | NotADirectory => Some(Fault::Damaged(None)),
        kind => Some(Fault::Io(kind)),
    }
}

/// Most errors of the kernel hide their causes from the chain.
fn of_kernel(error: &KernelError) -> Option<Fault> {
    match error {
        KernelError::Backtraced { source, .. } => of_kernel(source),
        KernelError::FileNotFound(path) => Some(Fault::Gone(path.clone())),
        KernelError::ObjectStore(error) => find(error),
        KernelError::IOError(error) => of_io(error.kind()),
        KernelError::Reqwest(_) => Some(Fault::Store),
        KernelError::Parquet(_) | KernelError::Arrow(_) | KernelError::MalformedJson(_) => {
            Some(Fault::Damaged(None))
        }
        _ => None,
    }
}

fn of_delta(error: &DeltaTableError) -> Option<Fault> {
    match error {
        // Another writer was first.
        DeltaTableError::VersionAlreadyExists(_)
        | DeltaTableError::VersionMismatch(..)
        | DeltaTableError::Transaction {
            source:
                TransactionError::CommitConflict(_)
                | TransactionError::MaxCommitAttempts(_)
                | TransactionError::VersionAlreadyExists(_)
                | TransactionError::LogStoreError { .. },
        } => Some(Fault::Store),
        DeltaTableError::InvalidJsonLog { .. } | DeltaTableError::InvalidStatsJson { .. } => {
            Some(Fault::Damaged(None))
        }
        _ => None,
    }
}

/// A file of a table, as far as its path tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    /// The table's layer and name.
    table: Option<(String, String)>,
    file: String,
}

impl Place {
    /// Files are in `<root>/<layer>/<table>/`, below folders of the form `column=value`, or in the
    /// table's log.
    fn of(path: &str) -> Self {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let file = parts.pop().unwrap_or_default().to_owned();
        while parts.last().is_some_and(|part| part.contains('=') || part.starts_with('_')) {
            parts.pop();
        }
        let table = match parts[..] {
            [.., layer, table] => Some((layer.to_owned(), table.to_owned())),
            _ => None,
        };
        Self { table, file }
    }

    fn way_out(&self) -> String {
        let (layer, table) = match &self.table {
            Some((layer, table)) => (layer.as_str(), format!("{layer}.{table}")),
            None => ("LAYER", "LAYER.TABLE".to_owned()),
        };
        format!(
            "if a model computes the table, `lake run {layer} --select {table} --full-refresh` computes it anew; if not, restore the file from a backup"
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.table {
            Some((layer, table)) => write!(f, "the file {} of table {layer}.{table}", self.file),
            None => write!(f, "the file {}", self.file),
        }
    }
}

/// The words of a chain of causes.
fn words(cause: &(dyn StdError + 'static)) -> String {
    chain(cause).map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// What stays as it is until somebody changes a setting or makes a bucket.
fn is_misconfigured(cause: &(dyn StdError + 'static)) -> bool {
    let text = words(cause);
    let says = |part: &str| text.contains(part);
    says("NoSuchBucket")
        || says("URL scheme is not allowed")
        || says("SignatureDoesNotMatch")
        || says("InvalidAccessKeyId")
}

/// The error of a remote store that stays until somebody changes a setting or makes a bucket.
pub(crate) fn misconfigured(
    what: &str,
    cause: &(impl StdError + Send + Sync + 'static),
) -> Option<Error> {
    let error = || Error::usage(what).caused_by(cause.to_string());
    is_misconfigured(cause).then(|| with_store_hint(error(), cause))
}

/// Adds what a person can do about what a remote store says.
fn with_store_hint(error: Error, cause: &(dyn StdError + 'static)) -> Error {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let text = words(cause);
    let says = |part: &str| text.contains(part);
    let denied = chain(cause).any(|cause| {
        let found = cause.downcast_ref::<object_store::Error>();
        matches!(found, Some(PermissionDenied { .. } | Unauthenticated { .. }))
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "tmp/lake/gold/sales/day=2026-03-01/part-1.parquet";

    fn not_found() -> object_store::Error {
        object_store::Error::NotFound { path: PATH.to_owned(), source: "no such file".into() }
    }

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    fn disk(kind: io::ErrorKind) -> object_store::Error {
        object_store::Error::Generic { store: "Disk", source: Box::new(io::Error::from(kind)) }
    }

    fn kind(cause: impl Into<DeltaTableError>) -> Kind {
        translate("cannot open table gold.sales", cause.into()).kind()
    }

    #[test]
    fn a_file_that_is_gone_is_named_and_does_not_come_back_by_itself() {
        let wrapped = ParquetError::External(Box::new(not_found()));
        let kernel = KernelError::FileNotFound(PATH.to_owned());
        let words = ParquetError::General(format!(
            "Parquet error: Failed to fetch metadata for file {PATH}: Object Store error: {}",
            not_found()
        ));
        let causes: [Cause; 4] =
            [Box::new(not_found()), Box::new(wrapped), Box::new(kernel), Box::new(words)];
        for cause in causes {
            let error = storage_error(&"cannot read", cause).unwrap();
            assert_eq!(error.kind(), Kind::Data);
            let report = error.report();
            let place = "the file part-1.parquet of table gold.sales is gone";
            assert!(report.contains(place), "{report}");
            assert!(
                report.contains("lake run gold --select gold.sales --full-refresh"),
                "{report}"
            );
        }
    }

    #[test]
    fn a_damaged_file_stays_damaged() {
        let parquet = || ParquetError::General("corrupt footer".to_owned());
        let json = serde_json::from_str::<i32>("x").unwrap_err();
        assert_eq!(kind(parquet()), Kind::Data);
        assert_eq!(kind(KernelError::MalformedJson(json)), Kind::Data);
        assert_eq!(kind(KernelError::Parquet(parquet())), Kind::Data);
        assert_eq!(kind(KernelError::MissingMetadataAndProtocol), Kind::Data);
        assert_eq!(kind(KernelError::Generic("the log has a gap".to_owned())), Kind::Data);
    }

    #[test]
    fn a_damaged_file_is_named_where_its_reader_says_which_it_is() {
        let of = |text: &str| {
            let text = format!("Failed to fetch metadata for file {PATH}: {text}");
            storage_error(&"cannot read", ParquetError::General(text).into()).unwrap()
        };
        for text in [
            "Object Store error: Generic LocalFileSystem error: Requested range was invalid",
            "Parquet error: Parquet error: Unexpected struct field type 15",
        ] {
            let error = of(text);
            let message = "cannot read: the file part-1.parquet of table gold.sales is damaged";
            assert_eq!((error.to_string().as_str(), error.kind()), (message, Kind::Data));
        }
        assert_eq!(of("Object Store error: Generic S3 error: timed out").kind(), Kind::Retry);
        let nameless = ArrowError::ParquetError("Unexpected struct field type 15".to_owned());
        assert!(is_nameless(&storage_error(&"cannot read", nameless.into()).unwrap()));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let s3 = || generic("error sending request");
        assert_eq!(kind(s3()), Kind::Retry);
        assert_eq!(kind(ParquetError::External(Box::new(s3()))), Kind::Retry);
        assert_eq!(kind(KernelError::ObjectStore(s3())), Kind::Retry);
        assert_eq!(kind(DeltaTableError::VersionAlreadyExists(3)), Kind::Retry);
        for no_room in [io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied] {
            let error = translate("cannot write", KernelError::ObjectStore(disk(no_room)).into());
            assert_eq!((error.kind(), error.hint_text().is_some()), (Kind::Retry, true));
        }
        assert_eq!(kind(disk(io::ErrorKind::ConnectionReset)), Kind::Retry);
        let words = DeltaTableError::Generic("Generic S3 error: 503".to_owned());
        assert_eq!(kind(words), Kind::Retry);
        assert_eq!(kind(disk(io::ErrorKind::InvalidFilename)), Kind::Data);
        let words = ArrowError::ParquetError("External: No space left on device".to_owned());
        let error = storage_error(&"cannot write", words.into()).unwrap();
        assert!(error.report().contains("hint: free some disk space"), "{}", error.report());
    }

    #[test]
    fn a_wrong_setting_does_not_pass() {
        for text in ["NoSuchBucket", "SignatureDoesNotMatch", "URL scheme is not allowed"] {
            let error = translate("cannot open", generic(text).into());
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.hint_text().is_some(), "{text}");
        }
    }

    #[test]
    fn an_error_of_another_kind_is_handed_back() {
        let cause: Cause = "no storage here".into();
        assert!(storage_error(&"x", cause).is_err());
    }

    #[test]
    fn a_path_names_its_table() {
        let table = |path| Place::of(path).table.map(|(layer, table)| format!("{layer}.{table}"));
        for path in [
            "/data/gold/sales/part-1.parquet",
            "s3/prefix/gold/sales/a=1/b=x%20y/part-1.parquet",
            "gold/sales/_delta_log/00000000000000000001.json",
        ] {
            assert_eq!(table(path), Some("gold.sales".to_owned()), "{path}");
        }
        assert_eq!(table("part-1.parquet"), None);
        assert_eq!(Place::of("part-1.parquet").to_string(), "the file part-1.parquet");
    }
}
