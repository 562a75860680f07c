//! What an acknowledged purge or write promises about the other nodes of a fleet, chosen per class of targets. What each
//! mode promises where: `docs/consistency.md`.

use serde::{Deserialize, Serialize};

/// What is promised, the weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// This node at once; the others soon, or when the entry ends.
    #[default]
    Eventual,
    /// Every node that hears the bus within moments; the others bound the age of what they serve from memory.
    Bus,
    /// As `bus`, and no older version takes the place of a newer one, in no tier.
    Versioned,
    /// Every live node, before it is acknowledged; one that can't say so to the others serves from the origin alone.
    WriteAll,
}

impl Consistency {
    /// The word for it in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::Bus => "bus",
            Self::Versioned => "versioned",
            Self::WriteAll => "write-all",
        }
    }

    /// Whether it promises anything about other nodes than the one that acknowledges.
    pub const fn reaches_beyond_the_node(self) -> bool {
        !matches!(self, Self::Eventual)
    }
}

impl std::fmt::Display for Consistency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
