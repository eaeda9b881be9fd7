//! The `lake.*` properties: what SQL has no words for.

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
        let plain = |bytes: &str| {
            bytes.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        match kind {
            // A name is a place below the landing folder and no other: not a pattern, not a URL, and
            // not spelled in two ways.
            SourceKind::Folder
                if name.split('/').any(|part| {
                    part.is_empty() || part.starts_with(['.', '_']) || !plain(part)
                }) =>
            {
                Err(format!(
                    "`{text}` names no folder below the landing folder: its parts have letters, digits, `.`, `_` and `-`, and begin with neither `.` nor `_`"
                ))
            }
            SourceKind::Kafka
                if name.is_empty()
                    || name.len() > 249
                    || name == "."
                    || name == ".."
                    || !plain(name) =>
            {
                Err(format!(
                    "`{text}` names no topic: Kafka takes letters, digits, `.`, `_` and `-`, at most 249"
                ))
            }
            _ => Ok(Self { kind, name: name.to_owned() }),
        }
    }

    /// Whether two sources share records: they are one, or one folder is inside of the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let within = |inner: &Self, outer: &Self| {
            inner.name.strip_prefix(&outer.name).is_some_and(|rest| rest.starts_with('/'))
        };
        self == other
            || (self.kind == SourceKind::Folder
                && other.kind == SourceKind::Folder
                && (within(self, other) || within(other, self)))
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

/// Properties that say how records become rows: without a source they have no effect.
const OF_SOURCES: &[&str] =
    &["lake.personal", "lake.empty_strings", "lake.headers", "lake.present", "lake.default."];

/// Whether a property speaks of records, which only a table with a source has.
pub(super) fn is_of_sources(name: &str) -> bool {
    OF_SOURCES.iter().any(|of| name == *of || (of.ends_with('.') && name.starts_with(of)))
}

/// Properties whose value is a list of columns.
pub(super) const LISTS: &[&str] =
    &["lake.present", "lake.distinct", "delta.dataSkippingStatsColumns"];

/// Why a property may not be set, if it may not.
pub(super) fn objection(name: &str, value: &str) -> Option<String> {
    if !EXACT.contains(&name) && !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(match name {
            "delta.setTransactionRetentionDuration" => {
                "it makes Delta forget how far the table has read, and rows come twice".to_owned()
            }
            "delta.appendOnly" => "a person's rows could never be deleted".to_owned(),
            _ => "the engine does not know it".to_owned(),
        });
    }
    if value.trim().is_empty() {
        return Some("its value is empty".to_owned());
    }
    let is_whole = |least: i64| value.parse::<i64>().is_ok_and(|number| number >= least);
    let (right, wanted) = match name {
        "lake.empty_strings" => (matches!(value, "reject" | "keep"), "reject or keep"),
        "lake.headers" => (value == "keep", "keep"),
        "delta.enableChangeDataFeed" => (matches!(value, "true" | "false"), "true or false"),
        "delta.checkpointInterval" => (is_whole(1), "a whole number from 1"),
        "delta.dataSkippingNumIndexedCols" => (is_whole(-1), "a whole number from -1"),
        "delta.logRetentionDuration" | "delta.deletedFileRetentionDuration" => {
            (is_interval(value), "as in interval 30 days")
        }
        _ => (true, ""),
    };
    (!right).then(|| format!("`{value}` is not {wanted}"))
}

/// Whether Delta reads a text as a duration.
fn is_interval(text: &str) -> bool {
    const UNITS: &[&str] = &["second", "minute", "hour", "day", "week"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [interval, number, unit] = words.as_slice() else { return false };
    *interval == "interval"
        && number.parse::<u32>().is_ok()
        && UNITS.contains(&unit.strip_suffix('s').unwrap_or(unit))
}

/// Property names, for suggestions.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    EXACT.iter().copied()
}

/// The entries of a comma-separated value.
pub(super) fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
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
        for name in ["events", "eu/2026/events", "a.b", "Events-2", "kafka:events", "kafka:_x.y"] {
            let text = if name.contains(':') { name.to_owned() } else { format!("folder:{name}") };
            assert_eq!(Source::parse(&text).unwrap().to_string(), text);
        }
        for name in [
            "",
            ".",
            "..",
            "../secret",
            "a/../b",
            "a/./b",
            "./a",
            "/a",
            "a/",
            "a//b",
            "%2e%2e/a",
            "..\\..\\a",
            "file:///etc",
            "a#2",
            "a?x",
            "a b",
            "_a",
            ".a",
            "a/_b",
            "é",
            "a*",
        ] {
            assert!(Source::parse(&format!("folder:{name}")).is_err(), "folder:{name}");
        }
        for text in ["ftp:x", "events", "kafka:", "kafka:..", "kafka:a/b", "kafka:a b"] {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn folders_inside_of_each_other_overlap() {
        let overlap =
            |a: &str, b: &str| Source::parse(a).unwrap().overlaps(&Source::parse(b).unwrap());
        assert!(overlap("folder:a", "folder:a"));
        assert!(overlap("folder:a", "folder:a/b"));
        assert!(overlap("folder:a/b/c", "folder:a"));
        assert!(!overlap("folder:a", "folder:ab"));
        assert!(!overlap("folder:a/b", "folder:a/c"));
        assert!(!overlap("folder:a", "kafka:a"));
    }

    #[test]
    fn a_value_that_delta_cannot_read_is_refused() {
        for (name, good, bad) in [
            ("delta.checkpointInterval", "10", "0"),
            ("delta.dataSkippingNumIndexedCols", "-1", "many"),
            ("delta.logRetentionDuration", "interval 30 days", "30 days"),
            ("delta.enableChangeDataFeed", "true", "yes"),
            ("lake.empty_strings", "reject", "no"),
            ("lake.distinct", "a", " "),
        ] {
            assert_eq!(objection(name, good), None, "{name}");
            assert!(objection(name, bad).is_some(), "{name}");
        }
        assert!(objection("delta.appendOnly", "true").is_some());
        assert!(objection("lake.sorce", "folder:a").is_some());
    }
}
