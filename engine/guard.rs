//! Libraries that give up by panicking, at a damaged file or an odd value: that is an error of the
//! file or the record, and the run goes on.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread is caught and told as an error of what was read, so that it
/// is no news.
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

/// What `work` returns; `None` if it panics.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    IS_GUARDED.set(before);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_known_to_be() {
        assert!(!is_guarded());
        assert_eq!(guarded(|| guarded(is_guarded)), Some(Some(true)));
        let broken: Option<u8> = guarded(|| [1_u8][std::hint::black_box(1)]);
        assert_eq!(broken, None);
        assert!(!is_guarded());
    }
}
