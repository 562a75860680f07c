//! The reasons that events give.

use sandbar_memory::Removal;

use crate::not_stored::NotStored;

/// Why a stored response left memory (L1). It may still be in the L2, unless it was purged, ended or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Left {
    /// The eviction policy named it, to make room, while it was fresh.
    EvictedByPolicy,
    /// The host evicted it, in the order of insertion, while it was fresh: the policy was busy, failed, or named too few.
    EvictedByHost,
    /// It made room when its freshness lifetime was over, whoever evicted it. Stale responses stay until then: they can be
    /// confirmed by the origin, or served where that fails.
    Expired,
    /// It was not taken in: it was too large for its shard, or the eviction policy did not want it.
    NotAdmitted,
    /// A newer response for its key took its place.
    Replaced,
    /// It was purged by an operator or the program, or invalidated by a write; or it may have been, as this node did not hear
    /// the others of its fleet for a while.
    Purged,
    /// The origin no longer has it, or no longer lets it be stored.
    Ended,
    /// Another node has a newer version.
    Outdated,
    /// There was no memory for a newer response, and the older one must not be served in its place.
    NoRoom,
    /// The tenant's memory was emptied: by the program, as the tenant was removed, or as its other settings need fewer shards.
    Cleared,
}

impl Left {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EvictedByPolicy => "evicted-by-policy",
            Self::EvictedByHost => "evicted-by-host",
            Self::Expired => "expired",
            Self::NotAdmitted => "not-admitted",
            Self::Replaced => "replaced",
            Self::Purged => "purged",
            Self::Ended => "ended",
            Self::Outdated => "outdated",
            Self::NoRoom => "no-room",
            Self::Cleared => "cleared",
        }
    }

    /// Why an entry left, as memory tells it; `expired` says whether its freshness lifetime was over.
    pub(super) const fn of(why: sandbar_memory::Left, expired: bool) -> Self {
        use sandbar_memory::Left as Why;
        match why {
            Why::EvictedByPolicy | Why::EvictedByHost if expired => Self::Expired,
            Why::EvictedByPolicy => Self::EvictedByPolicy,
            Why::EvictedByHost => Self::EvictedByHost,
            Why::NotAdmitted => Self::NotAdmitted,
            Why::Replaced => Self::Replaced,
            Why::Removed(Removal::Purged) => Self::Purged,
            Why::Removed(Removal::Ended) => Self::Ended,
            Why::Removed(Removal::Outdated) => Self::Outdated,
            Why::Removed(Removal::NoRoom) => Self::NoRoom,
            Why::Removed(Removal::Cleared) => Self::Cleared,
        }
    }
}

/// Why a response of the origin was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unstored {
    /// For the reason that `Cache-Status` gave, too.
    Because(NotStored),
    /// It was purged while it was under way, or its tenant has other settings by now.
    Purged,
    /// Its body broke off.
    BrokenOff,
    /// It is a part that can't be kept together with the parts that are stored (RFC 9111 section 3.4).
    LonePart,
}

impl Unstored {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Because(why) => why.as_str(),
            Self::Purged => "purged",
            Self::BrokenOff => "broken-off",
            Self::LonePart => "lone-part",
        }
    }
}

impl From<NotStored> for Unstored {
    fn from(why: NotStored) -> Self {
        Self::Because(why)
    }
}
