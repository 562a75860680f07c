//! What a change of settings has done, or why it was not made.

use std::collections::BTreeMap;
use std::fmt;

use sandbar::cache::TenantChangeError;
use sandbar::tier::TierError;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::error::StartError;
use crate::tenants::KeptError;

/// What a reload has changed. Values are not told: some are secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reloaded {
    /// Settings that hold from now on.
    pub changed: Vec<String>,
    /// Settings that differ from those that hold, and will not before a restart.
    pub needs_restart: Vec<String>,
    /// Tenants that there are from now on.
    pub added: Vec<String>,
    /// Tenants that are gone.
    pub removed: Vec<String>,
    /// Tenants with other settings, and which settings these are.
    pub tenants: BTreeMap<String, Vec<String>>,
    /// Which certificates are served from the next handshake on, and which are no more: sentences such as
    /// `gateway.tls serves a new one (shop.example)`.
    pub certificates: Vec<String>,
    /// Tenants of the file that are not served as it says: one of that name was made over the admin API.
    pub outranked: Vec<String>,
}

impl Reloaded {
    /// Whether all was as before.
    pub fn is_nothing(&self) -> bool {
        let Self { changed, needs_restart, added, removed, tenants, certificates, outranked: _ } = self;
        let lists = [changed, needs_restart, added, removed, certificates];
        lists.iter().all(|list| list.is_empty()) && tenants.is_empty()
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut part = |what: &str, names: &[String]| {
            if !names.is_empty() {
                parts.push(format!("{what}: {}", names.join(", ")));
            }
        };
        part("changed", &self.changed);
        part("tenants added", &self.added);
        part("tenants removed", &self.removed);
        let tenants: Vec<_> = self.tenants.iter().map(|(name, keys)| format!("{name} ({})", keys.join(", "))).collect();
        part("tenants changed", &tenants);
        part("certificates", &self.certificates);
        part("needs a restart", &self.needs_restart);
        part("outranked by tenants that were made over the admin API", &self.outranked);
        if parts.is_empty() {
            return f.write_str("nothing has changed");
        }
        f.write_str(&parts.join("; "))
    }
}

/// Why settings were not changed; those of before hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The gateway was started with settings that came from no file.
    #[error("the settings came from no file that could be read again; start the gateway with --config FILE")]
    NoSource,
    /// The settings can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// They are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// They can't work on this machine.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The tenants could not be changed.
    #[error(transparent)]
    Tenants(#[from] TenantChangeError),
    /// It could not be kept which tenants there are.
    #[error(transparent)]
    NotKept(#[from] KeptError),
    /// Another process takes this one's place.
    #[error("the gateway is being upgraded, and nothing is changed meanwhile; try again in a moment")]
    Upgrading,
    /// The change failed in a way that it should not.
    #[error("{0}")]
    Failed(String),
    /// There is no such tenant that was made over the admin API.
    #[error("no tenant {0:?} was made over the admin API")]
    NotMade(String),
    /// The tenant is the configuration file's.
    #[error("the tenant {0:?} is the configuration file's; take it out there and reload")]
    OfFile(String),
    /// The register of the fleet can't be read or written.
    #[error(
        "the fleet can't be told: {0}; bring its Redis back and repeat the request (where it was recorded all the same, this \
         node and the others apply it on their own)"
    )]
    Fleet(TierError),
    /// Another change of the tenant came first.
    #[error(
        "the tenant {tenant:?} was changed over the API of {by} meanwhile; read its settings again, then repeat the request"
    )]
    Overtaken {
        /// The tenant.
        tenant: String,
        /// The node over whose API that was.
        by: String,
    },
    /// The settings are not those that the request is meant for.
    #[error(
        "the settings of the tenant {0:?} are not those that If-Match names, here or, where GET /tenants has it among the \
         unapplied, in the fleet; read them again, then repeat the request with their ETag"
    )]
    Unseen(String),
    /// The change is recorded for the fleet, and could not be made on this node.
    #[error("it is recorded for the fleet, and could not be made on this node, which tries again: {0}")]
    Recorded(String),
}

impl ReloadError {
    /// Whether whoever wrote the settings can mend it, rather than who runs the machine.
    pub const fn is_of_settings(&self) -> bool {
        match self {
            Self::Config(_) | Self::NoSource | Self::Unreadable(_) | Self::NotMade(_) | Self::OfFile(_) => true,
            Self::Tenants(error) => matches!(error, TenantChangeError::Roster(_)),
            Self::Start(error) => error.is_config(),
            Self::Overtaken { .. } | Self::Unseen(_) => true,
            Self::NotKept(_) | Self::Upgrading | Self::Failed(_) | Self::Fleet(_) | Self::Recorded(_) => false,
        }
    }
}
