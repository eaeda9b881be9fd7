//! The mark of a file: a hash of its start and its end, which tells a grown file from another one.
//!
//! It costs no more requests than a shorter one: a file of up to twice its bytes is in it as a whole.

use sha2::{Digest, Sha256};

/// Bytes of a file's start, and of its end.
pub const MARK_BYTES: u64 = 64 << 10;
/// Those of the marks that earlier versions made.
const OLD_BYTES: u64 = 4096;
/// What a mark begins with that holds [`MARK_BYTES`].
const WIDE: char = 'w';

/// The mark of a file's first and last bytes before an end.
pub fn mark(first: &[u8], last: &[u8]) -> String {
    // It is no secret, and nobody gains by two files of one mark.
    let seed = fold(0x243f_6a88_85a3_08d3, first);
    format!("{WIDE}{:016x}{:016x}", fold(seed, last), fold(!seed, last))
}

/// How many bytes of the start, and of the end, a mark holds.
pub fn mark_bytes(mark: &str) -> u64 {
    if mark.starts_with(WIDE) { MARK_BYTES } else { OLD_BYTES }
}

/// Whether a mark holds all bytes of a file.
pub fn holds_all(mark: &str, size: u64) -> bool {
    mark.starts_with(WIDE) && size <= 2 * MARK_BYTES
}

/// Whether a mark is that of these first and last bytes, as many as it holds.
pub fn is_marked(mark: &str, first: &[u8], last: &[u8]) -> bool {
    if mark.starts_with(WIDE) {
        return self::mark(first, last) == mark;
    }
    let digest = Sha256::new().chain_update(first).chain_update(last).finalize();
    hex::encode(&digest[..8]) == mark
}

/// A hash of bytes, a word at a time.
fn fold(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // Each step can be undone, so that another word anywhere gives another hash.
        let mixed = (state ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state = mixed ^ (mixed >> 32);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_of_the_first_and_last_bytes_changes_the_mark() {
        let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
        let before = mark(&bytes, &bytes);
        let mut marks = std::collections::BTreeSet::from([before.clone()]);
        for bit in 0..300 * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(marks.insert(mark(&other, &bytes)) && marks.insert(mark(&bytes, &other)));
        }
        assert!(is_marked(&before, &bytes, &bytes) && !is_marked(&before, &bytes, &bytes[1..]));
    }

    #[test]
    fn a_mark_of_an_earlier_version_holds_on() {
        let old = "ba7816bf8f01cfea";
        assert_eq!((mark_bytes(old), holds_all(old, 10)), (4096, false));
        assert!(is_marked(old, b"a", b"bc") && !is_marked(old, b"a", b"bd"));
        let new = mark(b"a", b"bc");
        assert_eq!((mark_bytes(&new), holds_all(&new, 131_072)), (65_536, true));
        assert!(!holds_all(&new, 131_073));
    }
}
