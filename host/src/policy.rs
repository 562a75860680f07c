//! Policies: what each role is asked, who answers, and what happens when the answer is missing or wrong.
//!
//! The domain types of a role ([`freshness`], [`eviction`], [`invalidation`], [`warming`]) know nothing of WebAssembly.

pub mod eviction;
pub mod freshness;
pub mod invalidation;
pub mod warming;

use std::fmt;

use serde::{Deserialize, Serialize};

/// SHA-like name of a component: 256 bits of BLAKE3 over its bytes. Printed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of a component's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A question that a policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What may be stored and for how long.
    Freshness,
    /// What leaves when memory is full.
    Eviction,
    /// What a write makes invalid.
    Invalidation,
    /// What to fetch before anyone asks.
    Warming,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Freshness, Self::Eviction, Self::Invalidation, Self::Warming];

    /// Its name, as in WIT, configuration and API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Freshness => "freshness",
            Self::Eviction => "eviction",
            Self::Invalidation => "invalidation",
            Self::Warming => "warming",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a policy did instead of answering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It trapped.
    #[error("trapped: {0}")]
    Trap(String),
    /// It ran for longer than a call may.
    #[error("ran for more than {budget_us} us of processor time")]
    Deadline {
        /// The budget of one call in microseconds of the thread's processor time.
        budget_us: u64,
    },
    /// It wanted more memory than it may have.
    #[error("wanted more than {limit_bytes} bytes of memory")]
    Memory {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// Its answer makes no sense.
    #[error("nonsense: {0}")]
    Nonsense(String),
    /// There was no instance for it: the pool is used up.
    #[error("no instance: {0}")]
    NoInstance(String),
}
