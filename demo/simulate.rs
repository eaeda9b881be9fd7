//! Makes up viewers who watch videos: the events they would send, and the truth to check against.
//!
//! The same options give the same bytes, always: every visit draws from its own seeded stream, and
//! one thread writes them in order of arrival. Faults change what arrives, never what happened.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "times, positions and drawn numbers stay far below 2^52"
)]

mod advert;
mod audience;
mod catalogue;
mod dice;
mod folder;
mod kafka;
mod pace;
mod playback;
mod rate;
mod recorder;
mod rhythm;
mod text;
mod topic;
mod viewing;
mod visit;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::Write;
use std::rc::Rc;

use engine::error::{Error, Result};

pub(crate) use self::folder::FolderSink;
pub(crate) use self::kafka::KafkaSink;
pub(crate) use self::rate::Rate;

use self::advert::Advert;
use self::catalogue::Catalogue;
use self::pace::{Ongoing, Pace};
use self::recorder::Room;
use self::text::Text;
use self::topic::Topic;
use self::visit::{Told, Visit};

const HOUR_MS: i64 = 3_600_000;
/// One viewer for about so many events, however small the run.
const EVENTS_PER_VIEWER: u64 = 250;
/// The truth is written in pieces of about this size.
const TRUTH_BYTES: usize = 1 << 16;

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Exact number of event lines, duplicates included.
    pub(crate) events: u64,
    /// Another seed, other people.
    pub(crate) seed: u64,
    /// Midnight UTC at which it begins, in epoch ms.
    pub(crate) start_ms: i64,
    /// Visits begin within this time, in ms. The last ones may go on after it.
    pub(crate) span_ms: i64,
    /// Size of the catalogue.
    pub(crate) videos: u32,
    /// What goes wrong on the way.
    pub(crate) faults: Faults,
}

impl Options {
    /// A fault-free run of a day and a half over 400 videos.
    pub(crate) fn new(events: u64, seed: u64, start_ms: i64) -> Self {
        let faults = Faults::default();
        Self { events, seed, start_ms, span_ms: 36 * HOUR_MS, videos: 400, faults }
    }

    fn check(&self) -> Result<()> {
        let Faults { lose, duplicate, delay, reorder, skew } = self.faults;
        if [lose, duplicate, delay, reorder, skew].iter().any(|rate| !(0.0..=1.0).contains(rate)) {
            return Err(Error::usage("a fault rate is not between 0 and 1"));
        }
        if lose > 0.9 {
            return Err(Error::usage("more than 0.9 of all events lost leaves nothing to write"));
        }
        if self.videos == 0 || self.span_ms <= 0 {
            return Err(Error::usage("a simulation needs at least one video and some time"));
        }
        if self.start_ms < 0
            || self.start_ms.checked_add(self.span_ms).is_none_or(|end| end > YEAR_9000_MS)
        {
            return Err(Error::usage("the simulated time lies outside the years 1970 to 9000"));
        }
        Ok(())
    }
}

const YEAR_9000_MS: i64 = 221_845_392_000_000;

/// Shares (0 to 1) of what goes wrong; all 0 by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Events that never arrive.
    pub(crate) lose: f64,
    /// Events that arrive a second time, up to two hours later.
    pub(crate) duplicate: f64,
    /// Events that arrive one minute to five hours late.
    pub(crate) delay: f64,
    /// Events overtaken by those of the next seconds.
    pub(crate) reorder: f64,
    /// Visits from a device whose clock is up to three hours wrong.
    pub(crate) skew: f64,
}

impl Faults {
    /// What a good network looks like: enough of everything to see how it is dealt with.
    pub(crate) fn realistic() -> Self {
        Self { lose: 0.001, duplicate: 0.005, delay: 0.002, reorder: 0.01, skew: 0.01 }
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Event lines, duplicates included.
    pub(crate) events: u64,
    /// Video records, changed titles included.
    pub(crate) videos: u64,
    /// Playbacks, previews included: the lines of the truth.
    pub(crate) playbacks: u64,
    /// Bytes of the event lines, newlines included.
    pub(crate) bytes: u64,
}

/// Takes records, in order of arrival: a folder, a topic.
pub(crate) trait Sink {
    /// Takes an event: one JSON object without a newline. The key is its session id.
    fn event(&mut self, key: &str, line: &[u8]) -> Result<()>;

    /// Takes a video record: one JSON object without a newline. The key is the video id.
    fn video(&mut self, key: &str, line: &[u8]) -> Result<()>;

