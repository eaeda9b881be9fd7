//! Ends the process when a case hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::{Options, repeat};

/// A case that takes more of the processor hangs: on a busy machine the clock says nothing.
const SECONDS_MAX: u64 = 20;
/// A case that takes longer waits for something that never comes.
const WAIT_SECONDS_MAX: u64 = 300;
/// As Linux counts the time of a process.
const TICKS_PER_SECOND: u64 = 100;

/// Counts how long a case runs.
pub(crate) struct Watch(Arc<State>);

#[derive(Default)]
struct State {
    /// Of the case, counted from 1.
    number: AtomicU64,
    is_running: AtomicBool,
}

impl Watch {
    /// Starts to watch a target's cases.
    pub(crate) fn start(name: &str, options: &Options) -> Self {
        let state = Arc::new(State::default());
        let (watched, name, options) = (Arc::clone(&state), name.to_owned(), options.clone());
        std::thread::spawn(move || {
            let (mut last, mut since, mut waited) = (0, 0, 0);
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let number = watched.number.load(Ordering::Acquire);
                if number != last || !watched.is_running.load(Ordering::Acquire) {
                    (last, since, waited) = (number, processor_seconds(), 0);
                    continue;
                }
                waited += 1;
                let taken = processor_seconds() - since;
                if taken > SECONDS_MAX || waited > WAIT_SECONDS_MAX {
                    println!("{name}: a case hangs: {taken} s of the processor, {waited} s in all");
                    println!("{}", repeat(&name, &options, number - 1));
                    std::process::exit(1);
                }
            }
        });
        Self(state)
    }

    /// A case begins.
    pub(crate) fn begin(&self, number: u64) {
        self.0.number.store(number + 1, Ordering::Release);
        self.0.is_running.store(true, Ordering::Release);
    }

    /// It has ended.
    pub(crate) fn end(&self) {
        self.0.is_running.store(false, Ordering::Release);
    }
}

/// Seconds of the processor that this process has taken; 0 where Linux does not say.
fn processor_seconds() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything, the times are the 12th and 13th fields.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() / TICKS_PER_SECOND
}
