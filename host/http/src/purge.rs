//! What a purge reaches, and how hard.

use serde::{Deserialize, Serialize};

use crate::key::{Target, TargetPrefix};

/// What a purge reaches. It never leaves its tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One target on one site, with all its variants, however it is spelled.
    Target(Target),
    /// Every target on one site that begins so; on every site where none is named.
    Prefix(TargetPrefix),
    /// Every entry with this surrogate key.
    SurrogateKey(String),
    /// Everything the tenant has.
    Everything,
}

/// What becomes of what a purge reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurgeMode {
    /// It is gone.
    #[default]
    Hard,
    /// It is stale from now on: it can still be served while it is validated, or when the origin fails.
    Soft,
}

/// One thing to purge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Purge {
    /// What it reaches.
    pub scope: Scope,
    /// How hard.
    pub mode: PurgeMode,
}
