//! How far every table is, and how much waits for it: `lake status`, and a part of `lake doctor`.
//!
//! Nothing is written here: not even a folder for a lake that is not there yet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};

use crate::contract::{Contract, Source, SourceKind, TableName};
use crate::error::{Error, Kind, Result};
use crate::folder::{Folder, Log};
use crate::ingest::{away, noted};
use crate::kafka::{Consumer, Topic};
use crate::offsets::{self, Bounds, Known, Loss};
use crate::pseudonym::Pseudonyms;
use crate::settings::Settings;
use crate::table::{NARROWED_PROPERTY, Table};
use crate::world::World;

mod health;

/// How many commits, and from how long before the newest, say whether a table is healthy.
const JUDGED_COMMITS: usize = 1000;
const JUDGED_MS: i64 = 24 * 3600 * 1000;

/// How far one partition of a table's source is. A folder has one row, and so has a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The table.
    pub table: TableName,
    /// `folder:X` or `kafka:T`; `None` for a table that a query computes.
    pub source: Option<String>,
    /// The partition of a topic; `None` if none is known.
    pub partition: Option<i32>,
    /// The first offset that the table has not; of a folder, how many batches it has.
    pub next_offset: Option<i64>,
    /// The offset behind the partition's last record.
    pub end_offset: Option<i64>,
    /// How many offsets wait, with the gaps between records; of a folder, how many files.
    pub lag: Option<i64>,
    /// When the table's last commit was, in milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
    /// How long ago that is, in seconds.
    pub age_s: Option<i64>,
    /// The table's version; `None` if nothing has made it yet.
    pub version: Option<i64>,
    /// Whether its files are whole, and its sources keep to the tolerances of its checks, as a
    /// sentence that begins with `healthy` or `unhealthy`; `None` if they are and no check has one.
    pub health: Option<String>,
}

/// What is known of all tables.
#[derive(Debug, Default)]
pub struct Status {
    /// Tables with sources first, then models, each after its inputs.
    pub rows: Vec<Row>,
    /// Why some of it is not known.
    pub failed: Vec<Error>,
}

/// Looks at every table of the project and at its sources.
///
/// # Errors
/// A table's log cannot be read. What goes wrong with a source, and with opening a table, is in
/// [`Status::failed`].
pub async fn status(world: &World) -> Result<Status> {
    let mut survey = Survey { world, status: Status::default(), silent: false };
    let project = &world.project;
    let models = project.order.iter().filter_map(|name| project.contracts.get(name));
    let models = models.filter(|contract| contract.sources.is_empty());
    for contract in project.sourced().chain(models) {
        world.stop.check()?;
        survey.table(contract).await?;
    }
    Ok(survey.status)
}

/// The rows as columns, for printing.
///
/// # Errors
/// None that is known.
pub fn batch(rows: &[Row]) -> Result<RecordBatch> {
    let integers = |value: fn(&Row) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<Int64Array>())
    };
    let tables = rows.iter().map(|row| Some(row.table.to_string()));
    let committed_at = rows.iter().map(|row| Some(row.committed_at_ms?.saturating_mul(1000)));
    let committed_at = committed_at.collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    let columns: [(&str, ArrayRef); 10] = [
        ("table_name", Arc::new(tables.collect::<StringArray>())),
        ("source", Arc::new(rows.iter().map(|row| row.source.as_deref()).collect::<StringArray>())),
        ("partition", Arc::new(rows.iter().map(|row| row.partition).collect::<Int32Array>())),
        ("next_offset", integers(|row| row.next_offset)),
        ("end_offset", integers(|row| row.end_offset)),
        ("lag", integers(|row| row.lag)),
        ("committed_at", Arc::new(committed_at)),
        ("age_s", integers(|row| row.age_s)),
        ("version", integers(|row| row.version)),
        ("health", Arc::new(rows.iter().map(|row| row.health.as_deref()).collect::<StringArray>())),
    ];
    let columns = columns.map(|(name, column)| (name, column, name != "table_name"));
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|cause| Error::internal("the status is no table").caused_by(cause))
}

/// What the cluster holds of a topic.
#[derive(Clone, Debug)]
pub struct Held {
    /// The topic.
    pub topic: Topic,
    /// What each of its partitions holds.
    pub bounds: Vec<Bounds>,
}

impl Held {
    /// What a table has yet to read, and the cluster no longer holds: a run would stop there.
    pub fn lost(&self, known: &Known) -> Vec<Loss> {
        // Where a table begins that never read the topic does not matter: it has lost nothing.
        offsets::start(known, &self.topic.id, &self.bounds, &[], false).err().unwrap_or_default()
    }
}

/// Asks the cluster for a topic, in the name of a table; `None` if there is no such topic.
///
/// # Errors
/// No broker answers, or none lets us in.
pub async fn held(settings: &Settings, table: &TableName, topic: &str) -> Result<Option<Held>> {
    let mut consumer = Consumer::new(settings, &table.to_string())?;
    let name = topic.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let held = ask(&mut consumer, &name);
        (consumer, held)
    });
    let (consumer, held) =
        asked.await.map_err(|cause| Error::internal("the question broke").caused_by(cause))?;
    consumer.close().await;
    held
}

