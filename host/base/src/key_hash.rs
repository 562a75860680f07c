//! The hash of a cache key.

use std::fmt;

/// 128 bits of BLAKE3 over a cache key's text. Two keys with the same hash can't be made on purpose; an entry carries
/// its key's text all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// The hash of a cache key's canonical text.
    pub fn of(text: &str) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        Self(u128::from_le_bytes(half))
    }

    /// A second hash for the same key: the complement of the first, which no text can be made to have.
    pub const fn apart(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
