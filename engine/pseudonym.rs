//! Personal ids become pseudonyms before they reach a table.
//!
//! A pseudonym is `<key id>:<32 hex digits>`: the first 128 bits of HMAC-SHA-256 over the id's
//! domain and the id. Equal ids have equal pseudonyms under one key, so joins still work; without
//! the key nobody can try ids out.

use std::collections::HashMap;
use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Remembered pseudonyms per domain: ids repeat within a session.
const REMEMBERED: usize = 1 << 15;

/// Makes pseudonyms under one key.
#[derive(Clone)]
pub struct Pseudonyms {
    mac: Hmac<Sha256>,
    key_id: String,
    remembered: Vec<HashMap<Box<[u8]>, Box<str>>>,
    domains: Vec<String>,
    /// Whether each id stands for itself.
    keeps_ids: bool,
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({})", self.key_id)
    }
}

impl Pseudonyms {
    /// Pseudonyms under `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(b"lake/key-id/").chain_update(key).finalize();
        Self {
            mac: keyed(key),
            key_id: hex::encode(&digest[..3]),
            remembered: Vec::new(),
            domains: Vec::new(),
            keeps_ids: false,
        }
    }

    /// Ids in the place of their pseudonyms, for what looks at them and keeps nothing.
    pub fn kept_ids() -> Self {
        Self { keeps_ids: true, ..Self::new(&[0; 32]) }
    }

    /// Which key this is, as each pseudonym begins: six hex digits that do not help to find it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The number of a domain, for [`Pseudonyms::of`].
    pub fn domain(&mut self, name: &str) -> usize {
        if let Some(known) = self.domains.iter().position(|domain| domain == name) {
            return known;
        }
        self.domains.push(name.to_owned());
        self.remembered.push(HashMap::new());
        self.domains.len() - 1
    }

    /// The pseudonym of `id` in a domain.
    pub fn of(&mut self, domain: usize, id: &[u8]) -> &str {
        let remembered = &mut self.remembered[domain];
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        if self.keeps_ids && !remembered.contains_key(id) {
            remembered.insert(id.into(), String::from_utf8_lossy(id).into());
        }
        if !remembered.contains_key(id) {
            let mut mac = self.mac.clone();
            mac.update(self.domains[domain].as_bytes());
            mac.update(&[0]);
            mac.update(id);
            let digest = mac.finalize().into_bytes();
            let text = format!("{}:{}", self.key_id, hex::encode(&digest[..16]));
            remembered.insert(id.into(), text.into());
        }
        &self.remembered[domain][id]
    }
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_are_equal_within_a_domain_and_key_only() {
        let (mut a, mut b) = (Pseudonyms::new(&[1; 32]), Pseudonyms::new(&[2; 32]));
        let (user, device) = (a.domain("user_id"), a.domain("device_id"));
        let first = a.of(user, b"u1").to_owned();
        assert_eq!(a.of(user, b"u1"), first);
        assert_ne!(a.of(device, b"u1"), first);
        let user = b.domain("user_id");
        assert_ne!(b.of(user, b"u1"), first);
        assert_eq!(first.len(), 6 + 1 + 32);
        assert_eq!(first.split_once(':').map(|(key, _)| key), Some(a.key_id()));
        assert_ne!(a.key_id(), b.key_id());
        assert!(!first.contains("u1"));
    }
}
