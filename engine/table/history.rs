//! What the last commits of a table say of themselves.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value};

use super::Table;
use crate::error::Result;

/// Entries of the log that are read at a time.
const AT_ONCE: usize = 16;

impl Table {
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
