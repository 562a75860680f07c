//! Policies: what each role is asked, who answers, and what happens when the answer is missing or wrong.
//!
//! The domain types of a role ([`freshness`], [`eviction`], [`invalidation`]) know nothing of WebAssembly.

mod binding;
pub mod build;
mod check;
mod clamp;
mod consent;
mod engine;
mod error;
pub mod eviction;
mod fault;
pub mod freshness;
mod guest;
mod guest_text;
pub mod invalidation;
mod kept;
mod ledger;
pub mod native;
mod quarantine;
mod share;
mod tenant;
mod trial;
mod wit;

pub(crate) use consent::Consent;

pub use binding::{Binding, BoundBy, BoundInfo, Choice, Disinherited, Source, State};
pub use check::{COMPONENT_BYTES_MAX, Checked, LOG_INTERFACE, check};
pub use engine::{Engine, EngineConfig, EngineError};
pub use error::{BindError, OpenError};
pub use fault::{Fault, FaultKind, FaultReport};
pub use guest_text::GuestText;
pub use tenant::{Prepared, TenantPolicies};
pub use trial::{Tried, try_component};

use check::check_within;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How long a policy may take to be compiled and tried before it is bound. What takes longer is not bound.
pub const BIND_DEADLINE: Duration = Duration::from_secs(300);

/// Name of a component: 256 bits of BLAKE3 over its bytes. In text it is hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|error| format!("no digest: {error}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
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
    /// What to fetch before anyone asks. Nothing asks it yet: see [`Role::is_served`].
    Warming,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Freshness, Self::Eviction, Self::Invalidation, Self::Warming];

    /// Whether anything asks it. What nothing asks can't be bound.
    pub const fn is_served(self) -> bool {
        !matches!(self, Self::Warming)
    }

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
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| format!("there is no role `{name}`; the roles are {}", known()))
    }
}
