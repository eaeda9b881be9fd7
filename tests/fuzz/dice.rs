//! Chance: what a case is made of, and how it is damaged. The same seed and number give the same case.

use rand::{Rng, RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Bytes that readers and parsers look for, and numbers at the ends of ranges.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\"\"",
    b"\\",
    b"\\\"",
    b"\\u0000",
    b"\\ud800",
    b"\\u",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{}",
    b"[]",
    b"}{",
    b"} {",
    b":",
    b",",
    b";",
    b"\t",
    b"|",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\x01",
    b"\x7f",
    b"\xff",
    b"\xfe\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x98\x80",
    b"\xc3",
    b"\xed\xa0\x80",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"-",
    b"-0",
    b"0",
    b"1e999",
    b"1e-999",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"4294967296",
    b"123456789012345678901234567890",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x08",
    b"PAR1",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"user_id",
    b"\"user_id\":\"",
    b"--",
    b"/*",
    b"*/",
    b"'",
    b"`",
    b"$$",
    b"(",
    b")",
    b"<",
    b">",
    b"0000-01-01T00:00:00Z",
    b"9999-12-31T23:59:59.999999Z",
];

/// A source of chance.
pub(crate) struct Dice(Pcg64Mcg);

impl Dice {
    /// The dice of one case.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mixed = u128::from(seed) << 64 | u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self(Pcg64Mcg::from_seed(mixed.to_le_bytes()))
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n.max(1))
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        self.0.random_range(from..=to)
    }

    /// Whether something happens that does once in `n` times.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of some things.
    pub(crate) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// Any 64 bits, small numbers more often than others.
    pub(crate) fn bits(&mut self) -> u64 {
        let bits = self.0.next_u64();
        bits >> self.below(64)
    }

    /// A length: mostly short, now and then up to `most`.
    pub(crate) fn length(&mut self, most: usize) -> usize {
        let most = most >> self.below(12);
        self.between(0, most)
    }

    /// A short text of some alphabets, also of bytes that need escapes.
    pub(crate) fn text(&mut self, most: usize) -> String {
        let alphabets: [&[char]; 4] = [
            &['a', 'b', 'Z', '0', '9', ' ', '_', '-', '.'],
            &['a', '"', '\\', '/', '\n', '\r', '\t', ',', ';', '{', '}', '[', ']', ':'],
            &['é', '日', '😀', '\u{feff}', 'ı', 'ß', '\u{202e}', 'a'],
            &['\0', '\u{1}', '\u{1f}', '\u{7f}', '\u{2028}', 'x', ' '],
        ];
        let alphabet = alphabets[if self.once_in(2) { 0 } else { self.below(4) }];
        (0..self.length(most)).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }

    /// Damages some bytes in one to six places; `others` are what parts may come from.
    pub(crate) fn damage(&mut self, bytes: &mut Vec<u8>, others: &[&[u8]]) {
        for _ in 0..self.between(1, 6) {
            self.damage_once(bytes, others);
        }
    }

    fn damage_once(&mut self, bytes: &mut Vec<u8>, others: &[&[u8]]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.length(4096)).min(bytes.len());
        match self.below(12) {
            0 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] ^= 1 << self.below(8);
            }
            1 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] = u8::try_from(self.below(256)).unwrap_or(0);
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                insert(bytes, to, &part);
            }
            4 => {
                let part = bytes[at..end].to_vec();
                let times = self.length(200);
                insert(bytes, at, &part.repeat(times.min(65_536 / part.len().max(1))));
            }
            5 | 6 if !others.is_empty() => {
                let other = self.one(others);
                let from = self.below(other.len() + 1);
                let to = (from + self.length(4096)).min(other.len());
                insert(bytes, at, &other[from..to]);
            }
            7 => {
                let token = self.one(TOKENS);
                let times = if self.once_in(20) { self.length(20_000) } else { 1 };
                insert(bytes, at, &token.repeat(times));
            }
            8 => {
                let end = (at + 4).min(bytes.len());
                let bits = self.bits().to_le_bytes();
                bytes[at..end].copy_from_slice(&bits[..end - at]);
            }
            9 => bytes.truncate(at),
            10 => {
                let token = self.one(TOKENS);
                let end = (at + token.len()).min(bytes.len());
                bytes.splice(at..end, token.iter().copied());
            }
            _ => {
                let token = self.one(TOKENS);
                insert(bytes, at, token);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}
