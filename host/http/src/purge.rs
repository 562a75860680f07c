//! A purge: its scope, and whether it is hard or soft.

use serde::{Deserialize, Serialize};

use crate::key::{Target, TargetPrefix};

/// Which entries a purge reaches: always entries of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One target on one site, with all its variants and all its equivalent spellings.
    Target(Target),
    /// Every target that begins with a prefix, on one site or on all.
    Prefix(TargetPrefix),
    /// Every entry with this surrogate key.
    SurrogateKey(String),
    /// Everything the tenant has.
    Everything,
}

impl Scope {
    /// Bytes of the text that names it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Target(target) => target.bytes(),
            Self::Prefix(prefix) => prefix.bytes(),
            Self::SurrogateKey(key) => key.len(),
            Self::Everything => 0,
        }
    }
}

/// What a purge does to the entries that it reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurgeMode {
    /// They are gone.
    #[default]
    Hard,
    /// They are stale from now on: they can still be served while they are validated, or when the origin fails.
    Soft,
}

/// One purge: a scope and a mode.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Purge {
    /// Which entries the purge reaches.
    pub scope: Scope,
    /// Whether they are removed or made stale.
    pub mode: PurgeMode,
}

impl Purge {
    /// Removes what a scope reaches.
    pub const fn hard(scope: Scope) -> Self {
        Self { scope, mode: PurgeMode::Hard }
    }

    /// Makes what a scope reaches stale.
    pub const fn soft(scope: Scope) -> Self {
        Self { scope, mode: PurgeMode::Soft }
    }

    /// Removes everything that the tenant has.
    pub const fn everything() -> Self {
        Self::hard(Scope::Everything)
    }

    /// Removes every entry with this surrogate key.
    pub fn surrogate_key(key: impl Into<String>) -> Self {
        Self::hard(Scope::SurrogateKey(key.into()))
    }
}
