//! Files that a batch lists, and that were not there when it was read: a disk that is not mounted, a
//! folder in the place of a file.
//!
//! The batch is committed without them, and that commit notes them in the table, so that of two runs
//! the one that wins decides. They count as unread: as soon as they are there, a later batch lists
//! them, and its commit takes them from the note.

use std::collections::BTreeSet;

use super::FolderJob;
use crate::batchlog::Batch;
use crate::contract::Source;
use crate::error::{Error, Result};
use crate::table::{AWAY_PROPERTY, Commit, Table};

/// Files that are named where many are away.
const NAMED_MAX: usize = 5;

fn property(source: &Source) -> String {
    format!("{AWAY_PROPERTY}{}", source.name)
}

/// The files of a folder that a table has yet to read, by their names for people.
///
/// # Errors
/// The table cannot be read.
pub fn away(table: &Table, source: &Source) -> Result<BTreeSet<String>> {
    let Some(text) = table.property(&property(source))? else { return Ok(BTreeSet::new()) };
    serde_json::from_str(&text).map_err(|cause| {
        Error::data(format!("{}: the property {} is broken", table.name(), property(source)))
            .caused_by(cause)
    })
}

/// The same as a property; the empty text where there is none.
pub(super) fn noted(source: &Source, away: &BTreeSet<String>) -> Result<(String, String)> {
    let text = if away.is_empty() {
        String::new()
    } else {
        serde_json::to_string(away)
            .map_err(|cause| Error::internal("names are no JSON").caused_by(cause))?
    };
    Ok((property(source), text))
}

/// Some names, and how many there are besides.
fn shown(names: &BTreeSet<String>) -> String {
    let some = names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => some,
        n => format!("{some} and {n} more"),
    }
}

impl FolderJob<'_> {
    /// What is away once a batch is read: what was before, less what the batch lists, and what it
    /// did not find.
    pub(super) fn away_after(
        &self,
        before: &BTreeSet<String>,
        batch: &Batch,
        missed: BTreeSet<String>,
    ) -> BTreeSet<String> {
        let mut away = before.clone();
        for range in &batch.ranges {
            away.remove(&self.folder.place(&range.path));
        }
        away.extend(missed);
        away
    }

    /// Tells what is away, and why nobody need worry; or gives it up, if that was asked for.
    pub(super) async fn settle_away(
        &self,
        table: &mut Table,
        again: &BTreeSet<String>,
    ) -> Result<Option<String>> {
        let (name, source) = (table.name().clone(), &self.folder.source);
        let away = away(table, source)?;
        if away.is_empty() {
            return Ok(None);
        }
        if self.accept_loss {
            let metadata = self.job.evolve(table, &[noted(source, &BTreeSet::new())?]).await?;
            let mut info = serde_json::Map::new();
            info.insert("lake.source".to_owned(), serde_json::json!(source.to_string()));
            info.insert("lake.lost".to_owned(), serde_json::json!(away));
            // Who was faster has other files away: the next run says so.
            table.commit(Commit { info, metadata, ..Commit::default() }).await?;
            let shown = shown(&away);
            return Ok(Some(format!("{name}: accepted for {source}: {shown} will not be read")));
        }
        let missing: BTreeSet<String> = away.difference(again).cloned().collect();
        Ok((!missing.is_empty()).then(|| {
            format!(
                "{name}: {} listed for {source} and not there, or may not be read: read as soon as that is so again; if they are gone for good, `--accept-loss {source}` gives them up",
                match missing.len() {
                    1 => format!("{} was", shown(&missing)),
                    _ => format!("{} were", shown(&missing)),
                }
            )
        }))
    }
}
