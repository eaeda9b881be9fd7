//! Records that ingest has yet to settle: they are left to it.
//!
//! Ingest commits to quarantine first and to the table second. While only the first is there, it
//! comes back for the same records and leaves alone what quarantine holds of them. One that was
//! moved into the table meanwhile, it would take in a second time.

use crate::contract::Contract;
use crate::error::Result;
use crate::offsets::Lineage;
use crate::table::{TOPIC_PROPERTY, Table};

use super::records::Place;

/// How far ingest has come in a table and in quarantine; the table was opened after quarantine.
pub(super) struct Frontier<'a> {
    pub(super) contract: &'a Contract,
    pub(super) table: &'a Table,
    pub(super) quarantine: &'a Table,
}

impl Frontier<'_> {
    /// The source of a record that ingest has yet to settle; `None` if it has.
    pub(super) async fn unsettled(&self, source: &str, place: &Place) -> Result<Option<String>> {
        if source.starts_with("kafka:") {
            let unsettled = self.is_unsettled(source, place).await?;
            return Ok(unsettled.then(|| source.to_owned()));
        }
        for folder in self.folders(source) {
            if self.is_ahead(&folder).await? {
                return Ok(Some(folder));
            }
        }
        Ok(None)
    }

    /// Whether a record of a topic stands where quarantine is ahead. Those of an earlier generation
    /// are settled: nobody comes back for them.
    async fn is_unsettled(&self, source: &str, place: &Place) -> Result<bool> {
        let (topic, generation) = source.split_once('#').unwrap_or((source, "0"));
        let topic = topic.strip_prefix("kafka:").unwrap_or(topic);
        let noted = self.table.property(&format!("{TOPIC_PROPERTY}{topic}"))?;
        let reached = noted.map_or(0, |noted| Lineage::parse(&noted).generation);
        if generation.parse().is_ok_and(|generation: u32| generation < reached) {
            return Ok(false);
        }
        // Both have the generation of the topic in the same place.
        let app = format!("{source}/{}", place.partition.unwrap_or(0));
        let next = self.table.txn(&app).await?.unwrap_or(0);
        Ok(place.position >= next && self.is_ahead(&app).await?)
    }

    /// The folder of a file as the contract names it. If it names none any more, it was one of
    /// those above the file.
    fn folders(&self, source: &str) -> Vec<String> {
        let inside = |folder: &String| {
            source.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let named: Vec<String> =
            self.contract.sources.iter().map(ToString::to_string).filter(inside).collect();
        if named.is_empty() {
            return source.match_indices('/').map(|(at, _)| source[..at].to_owned()).collect();
        }
        named
    }

    /// Whether quarantine was committed for records that the table has yet to decide.
    async fn is_ahead(&self, app: &str) -> Result<bool> {
        let theirs = self.quarantine.txn(&format!("{}/{app}", self.contract.name)).await?;
        Ok(theirs > self.table.txn(app).await?)
    }
}
