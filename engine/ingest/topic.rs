//! Bronze from a topic of Kafka: one `txn` a partition, whose version is the next offset.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::feed::{Brokers, Feed};
use super::known::{begins, noted, property, quarantine_property, with_quarantine};
use super::{Job, LOST_ROUNDS_MAX, Look, Ready, Total};
use crate::chunk::{Chunk, Origin};
use crate::contract::{Contract, Source};
use crate::error::{Error, Kind, Result};
use crate::kafka::{Batch, Consumer, Outcome as Ending, Range, Reached, Topic};
use crate::offsets::{self, Bounds, Lineage, Loss, Note, Start};
use crate::quarantine::{self, Decided};
use crate::table::{Change, Outcome, Table};

/// After a restart a broker may for some seconds say that a partition ends too early.
const END_ASKED_MAX: u32 = 5;
/// A topic that changes this often while it is read is left for later.
const AGAIN_MAX: u32 = 5;

enum Round {
    Finished,
    /// Another run was faster.
    Lost,
    /// The topic changed under the read: look again.
    Again,
    /// No broker answers.
    Silent(Error),
    /// All is read but what stands behind a record that cannot be read, in some partitions.
    Broken(Vec<Error>),
}

/// Reads what is in a topic, until there is no more; `false` if its brokers went silent before.
pub(super) async fn ingest_topic(
    job: &Job<'_>,
    source: &Source,
    look: &Look,
    feed: &mut Feed,
    total: &mut Total,
) -> Result<bool> {
    let world = job.world;
    if world.settings.get("kafka.brokers").is_none() {
        world.remark(format!("{source}: left out, `kafka.brokers` is not set"));
        return Ok(true);
    }
    let accept_loss = !feed.is_read && look.accept_loss.contains(&source.to_string());
    let record_limit = world.settings.record_limit()?;
    let topic = TopicJob { job, source, following: look.following, accept_loss, record_limit };
    let (mut lost, mut again) = (0, 0);
    loop {
        let batches = total.batches;
        let round = match topic.round(feed, total).await {
            Ok(Round::Silent(error)) => Ok(Round::Silent(topic.named(error))),
            round => round.map_err(|error| topic.named(error)),
        };
        if total.batches > batches {
            (lost, again) = (0, 0);
        }
        if !matches!(round, Ok(Round::Finished | Round::Silent(_) | Round::Broken(_))) {
            // Whatever it fetched is of no use, and must not come again after another start.
            feed.close().await;
        }
        match round? {
            Round::Finished => return Ok(true),
            Round::Broken(errors) => {
                return feed.hold_broken(world, look.following, errors).map(|()| true);
            }
            Round::Silent(error) if look.following && feed.brokers != Brokers::Unheard => {
                if feed.brokers == Brokers::Answering {
                    let time = world.clock.time_of_day();
                    world.remark(format!("{time} {error}; waiting for it"));
                }
                feed.brokers = Brokers::Silent;
                return Ok(false);
            }
            Round::Silent(error) => return Err(error),
            Round::Lost => {
                job.say_lost(source);
                lost += 1;
                if lost == LOST_ROUNDS_MAX {
                    return Outcome::Lost.version(&job.contract.name.to_string()).map(|_| false);
                }
            }
            Round::Again => {
                again += 1;
                if again == AGAIN_MAX {
                    return Err(Error::retry(format!(
                        "{source}: the topic changes faster than it can be read"
                    ))
                    .hint("run again; if it stays so, look at the topic's retention"));
                }
            }
        }
    }
}

/// One table, one topic.
struct TopicJob<'a> {
    job: &'a Job<'a>,
    source: &'a Source,
    following: bool,
    accept_loss: bool,
    /// The bytes that one record may have.
    record_limit: usize,
}

/// Where the table and the cluster stand in a round: they must fit, and are committed against.
struct Standing {
    start: Start,
    ends: Vec<i64>,
}

