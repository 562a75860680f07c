//! What becomes of stored responses when something is written through the cache, chosen per class of targets. What each
//! strategy promises, and costs: `docs/strategies.md`.

use serde::{Deserialize, Serialize};

/// A strategy for writes: requests with an unsafe method (RFC 9110 section 9.2.1). In all but the last the origin takes the
/// write before the client is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Strategy {
    /// What is stored for the target is invalidated on this node and in its L2, and nothing else (RFC 9111 section 4.4): no
    /// policy is asked, no other node is told, nothing is waited for. Elsewhere entries live until their lifetime ends.
    Ttl,
    /// What the write made invalid is purged before the client is answered: the target, what the response names, and what the
    /// invalidation policy adds, on the other nodes as the class's consistency promises.
    #[default]
    Invalidate,
    /// As with `invalidate`; then the new representation is stored in L2 and L1 before the client is answered, so that the next
    /// reader finds it.
    WriteThrough,
    /// A PUT or a DELETE is held in a journal that survives a crash, and its client is answered; the origin gets it later, as
    /// often as it takes. Until then it is what readers on this node get. Then as with `invalidate`. What can't be held, a
    /// conditional write among it, goes to the origin first, behind what is held of its target.
    WriteBehind,
}

impl Strategy {
    /// The strategy's name in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::Invalidate => "invalidate",
            Self::WriteThrough => "write-through",
            Self::WriteBehind => "write-behind",
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
