//! What a table and quarantine know of a topic, and where a table begins that knows nothing.

use chrono::DateTime;

use crate::contract::{Source, TableName};
use crate::error::{Error, Result};
use crate::kafka::Consumer;
use crate::offsets::{Bounds, Known, Lineage, Note};
use crate::table::{TOPIC_PROPERTY, Table};

/// The property of a table that says which topic it was read from.
pub(super) fn property(source: &Source) -> String {
    format!("{TOPIC_PROPERTY}{}", source.name)
}

/// The same of quarantine, which holds records of many tables.
pub(super) fn quarantine_property(table: &TableName, source: &Source) -> String {
    format!("{TOPIC_PROPERTY}{table}/{}", source.name)
}

/// What a table knows of a topic: its first `n_partitions` partitions, and all further ones that
/// the table has read.
///
/// # Errors
/// The table's log cannot be read.
pub async fn noted(table: &Table, source: &Source, n_partitions: i32) -> Result<Known> {
    let text = table.property(&property(source))?;
    let lineage = text.as_deref().map(Lineage::parse);
    let counted = lineage.clone().unwrap_or(Lineage { id: String::new(), generation: 0 });
    let mut next = Vec::new();
    for partition in 0.. {
        let found = table.txn(&counted.app(&source.to_string(), partition)).await?;
        if found.is_none() && partition >= n_partitions {
            break;
        }
        next.push(found);
    }
    let lineage = lineage.or_else(|| next.iter().any(Option::is_some).then_some(counted));
    Ok(Known { lineage, next })
}

/// What is known, with what quarantine notes: a run that was cut short between its two commits
/// may have begun with a topic, or with one that was made anew, of which the table knows nothing.
pub(super) fn with_quarantine(known: Known, quarantine: &Table, property: &str) -> Result<Known> {
    let note = quarantine.property(property)?;
    let reached = known.lineage.as_ref().map(|lineage| lineage.generation);
    Ok(match note.as_deref().and_then(Note::parse) {
        Some(note) if reached < Some(note.lineage.generation) => {
            Known { lineage: Some(note.lineage), next: note.begin.into_iter().map(Some).collect() }
        }
        _ => known,
    })
}

/// Where a table begins with a topic that it never read.
pub(super) fn begins(
    consumer: &Consumer,
    topic: &str,
    begin: &str,
    bounds: &[Bounds],
) -> Result<Vec<i64>> {
    match begin {
        "earliest" => Ok(bounds.iter().map(|bounds| bounds.low).collect()),
        "latest" => Ok(bounds.iter().map(|bounds| bounds.end).collect()),
        time => {
            let time = DateTime::parse_from_rfc3339(time).map_err(|_| {
                Error::usage(format!("setting `kafka.start`: `{time}` is no place to start"))
                    .hint("write earliest, latest, or a time as in 2026-03-01T00:00:00Z")
            })?;
            let n_partitions = i32::try_from(bounds.len()).unwrap_or(i32::MAX);
            let found = consumer.offsets_at(topic, n_partitions, time.timestamp_millis())?;
            Ok(found.iter().zip(bounds).map(|(at, bounds)| at.unwrap_or(bounds.end)).collect())
        }
    }
}
