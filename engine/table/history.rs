//! What the last commits of a table say of themselves.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value};

use deltalake::kernel::Action;
use deltalake::logstore::get_actions;

use super::Table;
use super::commit::COMMIT_ID;
use super::tip::info_of;
use crate::error::Result;

/// Entries of the log that are read at a time.
const AT_ONCE: usize = 16;
/// So many commits of others are looked through.
const OTHERS_MAX: usize = 1000;

impl Table {
    /// The version that lake committed last, if another tool added or removed rows since. One that
    /// compacts does neither; where no commit of lake is found, nobody knows.
    pub async fn changed_by_others(&self) -> Result<Option<u64>> {
        let log = self.delta.log_store();
        let failed = |cause| self.failed("read the log of", cause);
        let mut is_changed = false;
        for version in (0..=self.version()).rev().take(OTHERS_MAX) {
            let entry = log.read_commit_entry(version).await.map_err(failed)?;
            let Some(entry) = entry else { return Ok(None) };
            if info_of(&entry).is_some_and(|info| info.contains_key(COMMIT_ID)) {
                return Ok(is_changed.then_some(version));
            }
            let actions = get_actions(version, &entry).map_err(failed)?;
            is_changed |= actions.iter().any(|action| match action {
                Action::Add(add) => add.data_change,
                Action::Remove(remove) => remove.data_change,
                _ => false,
            });
        }
        Ok(None)
    }

    /// The commit infos of this version and of those before it, newest first: at most `most`, none
    /// that was committed more than `within_ms` before the newest, as far as the log reaches.
    pub async fn recent_infos(
        &self,
        most: usize,
        within_ms: i64,
    ) -> Result<Vec<Map<String, Value>>> {
        let versions = (0..=self.version()).rev().take(most);
        let mut entries =
            stream::iter(versions).map(|version| self.commit_info(version)).buffered(AT_ONCE);
        let mut infos: Vec<Map<String, Value>> = Vec::new();
        let at_ms = |info: &Map<String, Value>| info.get("timestamp").and_then(Value::as_i64);
        while let Some(Some(info)) = entries.try_next().await? {
            let newest = infos.first().unwrap_or(&info);
            let age_ms = at_ms(newest).zip(at_ms(&info)).map(|(newest, at)| newest - at);
            if age_ms.is_some_and(|age_ms| age_ms > within_ms) {
                break;
            }
            infos.push(info);
        }
        Ok(infos)
    }
}
