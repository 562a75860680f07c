//! Why a gateway did not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ConfigError;
use crate::origin::http::BadOrigin;
use crate::policy::{BindError, EngineError, Role};
use crate::tenant::SettingsError;
use crate::tier::TierError;

/// Why a gateway did not start: one sentence with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is taken.
    #[error("another program listens at {address} already; stop it, or choose another address with {setting}")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        setting: &'static str,
    },
    /// The address can't be listened at.
    #[error("can't listen at {address}: {reason}; choose another address with {setting}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        reason: String,
        /// What sets it.
        setting: &'static str,
    },
    /// The data directory can't be used.
    #[error("can't use the data directory {}: {reason}; make it writable, or choose another with data_dir or --data-dir", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The L2 can't be used at all.
    #[error("can't use the L2: {0}; mend the section [l2], or do without it (--l2 none)")]
    L2(#[from] TierError),
    /// There is no policy engine.
    #[error("{0}; lower policy.instances_max or policy.memory")]
    Engine(#[from] EngineError),
    /// A policy can't be bound.
    #[error(
        "tenant {tenant:?}: {source}; mend its [tenant.policy] tables, or try the policy with `sandbar policy check`"
    )]
    Policy {
        /// The tenant.
        tenant: String,
        /// Why not.
        source: BindError,
    },
    /// A binding is not written as one.
    #[error("tenant {tenant:?}, role {role}: {reason}")]
    Binding {
        /// The tenant.
        tenant: String,
        /// The role.
        role: Role,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// An origin can't be used at all.
    #[error("tenant {tenant:?}: {source}")]
    Origin {
        /// The tenant.
        tenant: String,
        /// Why not.
        source: BadOrigin,
    },
    /// A tenant's settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl StartError {
    /// Whether the settings are at fault, rather than what was found at the start.
    pub const fn is_config(&self) -> bool {
        matches!(
            self,
            Self::Config(_) | Self::Policy { .. } | Self::Binding { .. } | Self::Origin { .. } | Self::Settings(_)
        )
    }
}
