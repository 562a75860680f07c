//! Why a policy can't be bound: always the tenant's to mend, so always a sentence for the tenant.

use std::path::PathBuf;

use super::{GuestText, Role};

/// Why a policy was not bound. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// It is too large.
    #[error("the component has {bytes} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// It is no valid component.
    #[error("it is not a valid component: {0}")]
    Invalid(GuestText),
    /// It wants to call what no policy may.
    #[error("it imports `{0}`; a policy may import nothing but `sandbar:policy/log@0.1.0`")]
    ForbiddenImport(GuestText),
    /// It has no role.
    #[error("it has no role: it exports none of the interfaces of `sandbar:policy@0.1.0`")]
    NoRole,
    /// It has not the role, but others.
    #[error("it has not the role {role}; it has {}", has(.roles))]
    LacksRole {
        /// The role asked for.
        role: Role,
        /// Those it has.
        roles: Vec<Role>,
    },
    /// It refused its settings.
    #[error("it refuses its settings: {0}")]
    Settings(GuestText),
    /// It failed while it was asked whether it takes its settings.
    #[error("it failed while it was configured: {0}")]
    Faulted(super::Fault),
    /// There is no such stock policy.
    #[error("there is no stock {role} policy `{name}`; there are: {known}")]
    UnknownStock {
        /// The role asked for.
        role: Role,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// It is not compiled in.
    #[error("the {role} policy `{name}` is not compiled in; bind it as a guest (without `native`)")]
    NotNative {
        /// The role asked for.
        role: Role,
        /// The name asked for.
        name: String,
    },
    /// The file can't be read.
    #[error("can't read the component {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// There is no engine: this process runs native policies only.
    #[error("this process runs no guests: only native policies can be bound")]
    NoEngine,
    /// Nothing asks a policy of the role yet: bound, it would never be called.
    #[error("nothing asks a {0} policy yet, so none can be bound; it could only seem to be at work")]
    NotServed(Role),
    /// The host failed while it compiled it, made an instance of it or bound it.
    #[error("the host failed on it: {0}")]
    Panicked(GuestText),
    /// It could not be prepared in time. It is not bound, and will not be.
    #[error("it is not bound: to compile and to try it took longer than {limit_s} s; nothing has changed")]
    TooSlow {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// Whoever wanted it bound has gone away before it was. It is not bound, and will not be.
    #[error("it is not bound: whoever asked for it went away meanwhile; nothing has changed")]
    Withdrawn,
    /// It could not be kept for the next start. The host's trouble, not the tenant's.
    #[error("can't keep the binding in {}: {error}", path.display())]
    NotKept {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

impl From<super::Fault> for BindError {
    fn from(fault: super::Fault) -> Self {
        Self::Faulted(fault)
    }
}

impl BindError {
    /// Whether the tenant can mend it (a 4xx status), rather than the operator (a 5xx status).
    pub const fn is_tenants(&self) -> bool {
        match self {
            Self::NoEngine | Self::NotKept { .. } | Self::NotServed(_) | Self::TooSlow { .. } | Self::Withdrawn => {
                false
            }
            Self::Faulted(fault) => fault.is_the_policys(),
            _ => true,
        }
    }
}

/// Why the policies of a tenant can't be opened: one that the settings name can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("its {role} policy ({named}): {reason}")]
pub struct OpenError {
    /// The role it was to take.
    pub role: Role,
    /// The policy as the settings name it: a stock policy, or a file.
    pub named: String,
    /// Why it can't be bound.
    pub reason: BindError,
}

fn has(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}
