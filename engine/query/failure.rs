//! Errors of a query that runs as errors of ours.
//!
//! Promise: no message repeats a value of a record, which may be personal. What depends on the query
//! alone is found before it runs (`constants`), with the function's own words.

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;

use super::lifted;
use crate::error::{Error, Kind};
use crate::table::storage_error;

/// How the error begins of a subquery that is no single value.
const SEVERAL_ROWS: &str = "Scalar subquery returned more than one row";

/// A query's error as ours: what runs out, what is wrong, or what is broken.
pub fn translate(what: &str, cause: DataFusionError) -> Error {
    if let DataFusionError::External(own) = cause.find_root()
        && let Some(own) = own.downcast_ref::<Error>()
    {
        return again(what, own);
    }
    match cause.find_root() {
        // The same query needs the same memory the next time.
        DataFusionError::ResourcesExhausted(_) => Error::data(what)
            .hint("raise `query.memory` (LAKE_QUERY_MEMORY), or select less")
            .caused_by(cause),
        DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) => {
            Error::internal(what).caused_by(cause)
        }
        root if is_left_over(root) => {
            Error::data(format!("{what}: {}", lifted::MESSAGE)).hint(lifted::HELP)
        }
        root if !is_of_planning(&cause) && of_value(root).is_some() => {
            let (message, hint) = of_value(root).unwrap_or_default();
            Error::data(format!("{what}: {message}")).hint(hint)
        }
        _ => storage_error(&what, cause.into())
            .unwrap_or_else(|cause| Error::data(what).caused_by(cause)),
    }
}

fn again(what: &str, own: &Error) -> Error {
    let message = format!("{what}: {own}");
    let error = match own.kind() {
        Kind::Usage => Error::usage(message),
        Kind::Data => Error::data(message),
        Kind::Retry => Error::retry(message),
        Kind::Internal => Error::internal(message),
        Kind::Interrupted => Error::interrupted(),
    };
    match own.hint_text() {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What to say, and what to do.
type Words = (&'static str, &'static str);

const CAST: Words = (
    "a value does not fit a type that the query asks for",
    "TRY_CAST(…) gives NULL for such values, and so finds their rows",
);
const CALL: Words = (
    "a function does not take a value of some row, which is not repeated here",
    "let it have only what it takes: CASE WHEN … THEN f(x) END, with a condition on its arguments",
);
const PATTERN: Words = (
    "a value of some row is no regular expression",
    "write the pattern into the query, or compare with strpos(…) > 0 what is no pattern",
);
const RANGE: Words = (
    "a number leaves the range of its type",
    "compute it on CAST(… AS DECIMAL(38, 0)) or CAST(… AS DOUBLE)",
);
const SINGLE: Words = (
    "a subquery in the place of a value has more than one row",
    "aggregate it, as in max(x), or keep one row: ORDER BY … LIMIT 1",
);

/// What to say instead of an error whose own words may repeat a value; ours do not.
fn of_value(error: &DataFusionError) -> Option<Words> {
    match error {
        DataFusionError::ArrowError(arrow, _) => of_arrow(arrow),
        DataFusionError::Execution(text) => {
            let is_pattern = text.contains("regular expression") || text.contains("regex");
            Some(match text.as_str() {
                text if text.starts_with(SEVERAL_ROWS) => SINGLE,
                _ if is_pattern => PATTERN,
                _ => CALL,
            })
        }
        // A condition that is computed while a file is read.
        DataFusionError::ParquetError(cause) => of_cause(cause.as_ref()),
        DataFusionError::External(cause) => of_cause(cause.as_ref()),
        _ => None,
    }
}

fn of_arrow(error: &ArrowError) -> Option<Words> {
    use ArrowError::{ArithmeticOverflow, CastError, ComputeError, ExternalError, ParseError};
    match error {
        CastError(_) | ParseError(_) => Some(CAST),
        ComputeError(text) if text.contains("egex") => Some(PATTERN),
        ComputeError(_) => Some(CALL),
        ArithmeticOverflow(_) => Some(RANGE),
        ExternalError(cause) => of_cause(cause.as_ref()),
        _ => None,
    }
}

/// As [`of_value`], for what libraries hand on without knowing what it is.
fn of_cause(error: &(dyn std::error::Error + 'static)) -> Option<Words> {
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        of_value(error.find_root())
    } else if let Some(error) = error.downcast_ref::<ArrowError>() {
        of_arrow(error)
    } else if let Some(ParquetError::External(cause)) = error.downcast_ref::<ParquetError>() {
        of_cause(cause.as_ref())
    } else {
        // A regular expression out of a column.
        error.to_string().starts_with("regex").then_some(PATTERN)
    }
}

/// Whether a subquery is left that no rule could turn into a join.
pub(super) fn is_left_over(error: &DataFusionError) -> bool {
    matches!(error, DataFusionError::NotImplemented(text) if text.starts_with("Physical plan does not support logical expression"))
}

/// Whether only what the query itself says was computed.
fn is_of_planning(error: &DataFusionError) -> bool {
    matches!(error, DataFusionError::Context(place, _) if place.starts_with("Optimizer rule"))
}

/// What a library says about a constant, without the names of its own kinds of errors.
pub(super) fn words(cause: &DataFusionError) -> String {
    let root = cause.find_root().strip_backtrace();
    // A regular expression is shown with a mark below its fault.
    let last = root.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut text = last;
    while let Some((kind, rest)) = text.split_once(": ") {
        let is_kind = kind.ends_with("rror") || kind == "Error during planning";
        if !is_kind {
            break;
        }
        text = rest;
    }
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        Some(first) if !text[first.len_utf8()..].starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