fn ask(consumer: &mut Consumer, name: &str) -> Result<Option<Held>> {
    let Some(topic) = consumer.topic(name, Some(Duration::ZERO), || false)? else {
        return Ok(None);
    };
    let bounds = consumer.bounds(name, topic.n_partitions)?;
    Ok(Some(Held { topic, bounds }))
}

/// How many offsets wait; `None` if the partition ends before the place that the table has read to.
fn lag(next: Option<i64>, bounds: Bounds) -> Option<i64> {
    let lag = bounds.end - next.unwrap_or(bounds.low);
    (lag >= 0).then_some(lag)
}

/// Collects the rows.
struct Survey<'a> {
    world: &'a World,
    status: Status,
    /// Whether the brokers did not answer: they are not asked again.
    silent: bool,
}

impl Survey<'_> {
    async fn table(&mut self, contract: &Contract) -> Result<()> {
        let opened = self.world.lake.table(&contract.name).await;
        let is_open = opened.is_ok();
        let table = opened.unwrap_or_else(|error| {
            self.status.failed.push(error);
            None
        });
        let committed_at_ms = match &table {
            Some(table) => table.committed_at_ms().await?,
            None => None,
        };
        // Another machine's clock may be ahead of ours.
        let age = |at_ms: i64| (self.world.clock.now_ms() - at_ms).max(0) / 1000;
        let row = Row {
            table: contract.name.clone(),
            source: None,
            partition: None,
            next_offset: None,
            end_offset: None,
            lag: None,
            committed_at_ms,
            age_s: committed_at_ms.map(age),
            version: table.as_ref().and_then(|table| i64::try_from(table.version()).ok()),
            health: health_of(contract, table.as_ref()).await?,
        };
        for source in &contract.sources {
            let row = Row { source: Some(source.to_string()), ..row.clone() };
            match source.kind {
                _ if !is_open => self.status.rows.push(row),
                SourceKind::Folder => self.folder(row, table.as_ref(), source).await?,
                SourceKind::Kafka => self.topic(&row, table.as_ref(), source).await?,
            }
        }
        if contract.sources.is_empty() {
            self.status.rows.push(row);
        }
        Ok(())
    }

    async fn folder(&mut self, row: Row, table: Option<&Table>, source: &Source) -> Result<()> {
        let last = match table {
            Some(table) => table.txn(&source.to_string()).await?.unwrap_or(-1),
            None => -1,
        };
        let lag = match self.files(&row.table, table, source, last).await {
            Ok(lag) => lag,
            Err(error) => {
                self.status.failed.push(error);
                None
            }
        };
        self.status.rows.push(Row { next_offset: table.map(|_| last + 1), lag, ..row });
        Ok(())
    }

    /// How many files are in no batch up to `last`; `None` if that cannot be told.
    async fn files(
        &self,
        name: &TableName,
        table: Option<&Table>,
        source: &Source,
        last: i64,
    ) -> Result<Option<i64>> {
        let lake = &self.world.lake;
        let Some(place) = lake.landing_place(&source.name)? else {
            let place = lake.landing_url(&source.name);
            self.world.remark(format!("{name}: no folder {place} yet"));
            return Ok(None);
        };
        let own = lake.own_store_to_read()?;
        let mut log = Log::open(own, &name.to_string(), &source.to_string()).await?;
        let listed = log.last().unwrap_or(-1);
        if last > listed {
            self.world.remark(format!(
                "{name} holds batch {last} of {source}, and the log of batches ends before it"
            ));
            return Ok(None);
        }
        // Batches that were written ahead, by a run that is at work or was killed.
        let ahead = (last + 1..=listed).filter_map(|number| log.batch(number));
        let n_ahead: usize = ahead.map(|batch| batch.ranges.len()).sum();
        let away = table.map_or_else(|| Ok(BTreeSet::new()), |table| away(table, source))?;
        let key = self.world.settings.privacy_key().ok();
        let pseudonyms = key.as_ref().map(Pseudonyms::new);
        let folder = Folder::new(source.clone(), place, None);
        // Names are compared with those that the table notes, which show no person's id.
        let folder = match self.world.project.contracts.get(name) {
            Some(contract) if !away.is_empty() => folder.masked(contract, pseudonyms.as_ref()),
            _ => folder,
        };
        let n_new = folder.waiting(&mut log, &away).await?;
        Ok(i64::try_from(n_ahead + n_new).ok())
    }

    async fn topic(&mut self, row: &Row, table: Option<&Table>, source: &Source) -> Result<()> {
        let asked = self.held(&row.table, source).await;
        let no_topic = matches!(asked, Some(None));
        let held = asked.flatten();
        let n_held = held.as_ref().map_or(0, |held| held.topic.n_partitions);
        let known = match table {
            Some(table) => noted(table, source, n_held).await?,
            None => Known::default(),
        };
        let lost = held.as_ref().map_or_else(Vec::new, |held| held.lost(&known));
        if !lost.is_empty() {
            let stop = offsets::stop(&row.table, &source.to_string(), &lost);
            self.world.remark(stop.to_string());
        }
        if no_topic {
            self.world.remark(match known.lineage {
                Some(_) => offsets::gone(&row.table, &source.to_string(), &known).to_string(),
                None => format!("{}: no topic {} yet", row.table, source.name),
            });
        }
        // Offsets of two topics have nothing to do with each other.
        let remade = lost.iter().any(|loss| matches!(loss, Loss::Remade { .. }));
        let bounds = held.map_or_else(Vec::new, |held| held.bounds);
        let n_partitions = known.next.len().max(bounds.len());
        for at in 0..n_partitions.max(1) {
            let next = known.next.get(at).copied().flatten();
            let bounds = bounds.get(at).copied();
            self.status.rows.push(Row {
                partition: i32::try_from(at).ok().filter(|_| n_partitions > 0),
                next_offset: next,
                end_offset: bounds.map(|bounds| bounds.end),
                lag: bounds.filter(|_| !remade).and_then(|bounds| lag(next, bounds)),
                ..row.clone()
            });
        }
        Ok(())
    }

    /// What the cluster holds of a topic, `None` in it if there is no such topic; `None` if no
    /// cluster says anything.
    async fn held(&mut self, table: &TableName, source: &Source) -> Option<Option<Held>> {
        let world = self.world;
        if world.settings.get("kafka.brokers").is_none() {
            world.remark("`kafka.brokers` is not set: how much waits in topics is not known");
            return None;
        }
        if self.silent {
            return None;
        }
        match held(&world.settings, table, &source.name).await {
            Ok(Some(held)) => Some(Some(held)),
            Ok(None) => Some(None),
            Err(error) => {
                self.silent = error.kind() == Kind::Retry;
                self.status.failed.push(error);
                None
            }
        }
    }
}