    /// Completes what was begun. Records that were taken may not be there before.
    fn finish(&mut self) -> Result<()>;
}

/// Simulates, writing to `sink`, and what was truly viewed to `truth`: one JSON object a line for
/// each playback, previews included, `{"playback_id","video_id","segments":[[start,end],…],"play_time_ms"}`.
///
/// After exactly `options.events` lines every app that still runs dies at once. The truth of those
/// playbacks ends with their last event. Any other crash comes between two events, so such a
/// playback was viewed up to one heartbeat longer than a reader can know.
/// `progress` gets the number of events so far after each of them; its error ends the simulation.
pub(crate) fn simulate(
    options: &Options,
    sink: &mut dyn Sink,
    truth: Option<&mut dyn Write>,
    progress: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Report> {
    options.check()?;
    let world = World::new(options);
    let room: Room = Rc::new(Cell::new(options.events));
    let mut pace = Pace::new(&world, options);
    let mut releases = Releases::new(&world.catalogue, sink)?;
    let (mut topic, mut truth) = (Topic::default(), Truth { out: truth, told: Told::default() });
    let mut visits: BinaryHeap<Ongoing> = BinaryHeap::new();
    let mut number = 0;
    while room.get() > 0 {
        let turn = pace.turn();
        let Some(mut first) = visits.peek_mut().filter(|first| first.due.0 < turn) else {
            visits.push(Ongoing::new(Visit::new(&world, number, turn, &room), number));
            pace.begin();
            number += 1;
            continue;
        };
        // All visits are this far, and nothing arrives before it was sent.
        releases.until(first.due.0, &mut topic, sink, progress)?;
        if first.visit.step(&mut truth.told) {
            first.visit.flush(&mut topic);
            first.due.0 = first.visit.now();
        } else {
            let over = PeekMut::pop(first).visit;
            pace.end(over.lines());
            over.close(&mut topic, &mut truth.told);
            truth.write(TRUTH_BYTES)?;
        }
    }
    for stopped in visits.into_sorted_vec() {
        stopped.visit.close(&mut topic, &mut truth.told);
    }
    releases.until(i64::MAX, &mut topic, sink, progress)?;
    truth.write(0)?;
    let playbacks = truth.told.playbacks;
    Ok(Report { events: topic.events, videos: releases.videos, playbacks, bytes: topic.bytes })
}

/// What all visits share.
#[derive(Debug)]
struct World {
    seed: u64,
    faults: Faults,
    viewers: u64,
    catalogue: Catalogue,
    adverts: Vec<Advert>,
}

impl World {
    fn new(options: &Options) -> Self {
        Self {
            seed: options.seed,
            faults: options.faults,
            viewers: options.events / EVENTS_PER_VIEWER + 20,
            catalogue: Catalogue::new(options),
            adverts: advert::book(options.seed),
        }
    }
}

/// The truth on its way out.
struct Truth<'a> {
    out: Option<&'a mut dyn Write>,
    told: Told,
}

impl Truth<'_> {
    /// Writes what was told if it is more than `bytes`.
    fn write(&mut self, bytes: usize) -> Result<()> {
        if self.told.text.len() <= bytes {
            return Ok(());
        }
        if let Some(out) = &mut self.out {
            let written = out.write_all(self.told.text.bytes()).and_then(|()| out.flush());
            written.map_err(|e| Error::io("cannot write the truth", e))?;
        }
        self.told.text.clear();
        Ok(())
    }
}

/// Hands over events, and new titles when their time comes.
struct Releases<'a> {
    catalogue: &'a Catalogue,
    /// Times (epoch ms) and videos of the titles still to change, the next one last.
    titles: Vec<(i64, usize)>,
    line: Text,
    videos: u64,
}

impl<'a> Releases<'a> {
    /// Writes the catalogue as it is at the start.
    fn new(catalogue: &'a Catalogue, sink: &mut dyn Sink) -> Result<Self> {
        let mut titles: Vec<(i64, usize)> = Vec::new();
        let mut line = Text::default();
        for (index, video) in catalogue.videos.iter().enumerate() {
            video.record(&mut line, false);
            sink.video(&video.id, line.bytes())?;
            titles.extend(video.renamed_ms.map(|at| (at, index)));
        }
        titles.sort_unstable();
        titles.reverse();
        Ok(Self { catalogue, titles, line, videos: catalogue.videos.len() as u64 })
    }

    fn until(
        &mut self,
        until: i64,
        topic: &mut Topic,
        sink: &mut dyn Sink,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        while let Some((at, index)) = self.titles.pop_if(|(at, _)| *at <= until) {
            topic.release(at, sink, progress)?;
            let video = &self.catalogue.videos[index];
            video.record(&mut self.line, true);
            sink.video(&video.id, self.line.bytes())?;
            self.videos += 1;
        }
        topic.release(until, sink, progress)
    }
}
