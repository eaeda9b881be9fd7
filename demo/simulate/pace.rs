//! When visits begin: so that the wanted number of events fills the wanted time.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

use super::rhythm::Rhythm;
use super::visit::{Told, Visit};
use super::{Options, World};

/// At most so many visits are lived through beforehand, to learn how many lines one sends.
const TRIALS: u64 = 300;
/// Trials are other visits than those of the run.
const TRIAL: u64 = 1 << 62;
/// Once the time is over, visits follow one another at no more than this share of it, since few
/// lines are still wanting; and in a very short run at that share of an hour.
const OVERTIME: f64 = 0.001;
const HOUR_MS: f64 = 3_600_000.0;

/// The turn of one visit after the other.
#[derive(Debug)]
pub(super) struct Pace {
    rhythm: Rhythm,
    events: f64,
    /// The share of all viewing for which visits have begun.
    share: f64,
    turn: i64,
    begun: u64,
    /// Visits that are over, and their lines.
    visits: u64,
    lines: u64,
}

impl Pace {
    /// The pace of a run; the first turn is its start.
    pub(super) fn new(world: &World, options: &Options) -> Self {
        let room = Rc::new(Cell::new(u64::MAX));
        let mut told = Told::default();
        let mut lines = 0;
        // A small run need not be met so well.
        let visits = (options.events / 100).clamp(10, TRIALS);
        for number in 0..visits {
            let mut visit = Visit::new(world, TRIAL + number, options.start_ms, &room);
            while visit.step(&mut told) {}
            lines += visit.lines();
            told.text.clear();
        }
        let rhythm = Rhythm::new(options.start_ms, options.span_ms);
        let (events, turn) = (options.events as f64, rhythm.moment(0.0));
        Self { rhythm, events, share: 0.0, turn, begun: 0, visits, lines }
    }

    /// When the next visit may begin (epoch ms).
    pub(super) fn turn(&self) -> i64 {
        self.turn
    }

    /// A visit took its turn.
    pub(super) fn begin(&mut self) {
        self.begun += 1;
        let mean = (self.lines as f64 / self.visits as f64).max(1.0);
        // What all visits so far are good for, by what is known now: early errors are made up for.
        let share = self.begun as f64 * mean / self.events;
        if self.share < 1.0 {
            self.share = share.clamp(self.share, 1.0);
            self.turn = self.rhythm.moment(self.share);
            return;
        }
        let step = (mean / self.events).min(OVERTIME);
        self.share += step;
        self.turn = self.rhythm.moment(self.share).max(self.turn + (step * HOUR_MS) as i64);
    }

    /// A visit is over after so many lines.
    pub(super) fn end(&mut self, lines: u64) {
        self.visits += 1;
        self.lines += lines;
    }
}

/// A visit that waits for its next event. Of two at the same moment the earlier visitor is first.
#[derive(Debug)]
pub(super) struct Ongoing<'w> {
    /// When it goes on (epoch ms), and its number.
    pub(super) due: (i64, u64),
    pub(super) visit: Box<Visit<'w>>,
}

impl<'w> Ongoing<'w> {
    /// A visit that has just begun.
    pub(super) fn new(visit: Visit<'w>, number: u64) -> Self {
        Self { due: (visit.now(), number), visit: Box::new(visit) }
    }
}

/// The earliest is the greatest, since a heap hands out the greatest first.
impl Ord for Ongoing<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Ongoing<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ongoing<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Ongoing<'_> {}
