//! The `lake.*` properties: what SQL has no words for.

use std::collections::BTreeMap;

/// What happens to a row that breaks a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnViolation {
    /// The run stops and commits nothing.
    Fail,
    /// The row goes to quarantine.
    Quarantine,
    /// The row is left out, and counted.
    Drop,
    /// The row stays, and is counted.
    Warn,
}

/// What happens to a row that breaks a check, and how many may before the run stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Violation {
    /// The fate of the row.
    pub action: OnViolation,
    /// The greatest tolerated share of rows, 0..1.
    pub at_most: Option<f64>,
}

impl Violation {
    /// Reads `quarantine`, `drop at most 0.5%`, …
    pub fn parse(text: &str) -> Result<Self, String> {
        let (action, tolerance) = match text.split_once(" at most ") {
            Some((action, tolerance)) => (action.trim(), Some(tolerance.trim())),
            None => (text.trim(), None),
        };
        let action = match action {
            "fail" => OnViolation::Fail,
            "quarantine" => OnViolation::Quarantine,
            "drop" => OnViolation::Drop,
            "warn" => OnViolation::Warn,
            other => return Err(format!("`{other}` is not one of fail, quarantine, drop, warn")),
        };
        let at_most = match tolerance {
            None => None,
            Some(text) => Some(
                text.strip_suffix('%')
                    .and_then(|number| number.trim().parse::<f64>().ok())
                    .filter(|percent| (0.0..=100.0).contains(percent))
                    .map(|percent| percent / 100.0)
                    .ok_or_else(|| format!("`{text}` is not a percentage, as in 0.5%"))?,
            ),
        };
        Ok(Self { action, at_most })
    }
}

/// What kind of place records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A folder below `landing`.
    Folder,
    /// A Kafka topic.
    Kafka,
}

/// Where a bronze table's records come from: `folder:events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Folder or topic.
    pub kind: SourceKind,
    /// The folder's or the topic's name.
    pub name: String,
}

impl Source {
    /// Reads `folder:X` or `kafka:T`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once(':') {
            Some(("folder", name)) => (SourceKind::Folder, name),
            Some(("kafka", name)) => (SourceKind::Kafka, name),
            _ => return Err(format!("`{text}` is not a source: write folder:NAME or kafka:TOPIC")),
        };
        let safe =
            !name.is_empty() && !name.starts_with('/') && !name.split('/').any(|part| part == "..");
        let is_topic = name.len() <= 249
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        match kind {
            SourceKind::Folder if !safe => {
                Err(format!("`{text}` names no place below the landing folder"))
            }
            SourceKind::Kafka if !safe || !is_topic => Err(format!(
                "`{text}` names no topic: Kafka takes letters, digits, `.`, `_` and `-`, at most 249"
            )),
            _ => Ok(Self { kind, name: name.to_owned() }),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            SourceKind::Folder => "folder",
            SourceKind::Kafka => "kafka",
        };
        write!(f, "{kind}:{}", self.name)
    }
}

/// A column that identifies a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal {
    /// The column, nested fields with dots.
    pub path: String,
    /// Equal ids get equal pseudonyms within one domain; the column itself, unless another is named.
    pub domain: String,
}

impl Personal {
    /// Reads `user_id` or `session.from_device_id = device_id`.
    pub fn parse(text: &str) -> Self {
        let (path, domain) = match text.split_once('=') {
            Some((path, domain)) => (path.trim(), domain.trim()),
            None => (text.trim(), text.trim()),
        };
        Self { path: path.to_owned(), domain: domain.to_owned() }
    }
}

const EXACT: &[&str] = &[
    "lake.source",
    "lake.personal",
    "lake.empty_strings",
    "lake.headers",
    "lake.present",
    "lake.distinct",
    "delta.dataSkippingStatsColumns",
    "delta.dataSkippingNumIndexedCols",
    "delta.checkpointInterval",
    "delta.logRetentionDuration",
    "delta.deletedFileRetentionDuration",
    "delta.enableChangeDataFeed",
];

const PREFIXES: &[&str] = &["lake.default.", "lake.else.", "lake.comment."];

/// Why a property may not be set, if it may not.
pub(super) fn objection(name: &str, value: &str) -> Option<String> {
    match name {
        "delta.setTransactionRetentionDuration" => {
            return Some(
                "it makes Delta forget how far the table has read, and rows come twice".to_owned(),
            );
        }
        "delta.appendOnly" => return Some("a person's rows could never be deleted".to_owned()),
        "lake.empty_strings" if value != "reject" && value != "keep" => {
            return Some(format!("`{value}` is not one of reject, keep"));
        }
        "lake.headers" if value != "keep" => {
            return Some(format!(
                "`{value}` is not `keep`; without the property they are left out"
            ));
        }
        _ => {}
    }
    let known = EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if known { None } else { Some("the engine does not know it".to_owned()) }
}

/// Property names, for suggestions.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    EXACT.iter().copied()
}

/// The parts of a comma-separated property.
pub(super) fn parts<'a>(properties: &'a BTreeMap<String, String>, name: &str) -> Vec<&'a str> {
    let text = properties.get(name).map_or("", String::as_str);
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_may_have_a_tolerance() {
        let violation = Violation::parse("drop at most 0.5%").unwrap();
        assert_eq!(violation, Violation { action: OnViolation::Drop, at_most: Some(0.005) });
        assert!(Violation::parse("ignore").is_err());
        assert!(Violation::parse("drop at most many").is_err());
    }

    #[test]
    fn a_source_stays_below_the_landing_folder() {
        assert_eq!(Source::parse("folder:events").unwrap().to_string(), "folder:events");
        assert!(Source::parse("folder:../secret").is_err());
        assert!(Source::parse("ftp:x").is_err());
    }
}
