//! The only reader of the time.

use chrono::{DateTime, Utc};

/// Tells the time, or a fixed time in tests.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Always this time, in microseconds since 1970-01-01 UTC.
    Fixed(i64),
}

impl Clock {
    /// Microseconds since 1970-01-01 UTC.
    pub fn now_us(self) -> i64 {
        match self {
            #[allow(clippy::disallowed_methods, reason = "this is the one place")]
            Self::System => Utc::now().timestamp_micros(),
            Self::Fixed(us) => us,
        }
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn now_ms(self) -> i64 {
        self.now_us().div_euclid(1000)
    }

    /// The time of day, to the second, for messages: `16:41:02Z`.
    pub fn time_of_day(self) -> String {
        let time = DateTime::from_timestamp_micros(self.now_us()).unwrap_or_default();
        time.format("%H:%M:%SZ").to_string()
    }
}

/// The UTC day of a moment in microseconds since 1970, in days since 1970 as Arrow's `Date32`.
pub fn day_of(us: i64) -> i32 {
    i32::try_from(us.div_euclid(86_400_000_000)).unwrap_or(i32::MAX)
}

/// Processor time that this thread has taken so far, in nanoseconds; `None` where the system does
/// not tell (Linux does).
pub fn thread_cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}
