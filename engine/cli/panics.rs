//! Panics: a bug of ours or of a library, told in a line with its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::say;

/// Set by the second Ctrl-C: what breaks because the rest is gone is no news.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// What was not told when it happened, because somebody may catch it.
static WITHHELD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Libraries that read what others wrote, and break on some of it. Their panics are caught, and the
/// file is named; only where they end the program they are told.
const READERS: &[&str] = &["/parquet-", "/arrow-", "/csv-core-", "/flate2-", "/zstd-", "/ruzstd-"];

/// Tells every panic that nobody catches.
pub(super) fn report() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or("", |location| location.file());
        // delta-rs panics, and catches it, when it gives up an upload that has failed already.
        let is_caught =
            place.ends_with("object_store-0.13.2/src/buffered.rs") || engine::guard::is_guarded();
        if is_caught || GIVEN_UP.load(Ordering::SeqCst) {
            return;
        }
        let line = panic.location().map_or(0, std::panic::Location::line);
        let text = told(panic.payload_as_str().unwrap_or("no message"), place, line);
        if READERS.iter().any(|reader| place.contains(reader)) {
            WITHHELD.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        } else {
            say(&text);
        }
    }));
}

/// From now on nothing is told.
pub(super) fn give_up() {
    GIVEN_UP.store(true, Ordering::SeqCst);
}

/// Tells what was withheld: the program ends by it.
pub(super) fn tell_withheld() {
    let withheld = std::mem::take(&mut *WITHHELD.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(last) = withheld.last() {
        say(last);
    }
}

fn told(what: &str, file: &str, line: u32) -> String {
    // Whoever built the binary has another home folder.
    let file = file.split_once("/registry/src/").map_or(file, |(_, file)| file);
    format!(
        "error: lake broke at {file}:{line}: {what}\nhint: this is a bug: please report these lines and the command"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_a_line_with_its_place() {
        let own = told("index out of bounds", "engine/run.rs", 7);
        assert!(
            own.starts_with("error: lake broke at engine/run.rs:7: index out of bounds\nhint: ")
        );
        let foreign =
            "/home/me/.cargo/registry/src/index.crates.io-1/arrow-ipc-59.3.2/src/convert.rs";
        let told = told("no message", foreign, 198);
        assert!(told.contains("at index.crates.io-1/arrow-ipc-59.3.2/src/convert.rs:198: no"));
    }
}
