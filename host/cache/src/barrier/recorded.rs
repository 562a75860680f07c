//! A purge as it is recorded and told.

use sandbar_base::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::Purge;

/// A purge as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// What it reaches and how hard.
    pub purge: Purge,
    /// Entries below it are behind the barrier.
    pub sequence: u64,
    /// When it was recorded.
    pub raised: Timestamp,
}
