//! Sends simulated records to two Kafka topics: the events, and the catalogue beside them.
//!
//! The catalogue has arrived before the first event is sent: who reads both topics finds each video
//! before it is watched.

use engine::error::{Error, Result};
use engine::kafka::Producer;
use engine::settings::Settings;
use engine::world::Stop;

use super::Sink;
use super::rate::{Rate, Schedule};

/// A topic of events and one of videos.
#[derive(Debug)]
pub(crate) struct KafkaSink {
    producer: Producer,
    events: String,
    videos: String,
    schedule: Option<Schedule>,
    stop: Stop,
    /// Whether the first event was sent.
    begun: bool,
}

impl KafkaSink {
    /// Connects, and makes the topics that are not there yet.
    ///
    /// Without a rate events are sent as fast as they are made. The catalogue always is.
    pub(crate) fn connect(
        settings: &Settings,
        topic: &str,
        partitions: i32,
        rate: Option<Rate>,
        stop: Stop,
    ) -> Result<Self> {
        let (events, videos) = (topic.to_owned(), catalogue_topic(topic)?);
        let producer = Producer::connect(settings)?;
        for topic in [&videos, &events] {
            producer.ensure_topic(topic, partitions)?;
        }
        let schedule = rate.map(Schedule::new);
        Ok(Self { producer, events, videos, schedule, stop, begun: false })
    }
}

/// Records have the time of their sending: by the time of a simulated past, a topic would drop them
/// at once as too old to keep.
impl Sink for KafkaSink {
    fn event(&mut self, key: &str, line: &[u8]) -> Result<()> {
        if !self.begun {
            self.producer.flush()?;
            self.begun = true;
        }
        if let Some(schedule) = &mut self.schedule {
            schedule.wait(&self.stop)?;
        }
        self.producer.send(&self.events, key.as_bytes(), line, None)
    }

    fn video(&mut self, key: &str, line: &[u8]) -> Result<()> {
        self.producer.send(&self.videos, key.as_bytes(), line, None)
    }

    /// Waits until every record has arrived.
    fn finish(&mut self) -> Result<()> {
        self.producer.flush()
    }
}

/// The topic of videos beside a topic of events: `test-events` has `test-videos`.
fn catalogue_topic(events: &str) -> Result<String> {
    let videos = format!("{}videos", events.strip_suffix("events").unwrap_or_default());
    if videos == events {
        return Err(Error::usage(format!("topic `{events}` is where the catalogue goes"))
            .hint("name the topic of the events: kafka:events"));
    }
    Ok(videos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_a_topic_beside_the_events() {
        for (events, videos) in [
            ("events", "videos"),
            ("test-events", "test-videos"),
            ("eu.events", "eu.videos"),
            ("plays", "videos"),
            ("events-2", "videos"),
        ] {
            assert_eq!(catalogue_topic(events).unwrap(), videos, "{events}");
        }
        assert_eq!(catalogue_topic("videos").unwrap_err().exit_code(), 2);
    }
}
