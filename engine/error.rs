//! The one error type. Its kind says what to do next; its message says what happened.

use std::{error, fmt, io};

use crate::printable;

/// Result of everything in the engine that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the person or scheduler reading the error should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fix the command, a setting, or a file of the project.
    Usage,
    /// Look at the rows: they break a contract, or a source lost or changed them.
    Data,
    /// Run again: storage, the broker or another writer was in the way.
    Retry,
    /// Report a bug.
    Internal,
    /// Nothing: somebody pressed Ctrl-C.
    Interrupted,
}

/// What went wrong, where, and the way out.
///
/// The message is lowercase, without a full stop, and names the file, table or record.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }

    /// A mistake in the command, a setting, or a file of the project (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Rows that break a contract, or a source that lost or changed them (exit code 1).
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    /// Something outside was in the way and may not be next time (exit code 75).
    pub fn retry(message: impl Into<String>) -> Self {
        Self::new(Kind::Retry, message)
    }

    /// A bug of ours (exit code 70).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Ctrl-C (exit code 130).
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// An operating-system error while doing `what`, sorted by what the person can do about it.
    pub fn io(what: impl fmt::Display, cause: io::Error) -> Self {
        // What is no text, or no file, is the same the next time.
        let kind = match cause.kind() {
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => Kind::Usage,
            _ => Kind::Retry,
        };
        let error = Self::new(kind, what.to_string());
        let hint = match cause.kind() {
            io::ErrorKind::PermissionDenied => {
                "give this user permission on the path, then run again"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some disk space, then run again: nothing that was committed is lost"
            }
            io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only: choose another `root`",
            _ => return error.caused_by(cause),
        };
        error.hint(hint).caused_by(cause)
    }

    /// Adds the way out: one sentence a person can act on.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps what caused this error, for the report's chain.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts the place in front of the message: `{place}: {message}`. A place may be the name of a
    /// file, which others choose.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        let place = place.to_string();
        self.0.message = format!("{}: {}", printable::line(&place), self.0.message);
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The way out, if one is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The process exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            Kind::Data => 1,
            Kind::Usage => 2,
            Kind::Internal => 70,
            Kind::Retry => 75,
            Kind::Interrupted => 130,
        }
    }

    /// The whole report for stderr: message, causes, hint.
    pub fn report(&self) -> String {
        let mut text = format!("error: {}", self.0.message);
        let mut said = self.0.message.clone();
        let mut cause = error::Error::source(self);
        while let Some(error) = cause {
            let message = without_backtrace(&error.to_string());
            if !said.contains(&message) {
                text.push_str(&format!("\n  caused by: {message}"));
                said = message;
            }
            cause = error.source();
        }
        if let Some(hint) = &self.0.hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        text
    }
}

/// Some libraries append a backtrace to their message where `RUST_BACKTRACE` is set.
fn without_backtrace(message: &str) -> String {
    let is_frame = |line: &&str| line.trim_start().starts_with("0: ");
    let lines: Vec<&str> = message.lines().take_while(|line| !is_frame(line)).collect();
    lines.join("\n").trim_end().to_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_message_causes_and_hint_once_each() {
        let cause = io::Error::new(io::ErrorKind::PermissionDenied, "permission denied");
        let error = Error::io("cannot write /x", cause);
        assert_eq!(error.exit_code(), 75);
        let report = error.report();
        assert_eq!(report.matches("permission denied").count(), 1);
        assert!(report.contains("hint: give this user permission"), "{report}");
    }

    #[test]
    fn a_report_has_no_backtrace() {
        let cause = "Json error: unexpected\n   0: kernel::error::Error::with_backtrace\n   1: x\n";
        let report = Error::data("cannot open table a.b").caused_by(cause).report();
        assert_eq!(report, "error: cannot open table a.b\n  caused by: Json error: unexpected");
    }

    #[test]
    fn an_error_of_the_system_is_worth_trying_again_only_if_it_may_pass() {
        for (kind, code) in [
            (io::ErrorKind::StorageFull, 75),
            (io::ErrorKind::PermissionDenied, 75),
            (io::ErrorKind::Interrupted, 75),
            (io::ErrorKind::InvalidData, 2),
            (io::ErrorKind::IsADirectory, 2),
        ] {
            assert_eq!(Error::io("cannot read lake.toml", kind.into()).exit_code(), code, "{kind}");
        }
    }

    #[test]
    fn the_place_comes_first() {
        assert_eq!(Error::data("broken").at("a\nhint: b").to_string(), "a\\nhint: b: broken");
        assert_eq!(Error::data("broken").at("a.csv:3").to_string(), "a.csv:3: broken");
    }
}