impl TopicJob<'_> {
    async fn round(&self, feed: &mut Feed, total: &mut Total) -> Result<Round> {
        let (job, world) = (self.job, self.job.world);
        feed.forget_broken().await;
        let mut table = opened(feed.table.take(), job, job.contract).await?;
        total.version = Some(table.version());
        let mut quarantine = opened(feed.quarantine.take(), job, &job.staging.quarantine).await?;
        let standing = match self.standing(feed, &table, &quarantine).await {
            Ok(Some(standing)) => standing,
            Ok(None) => {
                world.remark(format!(
                    "{}: no topic {} yet, nothing to read there",
                    job.contract.name, self.source.name
                ));
                feed.table = Some(table);
                return Ok(Round::Finished);
            }
            Err(error) if error.kind() == Kind::Retry && feed.consumer.is_some() => {
                return Ok(Round::Silent(error));
            }
            Err(error) => return Err(error),
        };
        self.tell_heard(feed);
        let property = (property(self.source), standing.start.lineage.property());
        let mut metadata = job.evolve(&table, &[property]).await?;
        let mut next = standing.start.offsets.clone();
        let mut lost = standing.start.lost.as_slice();
        let lineage = &standing.start.lineage;
        let mut seen = self.seen(&table, lineage, next.len()).await?;
        let mut broken: Vec<(usize, Error)> = Vec::new();
        loop {
            let is_pinned = self.txns(&table, lineage, &next).await?.is_empty();
            let is_read = is_read(&next, &standing.ends, &broken);
            if is_pinned && metadata.is_none() && is_read {
                break;
            }
            world.stop.check()?;
            let step = Begun { standing: &standing, next: &next, seen: &seen, lost };
            let batch =
                self.batch(feed, &mut table, &mut quarantine, &step, metadata.take(), total);
            let reached = match batch.await? {
                Ok(reached) => reached,
                Err(round) => return Ok(round),
            };
            lost = &[];
            self.tell_odd_times(reached.n_odd_times);
            next = reached.next;
            // Not what the handle sees by now: somebody may have gone on behind this commit.
            seen = next.iter().copied().map(Some).collect();
            match reached.outcome {
                Ending::Ended | Ending::Cut => {}
                Ending::Gone => return Ok(Round::Again),
                Ending::Stalled => {
                    return Ok(Round::Silent(feed.stalled(self.source, &next, &standing.ends)));
                }
            }
            broken = feed.broken(&self.source.name, &next, &standing.ends);
            if self.following && reached.outcome == Ending::Ended {
                break;
            }
        }
        feed.table = Some(table);
        feed.quarantine = Some(quarantine);
        feed.is_read = true;
        if broken.is_empty() {
            return Ok(Round::Finished);
        }
        Ok(Round::Broken(broken.into_iter().map(|(_, error)| self.named(error)).collect()))
    }

    /// Says that brokers answer which did not.
    fn tell_heard(&self, feed: &mut Feed) {
        let world = self.job.world;
        if feed.hears() == Brokers::Silent {
            let time = world.clock.time_of_day();
            world.remark(format!("{time} {}: a broker answers again", self.source));
        }
    }

    /// What the client says of its topic, with the table that reads it.
    fn named(&self, error: Error) -> Error {
        let is_client = error.to_string().starts_with(&self.source.to_string());
        if is_client { error.at(&self.job.contract.name) } else { error }
    }

    /// Where the table stands in the topic; `None` if there is no topic.
    async fn standing(
        &self,
        feed: &mut Feed,
        table: &Table,
        quarantine: &Table,
    ) -> Result<Option<Standing>> {
        // To begin with a topic without its id is to take the next one of its name for it.
        let noted_id = table.property(&property(self.source))?.unwrap_or_default();
        let without_id = match (noted_id.is_empty(), feed.is_read) {
            (false, _) => None,
            (true, false) => Some(Duration::MAX),
            (true, true) => Some(Duration::ZERO),
        };
        for asked in 1.. {
            let Some((topic, bounds, begin)) = self.held(feed, without_id).await? else {
                let known = noted(table, self.source, 0).await?;
                if known.lineage.is_some() && !self.accept_loss {
                    let name = &self.job.contract.name;
                    return Err(offsets::gone(name, &self.source.to_string(), &known));
                }
                feed.was_missing = true;
                return Ok(None);
            };
            let known = noted(table, self.source, topic.n_partitions).await?;
            let property = quarantine_property(&self.job.contract.name, self.source);
            let known = with_quarantine(known, quarantine, &property)?;
            let start = |accept| offsets::start(&known, &topic.id, &bounds, &begin, accept);
            let start = start(false).or_else(|lost| {
                let may_pass = lost.iter().any(|loss| matches!(loss, Loss::Beyond { .. }));
                let is_final = !may_pass || asked >= END_ASKED_MAX;
                let accepted = if is_final && self.accept_loss { start(true).ok() } else { None };
                accepted.ok_or((lost, is_final))
            });
            match start {
                Ok(start) => {
                    for loss in &start.lost {
                        let table = &self.job.contract.name;
                        let text = format!("{table}: accepted for {}: {loss}", self.source);
                        self.job.world.remark(text);
                    }
                    let ends = bounds.iter().map(|bounds| bounds.end).collect();
                    return Ok(Some(Standing { start, ends }));
                }
                Err((lost, true)) => {
                    let name = &self.job.contract.name;
                    return Err(offsets::stop(name, &self.source.to_string(), &lost));
                }
                Err((_, false)) => {
                    self.job.world.stop.check()?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        Ok(None)
    }

    /// What the cluster holds of the topic, and where a table that never read it begins; `None` if
    /// there is no topic.
    async fn held(
        &self,
        feed: &mut Feed,
        without_id: Option<Duration>,
    ) -> Result<Option<(Topic, Vec<Bounds>, Vec<i64>)>> {
        let settings = &self.job.world.settings;
        if feed.consumer.is_none() {
            feed.consumer = Some(Consumer::new(settings, &self.job.contract.name.to_string())?);
        }
        let begin = settings.get("kafka.start").filter(|_| !feed.was_missing);
        let begin = begin.unwrap_or("earliest").to_owned();
        let (name, stop) = (self.source.name.clone(), self.job.world.stop.clone());
        let held = feed.ask(move |consumer| {
            let topic = consumer.topic(&name, without_id, || stop.asked())?;
            let Some(topic) = topic else { return Ok(None) };
            let bounds = consumer.bounds(&name, topic.n_partitions)?;
            let begin = begins(consumer, &name, &begin, &bounds)?;
            Ok(Some((topic, bounds, begin)))
        });
        held.await
    }

    /// The `txn`s of all partitions, as the table has them when a round begins.
    async fn seen(&self, table: &Table, lineage: &Lineage, n: usize) -> Result<Vec<Option<i64>>> {
        let mut seen = Vec::new();
        for (partition, _) in (0..).zip(0..n) {
            seen.push(table.txn(&lineage.app(&self.source.to_string(), partition)).await?);
        }
        Ok(seen)
    }

    /// The `txn`s that would go forward, or that the table does not have yet: a partition without
    /// records is noted, too, or what is deleted from it unread would not be missed.
    async fn txns(
        &self,
        table: &Table,
        lineage: &Lineage,
        next: &[i64],
    ) -> Result<Vec<(String, i64)>> {
        let mut txns = Vec::new();
        for (partition, next) in (0..).zip(next) {
            let app = lineage.app(&self.source.to_string(), partition);
            if table.txn(&app).await?.is_none_or(|last| last < *next) {
                txns.push((app, *next));
            }
        }
        Ok(txns)
    }

    /// Times that other readers of the table would fail on are not written.
    fn tell_odd_times(&self, n: u64) {
        if n > 0 {
            self.job.world.remark(format!(
                "{}: {n} records of {} have a time outside of the years 0001 to 9999, so that \
                 _record_ts is NULL for them",
                self.job.contract.name, self.source
            ));
        }
    }

    /// Reads and commits one batch.
    async fn batch(
        &self,
        feed: &mut Feed,
        table: &mut Table,
        quarantine: &mut Table,
        begun: &Begun<'_>,
        metadata: Option<Change>,
        total: &mut Total,
    ) -> Result<std::result::Result<Reached, Round>> {
        let Begun { standing, next, seen, lost } = begun;
        let lineage = &standing.start.lineage;
        let decided = self.decided(table, quarantine, lineage, next).await?;
        let reader = &mut *feed;
        let staged = self.job.staging.stage(table, quarantine, decided, |chunks| async move {
            self.read(reader, standing, next, chunks).await
        });
        let (reached, staged) = staged.await?;
        let (name, stop) = (self.source.name.clone(), self.job.world.stop.clone());
        let is_stalled = reached.outcome == Ending::Stalled;
        let asked = feed.ask(move |consumer| {
            // Where nobody answers, what was read is what it was taken for.
            if is_stalled {
                Ok(None)
            } else {
                consumer.topic(&name, Some(Duration::ZERO), || stop.asked()).map(Some)
            }
        });
        let id = match asked.await {
            // Gone is another one, too.
            Ok(topic) => topic.map(|topic| topic.map(|topic| topic.id)),
            Err(error) if matches!(error.kind(), Kind::Retry | Kind::Interrupted) => None,
            Err(error) => {
                staged.discard(table, quarantine).await;
                return Err(error);
            }
        };
        if id.is_some_and(|id| id.is_none_or(|id| lineage.is_another(&id))) {
            // Made anew while it was read: nobody knows which records are whose.
            self.job.world.remark(format!(
                "{}: {} was deleted or made anew while it was read; what was read is dropped",
                self.job.contract.name, self.source
            ));
            staged.discard(table, quarantine).await;
            return Ok(Err(Round::Again));
        }
        let txns = self.txns(table, lineage, &reached.next).await?;
        if txns.is_empty() && metadata.is_none() && staged.is_empty() {
            return Ok(Ok(reached));
        }
        let apps = (0..)
            .zip(*seen)
            .map(|(partition, seen)| (lineage.app(&self.source.to_string(), partition), *seen));
        let seen = apps.collect();
        let info = self.info(next, &reached.next, lost);
        let noted = self.note(table, &standing.start)?.into_iter().collect();
        let ready = Ready { staged, txns, seen, info, metadata, noted };
        if !self.job.settle(table, quarantine, ready, total).await? {
            return Ok(Err(Round::Lost));
        }
        if let Some(consumer) = &feed.consumer {
            consumer.tell_group(&self.source.name, &reached.next);
        }
        Ok(Ok(reached))
    }

    /// What quarantine notes with the first batch of a topic: the table does so after it.
    fn note(&self, table: &Table, start: &Start) -> Result<Option<(String, String)>> {
        let is_noted = table.property(&property(self.source))? == Some(start.lineage.property());
        let note = Note { lineage: start.lineage.clone(), begin: start.offsets.clone() };
        let name = quarantine_property(&self.job.contract.name, self.source);
        Ok((!is_noted).then(|| (name, note.property())))
    }

    /// What quarantine holds of the records to come.
    async fn decided(
        &self,
        table: &Table,
        quarantine: &Table,
        lineage: &Lineage,
        next: &[i64],
    ) -> Result<Decided> {
        let source = self.source.to_string();
        let mut ahead = Vec::new();
        for (partition, next) in (0..).zip(next) {
            let app = [(lineage.app(&source, partition), *next)];
            if self.job.is_ahead(quarantine, &app, table).await? {
                ahead.push((partition, *next));
            }
        }
        let (query, name) = (&self.job.query, &self.job.contract.name);
        quarantine::decided_behind(quarantine, query, name, &lineage.source(&source), &ahead).await
    }

    /// Reads a batch from where the table is to where the partitions ended.
    async fn read(
        &self,
        feed: &mut Feed,
        standing: &Standing,
        next: &[i64],
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<Reached> {
        let stale = feed
            .consumer
            .as_ref()
            .is_some_and(|consumer| !consumer.next().is_empty() && consumer.next() != next);
        if stale || feed.consumer.is_none() {
            feed.close().await;
            let table = self.job.contract.name.to_string();
            feed.consumer = Some(Consumer::new(&self.job.world.settings, &table)?);
        }
        let batch = Batch {
            ranges: next
                .iter()
                .zip(&standing.ends)
                .map(|(start, end)| Range { start: *start, end: *end })
                .collect(),
            beyond: self.following,
            bytes: self.job.batch_bytes,
            record_limit: self.record_limit,
        };
        let (name, stop) = (self.source.name.clone(), self.job.world.stop.clone());
        let origin = Origin::topic(&name, standing.start.lineage.generation);
        feed.ask(move |consumer| {
            if consumer.next().is_empty() {
                let starts: Vec<i64> = batch.ranges.iter().map(|range| range.start).collect();
                consumer.assign(&name, &starts)?;
            }
            let send = |chunk| chunks.blocking_send(chunk).is_ok();
            consumer.read(origin, &batch, || stop.asked(), send)
        })
        .await
    }

    fn info(&self, from: &[i64], to: &[i64], lost: &[Loss]) -> Map<String, Value> {
        let mut info = Map::new();
        info.insert("lake.source".to_owned(), json!(self.source.to_string()));
        let offsets = from.iter().zip(to).enumerate().filter(|(_, (from, to))| from != to);
        let offsets: Map<String, Value> = offsets
            .map(|(partition, (from, to))| (partition.to_string(), json!([from, to])))
            .collect();
        info.insert("lake.offsets".to_owned(), Value::Object(offsets));
        if !lost.is_empty() {
            let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
            info.insert("lake.lost".to_owned(), json!(lost));
        }
        info
    }
}

/// Whether all partitions are at their ends, or cannot be read on.
fn is_read(next: &[i64], ends: &[i64], broken: &[(usize, Error)]) -> bool {
    let is_broken = |at: usize| broken.iter().any(|(broken, _)| *broken == at);
    next.iter().zip(ends).enumerate().all(|(at, (next, end))| next >= end || is_broken(at))
}

/// Where a batch begins, what the table says of that, and what was lost before it.
struct Begun<'a> {
    standing: &'a Standing,
    next: &'a [i64],
    seen: &'a [Option<i64>],
    lost: &'a [Loss],
}

/// A table at its newest version; one that was kept open is not read anew.
async fn opened(kept: Option<Table>, job: &Job<'_>, contract: &Contract) -> Result<Table> {
    if let Some(mut table) = kept
        && table.follow().await.is_ok()
    {
        return Ok(table);
    }
    job.world.lake.open_or_create(contract).await
}