/// Whether a table is healthy: its files are as the log has them, and its sources keep to the
/// tolerances. The log is read only where somebody asked for that by a tolerance.
async fn health_of(contract: &Contract, table: Option<&Table>) -> Result<Option<String>> {
    let is_judged = contract.checks.iter().any(|check| check.violation.at_most.is_some());
    let Some(table) = table else { return Ok(None) };
    let damage = table.damage().await?;
    if !damage.is_none() {
        return Ok(Some(format!("unhealthy: {damage}")));
    }
    if let Some(version) = table.changed_by_others().await? {
        return Ok(Some(format!(
            "unhealthy: another tool changed its rows since version {version}, which lake wrote"
        )));
    }
    if let Some(found) = table.property(NARROWED_PROPERTY)? {
        return Ok(Some(format!(
            "unhealthy: rows of before its contract became narrower break it ({found})"
        )));
    }
    if !is_judged || contract.sources.is_empty() {
        return Ok(None);
    }
    let infos = table.recent_infos(JUDGED_COMMITS, JUDGED_MS).await?;
    Ok(health::health(contract, &infos))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Array;
    use datafusion::arrow::datatypes::{DataType, TimeUnit};

    use super::*;
    use crate::offsets::Lineage;

    const HELD: Bounds = Bounds { low: 10, end: 50 };

    #[test]
    fn the_lag_counts_from_the_next_offset_or_from_the_first_that_is_held() {
        assert_eq!(lag(Some(20), HELD), Some(30));
        assert_eq!(lag(Some(50), HELD), Some(0));
        assert_eq!(lag(None, HELD), Some(40));
        assert_eq!(lag(Some(51), HELD), None);
    }

    #[test]
    fn a_table_that_never_read_a_topic_has_lost_nothing_of_it() {
        let topic = Topic { id: "A".to_owned(), n_partitions: 1 };
        let held = Held { topic, bounds: vec![HELD] };
        assert_eq!(held.lost(&Known::default()), []);
        let known = Known { lineage: Some(Lineage::parse("A")), next: vec![Some(3)] };
        assert_eq!(held.lost(&known), [Loss::Deleted { partition: 0, next: 3, low: 10 }]);
    }

    #[test]
    fn rows_become_columns() {
        let row = Row {
            table: TableName::new("bronze", "t"),
            source: Some("kafka:t".to_owned()),
            partition: Some(0),
            next_offset: None,
            end_offset: Some(7),
            lag: Some(7),
            committed_at_ms: Some(1500),
            age_s: Some(3),
            version: Some(0),
            health: None,
        };
        let rows = batch(&[row.clone(), Row { committed_at_ms: None, ..row }]).unwrap();
        assert_eq!(rows.num_rows(), 2);
        assert_eq!(rows["next_offset"].null_count(), 2);
        let at = rows.column_by_name("committed_at").unwrap();
        assert_eq!(at.null_count(), 1);
        let expected = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(*at.data_type(), expected);
        assert_eq!(batch(&[]).unwrap().num_columns(), 10);
    }
}
