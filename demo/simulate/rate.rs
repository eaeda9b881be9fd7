//! How fast events are sent: `--rate 5000/s`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use engine::error::{Error, Result};
use engine::world::Stop;

/// Events may be early by so much. Waiting for each one alone would be all sleeping and waking.
const SLICE: Duration = Duration::from_millis(5);
/// Who waits for long looks so often whether to stop.
const NAP: Duration = Duration::from_millis(100);

/// So many events in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// At least one.
    events: u64,
    period: Duration,
}

impl Rate {
    /// Reads `5000/s`, `300/min`, `1000000/h`, or `5000`, which is per second.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit.trim() {
            "s" => Some(1),
            "min" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let events = number.trim().parse::<u64>().ok().filter(|events| *events > 0);
        match (events, seconds) {
            (Some(events), Some(seconds)) => {
                Ok(Self { events, period: Duration::from_secs(seconds) })
            }
            _ => Err(Error::usage(format!("--rate {text}: not a rate")).hint(
                "write how many events in a second, minute or hour: 5000/s, 300/min or 1000000/h",
            )),
        }
    }

    /// Events in a second, rounded up.
    pub(crate) fn per_second(self) -> u64 {
        self.events.div_ceil(self.period.as_secs())
    }

    /// When event number `n`, counted from 0, is due after the start.
    fn due(self, n: u64) -> Duration {
        let nanos = self.period.as_nanos() * u128::from(n) / u128::from(self.events);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Holds events back until they are due.
///
/// Times are counted from the first event, so errors do not add up: after a pause that somebody
/// else made, events come faster until they are on time again.
#[derive(Debug)]
pub(super) struct Schedule {
    rate: Rate,
    begun: Option<Instant>,
    events: u64,
}

impl Schedule {
    /// The schedule of a rate; it begins with the first event.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, begun: None, events: 0 }
    }

    /// Waits until the next event is due.
    pub(super) fn wait(&mut self, stop: &Stop) -> Result<()> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let due = self.rate.due(self.events);
        self.events += 1;
        loop {
            let early = due.saturating_sub(begun.elapsed());
            if early <= SLICE {
                return Ok(());
            }
            stop.check()?;
            sleep(early.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    #[test]
    fn a_rate_is_a_number_per_second_minute_or_hour() {
        assert_eq!(rate("5000/s"), rate("5000"));
        assert_eq!(rate("300/min").due(300), Duration::from_mins(1));
        assert_eq!(rate(" 1000000 / h ").due(500_000), Duration::from_mins(30));
        assert_eq!([rate("5000").per_second(), rate("90/min").per_second()], [5000, 2]);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "/s", "fast", "0", "0/s", "-5/s", "1.5/s", "5/d", "5/s/s", "5 /"] {
            let error = Rate::parse(text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().starts_with(&format!("--rate {text}:")), "{error}");
        }
    }

    #[test]
    fn events_are_evenly_spread_however_many() {
        let rate = rate("3/s");
        assert_eq!(rate.due(0), Duration::ZERO);
        assert_eq!(rate.due(1), Duration::from_nanos(333_333_333));
        assert_eq!(rate.due(3 << 33), Duration::from_secs(1 << 33));
    }

    #[test]
    fn no_event_comes_much_before_it_is_due() {
        let mut schedule = Schedule::new(rate("1000/s"));
        let begun = Instant::now();
        for n in 0..40 {
            schedule.wait(&Stop::default()).unwrap();
            assert!(begun.elapsed() + SLICE >= rate("1000/s").due(n), "event {n}");
        }
    }

    #[test]
    fn who_waits_for_long_can_be_stopped() {
        let stop = Stop::default();
        let mut schedule = Schedule::new(rate("1/h"));
        schedule.wait(&stop).unwrap();
        stop.ask();
        assert_eq!(schedule.wait(&stop).unwrap_err().exit_code(), 130);
    }
}
