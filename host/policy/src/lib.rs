//! Policies: what each role is asked, who answers, and what happens when the answer is missing or wrong.
//!
//! The domain types of a role ([`freshness`], [`eviction`], [`invalidation`]) know nothing of WebAssembly.

#![cfg_attr(
    not(feature = "wasm"),
    allow(dead_code, reason = "most of this is about guests, and native policies need no holding back")
)]

mod binding;
#[cfg(feature = "wasm")]
mod check;
mod clamp;
#[doc(hidden)]
pub mod conformance;
mod consent;
mod contract;
mod cpu_share;
#[cfg(feature = "wasm")]
mod engine;
mod engine_config;
mod error;
mod fault_report;
pub mod freshness;
#[cfg(feature = "wasm")]
mod guest;
mod history;
pub mod invalidation;
mod ledger;
#[cfg(not(feature = "wasm"))]
mod no_engine;
mod own;
mod quarantine;
mod saved;
mod tenant;
#[cfg(feature = "wasm")]
mod trial;

#[doc(hidden)]
pub use consent::Consent;
#[doc(hidden)]
pub use contract::ContractVersion;

pub use binding::{Binding, BindingState, BoundBy, BoundInfo, Choice, Disinherited, Source};
#[cfg(feature = "wasm")]
#[doc(hidden)]
pub use check::{Checked, check};
#[cfg(feature = "wasm")]
#[doc(hidden)]
pub use engine::{Engine, EngineError};
#[doc(hidden)]
pub use engine_config::COMPONENT_BYTES_MAX;
pub use engine_config::EngineConfig;
pub use error::{BindError, OpenError};
pub use fault_report::FaultReport;
#[doc(hidden)]
pub use history::{PastBinding, PolicyOrigin};
#[cfg(not(feature = "wasm"))]
#[doc(hidden)]
pub use no_engine::Engine;
pub use own::Own;
pub use sandbar_base::{Digest, Fault, FaultKind, GuestText};
// What an eviction policy is written with, as a guest or in the program's own code.
pub use sandbar_guest::{eviction, settings};
#[doc(hidden)]
pub use tenant::{KeptBelow, Prepared, TenantPolicies};
#[cfg(feature = "wasm")]
#[doc(hidden)]
pub use trial::{Tried, try_component};

#[cfg(feature = "wasm")]
use check::check_within;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a policy may take to be compiled and tried before it is bound. A policy that takes longer is not bound.
pub const BIND_DEADLINE: Duration = Duration::from_secs(300);

/// A role of policies: the question that they answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What may be stored and for how long it is fresh.
    Freshness,
    /// Which entries leave when memory is full.
    Eviction,
    /// What a write makes invalid.
    Invalidation,
    /// What to fetch before a client asks for it. The host asks no policy of this role yet: see [`Role::is_served`].
    Warming,
}

impl Role {
    /// All roles, those that are not served included.
    pub const ALL: [Self; 4] = [Self::Freshness, Self::Eviction, Self::Invalidation, Self::Warming];

    /// Whether the host asks policies of this role. For another role no policy can be bound.
    pub const fn is_served(self) -> bool {
        !matches!(self, Self::Warming)
    }

    /// The role's name, as in WIT, configuration and API.
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
