//! Ends the process when a case hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::{Options, repeat};

/// A case that takes longer hangs.
const SECONDS_MAX: u64 = 10;

/// Counts how long a case runs.
pub(crate) struct Watch(Arc<State>);

#[derive(Default)]
struct State {
    number: AtomicU64,
    ticks: AtomicU64,
    is_running: AtomicBool,
}

impl Watch {
    /// Starts to watch a target's cases.
    pub(crate) fn start(name: &str, options: &Options) -> Self {
        let state = Arc::new(State::default());
        let (watched, name, options) = (Arc::clone(&state), name.to_owned(), options.clone());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let is_running = watched.is_running.load(Ordering::Acquire);
                let ticks = watched.ticks.fetch_add(1, Ordering::AcqRel);
                if is_running && ticks > SECONDS_MAX {
                    let number = watched.number.load(Ordering::Acquire);
                    println!("{name}: a case hangs for {SECONDS_MAX} s");
                    println!("{}", repeat(&name, &options, number));
                    std::process::exit(1);
                }
            }
        });
        Self(state)
    }

    /// A case begins.
    pub(crate) fn begin(&self, number: u64) {
        self.0.number.store(number, Ordering::Release);
        self.0.ticks.store(0, Ordering::Release);
        self.0.is_running.store(true, Ordering::Release);
    }

    /// It has ended.
    pub(crate) fn end(&self) {
        self.0.is_running.store(false, Ordering::Release);
    }
}
