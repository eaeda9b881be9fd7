//! Puts all devices' events into one order of arrival, as a topic would hold them.
//!
//! Only what is on its way is held, a few seconds of traffic and some stragglers: memory does not
//! grow with the length of a run.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::rc::Rc;

use engine::error::Result;

use super::Sink;
use super::recorder::{Envelope, Event};
use super::text::Text;

/// An event on its way. Those of equal arrival keep the order in which they were sent.
#[derive(Debug)]
struct Travelling {
    due: (i64, u64),
    load: Box<(Rc<Envelope>, Event)>,
}

/// The earliest is the greatest, since a heap hands out the greatest first.
impl Ord for Travelling {
    fn cmp(&self, other: &Self) -> Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Travelling {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Travelling {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Travelling {}

/// Everything that was sent and has not arrived.
#[derive(Debug, Default)]
pub(super) struct Topic {
    travelling: BinaryHeap<Travelling>,
    sent: u64,
    line: Text,
    /// Events that have arrived.
    pub(super) events: u64,
    /// Their bytes, newlines included.
    pub(super) bytes: u64,
}

impl Topic {
    /// Sends an event on its way.
    pub(super) fn add(&mut self, envelope: &Rc<Envelope>, event: Event) {
        let due = (event.received_ts, self.sent);
        self.sent += 1;
        let load = Box::new((Rc::clone(envelope), event));
        self.travelling.push(Travelling { due, load });
    }

    /// Hands over every event that arrives before `until` (epoch ms).
    pub(super) fn release(
        &mut self,
        until: i64,
        sink: &mut dyn Sink,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        while let Some(first) = self.travelling.peek_mut() {
            if first.due.0 >= until {
                break;
            }
            let (envelope, event) = *PeekMut::pop(first).load;
            write_line(&mut self.line, &envelope, &event);
            sink.event(&envelope.key, self.line.bytes())?;
            self.events += 1;
            self.bytes += self.line.len() as u64 + 1;
            progress(self.events)?;
        }
        Ok(())
    }
}

fn write_line(line: &mut Text, envelope: &Envelope, event: &Event) {
    line.clear();
    line.raw(b"{\"schema_version\":1");
    line.uuid("event_id", event.id);
    line.text("family", event.family);
    line.text("type", event.kind);
    line.time("event_ts", event.happened_ts);
    line.time("sent_ts", event.sent_ts);
    line.time("received_ts", event.received_ts);
    line.raw(&envelope.common);
    line.raw(&event.tail);
    line.close();
}
