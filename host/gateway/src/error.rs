//! The errors with which a gateway does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use sandbar::cache::RosterError;
use sandbar::owed::OwedError;
use sandbar::tenant::SettingsError;
use sandbar::tier::TierError;
use sandbar_policy::EngineError;

use super::ConfigError;
use super::tenants::KeptError;

/// Why a gateway did not start: one sentence with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It can't be read or kept which tenants there are.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// The tenants can't be in one cache.
    #[error(transparent)]
    Tenants(#[from] RosterError),
    /// Another program listens at the address.
    #[error("another program listens at {address} already; stop it, or choose another address with {setting}")]
    InUse {
        /// The address that is taken.
        address: SocketAddr,
        /// The setting and the flag that choose the address.
        setting: &'static str,
    },
    /// A socket that another program opened can't be listened at.
    #[error("the socket {name:?} was handed over, and can't be used: {reason}")]
    Socket {
        /// The name of the socket.
        name: String,
        /// Why the socket can't be used, and what to do.
        reason: String,
    },
    /// The process whose place this one was to take does not hand over.
    #[error("can't take over from the running process: {0}")]
    HandOver(String),
    /// The address can't be listened at.
    #[error("can't listen at {address}: {reason}; choose another address with {setting}")]
    Listen {
        /// The address that was tried.
        address: SocketAddr,
        /// The operating system's error.
        reason: String,
        /// The setting and the flag that choose the address.
        setting: &'static str,
    },
    /// TLS can't be spoken at all.
    #[error("TLS can't be spoken: {reason}; look whether the operating system gives random bytes")]
    Tls {
        /// What failed.
        reason: String,
    },
    /// The bound of the memory is too low for what is set aside at the start.
    #[error("memory.total = {} leaves no room for operators and tables; raise it", bytesize::ByteSize(*total_bytes))]
    NoRoom {
        /// The bound, in bytes, as set or found at the start.
        total_bytes: u64,
    },
    /// The data directory can't be used.
    #[error("can't use the data directory {}: {reason}; make it writable, or choose another with data_dir or --data-dir", path.display())]
    DataDir {
        /// The directory that was tried.
        path: PathBuf,
        /// The operating system's error.
        reason: String,
    },
    /// The L2 can't be used at all.
    #[error("can't use the L2: {0}; mend the section [l2], or do without it (--l2 none)")]
    L2(TierError),
    /// The journal of held writes can't be opened.
    #[error("can't hold writes: {0}")]
    Journal(OwedError),
    /// The fleet can't be joined at all.
    #[error(
        "can't act together with other nodes: {0}; mend the section [fleet], or turn it off (fleet.enabled = false)"
    )]
    Fleet(TierError),
    /// The Redis that nodes rely on may evict the keys of purges, bus and leases.
    #[error(
        "consistency = \"{strictest}\" can't be kept: the Redis of the fleet evicts any key (maxmemory-policy {policy}), \
         purges too; set volatile-lru there, name another Redis with fleet.control_url, or use consistency = \"eventual\""
    )]
    Forgetful {
        /// The strictest consistency that a class promises.
        strictest: sandbar::consistency::Consistency,
        /// The server's `maxmemory-policy`.
        policy: String,
    },
    /// The policy engine can't be made.
    #[error("{0}; lower policy.instances_max or policy.memory")]
    Engine(EngineError),
    /// A tenant's settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl From<TierError> for StartError {
    fn from(error: TierError) -> Self {
        Self::L2(error)
    }
}

impl From<EngineError> for StartError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl StartError {
    /// Whether the settings are at fault, rather than what was found at the start.
    pub const fn is_config(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Settings(_) | Self::Forgetful { .. } | Self::Socket { .. })
    }
}
