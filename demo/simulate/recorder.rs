//! What one device records and sends: batches, the network, and everything that goes wrong there.
//!
//! Faults change what arrives and never what happened, so the truth needs no knowledge of them.

use std::cell::Cell;
use std::rc::Rc;

use super::Faults;
use super::dice::{Dice, Use};
use super::text::Text;
use super::topic::Topic;

/// A batch leaves when its first event is this old, or at the end of a playback or visit.
const FLUSH_MS: i64 = 5_000;
/// A device's clock is wrong by at most this much.
const SKEW_MS: i64 = 3 * 3_600_000;

/// What all events of a visit share.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The session id: the record's key.
    pub(super) key: String,
    /// The members of the envelope from `session_id` on.
    pub(super) common: Vec<u8>,
}

/// One event as it travels. Times are epoch ms; the first two are the device's.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) happened_ts: i64,
    pub(super) sent_ts: i64,
    pub(super) received_ts: i64,
    pub(super) id: u128,
    pub(super) family: &'static str,
    pub(super) kind: &'static str,
    /// Its own members, after those of the envelope.
    pub(super) tail: Box<[u8]>,
    twice: bool,
}

/// The lines that are still wanted, by all recorders together.
pub(super) type Room = Rc<Cell<u64>>;

/// The device's memory of what it has not sent yet.
#[derive(Debug)]
pub(super) struct Recorder {
    faults: Faults,
    fault: Dice,
    delivery: Dice,
    skew_ms: i64,
    room: Room,
    lines: u64,
    envelope: Rc<Envelope>,
    unsent: Vec<Event>,
    tail: Text,
}

impl Recorder {
    /// The recorder of visit `number`.
    pub(super) fn new(
        faults: Faults,
        seed: u64,
        number: u64,
        room: &Room,
        envelope: Envelope,
    ) -> Self {
        let mut fault = Dice::new(seed, Use::Fault, number);
        let skewed = fault.chance(faults.skew);
        Self {
            faults,
            skew_ms: if skewed { fault.between(-SKEW_MS, SKEW_MS) } else { 0 },
            fault,
            delivery: Dice::new(seed, Use::Delivery, number),
            room: Rc::clone(room),
            lines: 0,
            envelope: Rc::new(envelope),
            unsent: Vec::new(),
            tail: Text::default(),
        }
    }

    /// No more lines are wanted: the app stops dead at this moment.
    pub(super) fn is_full(&self) -> bool {
        self.room.get() == 0
    }

    /// The lines recorded so far, duplicates included.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Records an event that happened at `at` (epoch ms, never before the one recorded last).
    pub(super) fn record(
        &mut self,
        at: i64,
        family: &'static str,
        kind: &'static str,
        members: impl FnOnce(&mut Text),
    ) {
        let room = self.room.get();
        if room == 0 {
            return;
        }
        let id = self.delivery.uuid(at);
        if self.fault.chance(self.faults.lose) {
            return;
        }
        let twice = self.fault.chance(self.faults.duplicate) && room >= 2;
        let lines = 1 + u64::from(twice);
        self.lines += lines;
        self.room.set(room - lines);
        self.tail.clear();
        members(&mut self.tail);
        let tail = self.tail.bytes().into();
        let (sent_ts, received_ts) = (at, at);
        self.unsent.push(Event {
            happened_ts: at,
            sent_ts,
            received_ts,
            id,
            family,
            kind,
            tail,
            twice,
        });
    }

    /// Sends the batches that are due at `now` (epoch ms).
    pub(super) fn flush(&mut self, now: i64, topic: &mut Topic) {
        while let Some(first) = self.unsent.first() {
            let mut leaves = first.happened_ts + FLUSH_MS;
            let mut len =
                self.unsent.iter().take_while(|event| event.happened_ts <= leaves).count();
            let ends = |event: &Event| matches!(event.kind, "stop" | "session_end");
            if let Some(last) = self.unsent[..len].iter().position(ends) {
                len = last + 1;
                leaves = self.unsent[last].happened_ts;
            } else if leaves > now {
                return;
            }
            self.send(len, leaves, topic);
        }
    }

    /// Sends everything: the visit is over.
    pub(super) fn flush_all(&mut self, topic: &mut Topic) {
        self.flush(i64::MAX, topic);
    }

    /// Sends the first `len` events as one batch that leaves at about `leaves` (epoch ms).
    fn send(&mut self, len: usize, leaves: i64, topic: &mut Topic) {
        let sent_ts = leaves + self.delivery.between(0, 40);
        let received_ts = sent_ts + 20 + self.delivery.wait(60).min(3_000);
        for mut event in self.unsent.drain(..len) {
            event.happened_ts += self.skew_ms;
            event.sent_ts = sent_ts + self.skew_ms;
            event.received_ts = received_ts;
            let dice = &mut self.fault;
            if dice.chance(self.faults.delay) {
                // A factor, not a distance: minutes are as common as hours.
                let delay = dice.spread(600_000.0, 1.2).clamp(60_000.0, 2e7) as i64;
                postpone(&mut event, delay, dice);
            } else if dice.chance(self.faults.reorder) {
                event.received_ts += dice.between(500, 8_000);
            }
            if event.twice {
                let mut copy = event.clone();
                let delay = dice.spread(30_000.0, 1.5).clamp(200.0, 7_200_000.0) as i64;
                postpone(&mut copy, delay, dice);
                topic.add(&self.envelope, copy);
            }
            topic.add(&self.envelope, event);
        }
    }
}

/// Half of what is late waited on the device, half on the way.
fn postpone(event: &mut Event, delay_ms: i64, dice: &mut Dice) {
    event.received_ts += delay_ms;
    event.sent_ts += if dice.chance(0.5) { delay_ms } else { 0 };
}
