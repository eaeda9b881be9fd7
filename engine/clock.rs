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

    /// Days since 1970-01-01 UTC, as Arrow's `Date32` counts them.
    pub fn today(self) -> i32 {
        i32::try_from(self.now_us().div_euclid(86_400_000_000)).unwrap_or(i32::MAX)
    }
}

/// `us` microseconds since 1970 as RFC 3339 UTC, for messages.
pub fn rfc3339(us: i64) -> String {
    DateTime::from_timestamp_micros(us).map_or_else(
        || format!("{us} µs"),
        |time| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
    )
}
