//! The day's rhythm: when people watch.

const MINUTES: usize = 1440;
const DAY_MS: f64 = 86_400_000.0;

/// Relative viewing at each full hour UTC: a low at four, a bump at lunch, the peak in the evening.
const HOURS: [f64; 24] = [
    34.0, 22.0, 14.0, 10.0, 9.0, 11.0, 18.0, 28.0, 34.0, 36.0, 39.0, 45.0, 54.0, 53.0, 47.0, 48.0,
    56.0, 68.0, 84.0, 98.0, 104.0, 100.0, 80.0, 54.0,
];

/// Turns shares of all viewing into moments.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    /// Viewing from midnight to the end of each minute, as a share of the day's.
    until: Vec<f64>,
    start_ms: i64,
    total_days: f64,
}

impl Rhythm {
    /// A rhythm over `span_ms` from the midnight `start_ms` (epoch ms).
    pub(super) fn new(start_ms: i64, span_ms: i64) -> Self {
        let mut until = Vec::with_capacity(MINUTES);
        let mut sum = 0.0;
        for minute in 0..MINUTES {
            let (hour, part) = (minute / 60, (minute % 60) as f64 / 60.0);
            sum += HOURS[hour] * (1.0 - part) + HOURS[(hour + 1) % 24] * part;
            until.push(sum);
        }
        for share in &mut until {
            *share /= sum;
        }
        let mut rhythm = Self { until, start_ms, total_days: 0.0 };
        rhythm.total_days = rhythm.viewed(span_ms as f64 / DAY_MS);
        rhythm
    }

    /// The moment (epoch ms) before which this share of all viewing begins. It never goes back.
    pub(super) fn moment(&self, share: f64) -> i64 {
        let viewed = share * self.total_days;
        let day = viewed.floor();
        let rest = viewed - day;
        let minute = self.until.partition_point(|until| *until <= rest).min(MINUTES - 1);
        let before = if minute == 0 { 0.0 } else { self.until[minute - 1] };
        let part = ((rest - before) / (self.until[minute] - before)).clamp(0.0, 1.0);
        let of_day = (minute as f64 + part) / MINUTES as f64;
        self.start_ms + ((day + of_day) * DAY_MS) as i64
    }

    /// Viewing up to a time in days, in days' worth of it.
    fn viewed(&self, days: f64) -> f64 {
        let whole = days.floor();
        let minutes = (days - whole) * MINUTES as f64;
        let minute = (minutes as usize).min(MINUTES - 1);
        let before = if minute == 0 { 0.0 } else { self.until[minute - 1] };
        whole + before + (minutes - minute as f64) * (self.until[minute] - before)
    }
}
