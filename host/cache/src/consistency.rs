//! What an acknowledged purge or write promises about the other nodes of a fleet, chosen per class of targets. What
//! each mode promises where: `docs/consistency.md`.

use serde::{Deserialize, Serialize};

/// A mode of consistency, the weakest first: where an acknowledged purge has taken effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// On this node at once; on the others soon, or when the entry's lifetime ends.
    #[default]
    Eventual,
    /// On every node that hears the bus, within moments; the others bound the age of what they serve from memory.
    Bus,
    /// As with `bus`; besides, no older version of a response replaces a newer one in any tier.
    Versioned,
    /// On every live node before it is acknowledged; a node that can't reach the others serves from the origin alone.
    WriteAll,
}

impl Consistency {
    /// The mode's name in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::Bus => "bus",
            Self::Versioned => "versioned",
            Self::WriteAll => "write-all",
        }
    }

    /// Whether the mode promises anything about nodes other than the one that acknowledges.
    pub const fn reaches_beyond_the_node(self) -> bool {
        !matches!(self, Self::Eventual)
    }
}

impl std::fmt::Display for Consistency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
