//! A barrier: a purge as it is recorded, and as other nodes are told of it.

use sandbar_base::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::Purge;

/// A purge as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// Which entries are purged, and whether hard or softly.
    pub purge: Purge,
    /// The purge's sequence: entries in its scope with a lower one are behind the barrier.
    pub sequence: u64,
    /// When it was recorded.
    pub raised: Timestamp,
}
