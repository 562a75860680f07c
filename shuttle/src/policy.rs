//! What the tier knows of policies, as in the host.

#[path = "../../host/src/policy/eviction.rs"]
pub mod eviction;

use std::fmt;

/// The digest of a component; there is none here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a policy did instead of answering.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault(String);

impl Fault {
    /// It failed.
    pub fn trap(trap: impl AsRef<str>) -> Self {
        Self(trap.as_ref().to_owned())
    }

    /// Its answer makes no sense.
    pub fn nonsense(reason: impl AsRef<str>) -> Self {
        Self(reason.as_ref().to_owned())
    }

    /// Whether the policy did something wrong: here always.
    pub const fn is_the_policys(&self) -> bool {
        true
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
