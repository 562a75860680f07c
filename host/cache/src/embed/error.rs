//! Why a cache can't be made or used as it was asked for.

use sandbar_http::key::NoKey;
use sandbar_policy::{BindError, OpenError};

use crate::cache::{EventError, PutError, Roster, TenantChangeError};
use crate::hosts::HostError;
use crate::tenant::SettingsError;

/// Why a cache could not be built, or a tenant of it not be made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting of a tenant is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A host can't be used.
    #[error("the host {0}")]
    Hosts(HostError),
    /// Two tenants have one name.
    #[error("two tenants are called {0:?}: a name is part of every key, so each needs its own")]
    SameName(String),
    /// The tenant could not take the place of the one before it.
    #[error(transparent)]
    Change(TenantChangeError),
    /// A policy is for a tenant that there is not.
    #[error("a policy can't be bound: {0}")]
    UnknownTenant(UnknownTenant),
    /// A policy in the settings of a tenant says too much or too little.
    #[error("the tenant {tenant}: {reason}")]
    Choice {
        /// The tenant.
        tenant: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A policy of a tenant can't be bound.
    #[error("the tenant {tenant}: {reason}")]
    Policy {
        /// The tenant.
        tenant: String,
        /// The policy, and why it can't be bound.
        reason: OpenError,
    },
    /// The engine that runs guests can't be started.
    #[error("guests can't be run: {0}")]
    Engine(String),
    /// The L2 can't be opened.
    #[error("the L2 can't be opened: {0}")]
    L2(String),
    /// The origin in a tenant's settings can't be used.
    #[error("the origin of the tenant {tenant} can't be used: {reason}")]
    Origin {
        /// The tenant.
        tenant: String,
        /// Why the origin can't be used.
        reason: String,
    },
    /// The memory is too small for the cache's own tables.
    #[error("{0} bytes of memory are too few for the cache's own tables")]
    Memory(u64),
    /// The tenants' shares of L1 leave too little of the memory for all else.
    #[error(
        "the tenants' shares (l1) add up to {l1_bytes} bytes of {total_bytes}, and an eighth must be left for guests and bodies \
         under way: raise the one, or lower the others"
    )]
    Shares {
        /// The sum of the shares.
        l1_bytes: u64,
        /// All memory that the cache may have.
        total_bytes: u64,
    },
}

/// There is no tenant of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no tenant {name:?}; there are: {}", .known.join(", "))]
pub struct UnknownTenant {
    /// The name.
    pub name: String,
    /// The names of the tenants that there are.
    pub known: Vec<String>,
}

impl UnknownTenant {
    pub(super) fn among(roster: &Roster, name: &str) -> Self {
        let known = roster.all().iter().map(|tenant| tenant.name.to_string()).collect();
        Self { name: name.to_owned(), known }
    }
}

/// Why a policy was not bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// There is no tenant of that name.
    #[error(transparent)]
    Tenant(#[from] UnknownTenant),
    /// The policy can't be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Why nothing was stored or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no tenant of that name.
    #[error(transparent)]
    Tenant(#[from] UnknownTenant),
    /// The response may not be stored.
    #[error(transparent)]
    Put(#[from] PutError),
    /// Site and target make no key.
    #[error(transparent)]
    Key(#[from] NoKey),
}

/// Why an event has purged nothing, or not for sure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// There is no such tenant.
    #[error(transparent)]
    UnknownTenant(#[from] UnknownTenant),
    /// The tenant's policy could not be asked, or what it has purged is not recorded.
    #[error(transparent)]
    Event(#[from] EventError),
}
