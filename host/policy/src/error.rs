//! Why a policy can't be bound: a sentence for the tenant, who can mend most of the causes.

use std::path::PathBuf;

use super::contract::known_versions;
use super::{GuestText, Role};

/// Why a policy was not bound. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The component is too large.
    #[error("the component has {bytes} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// Size of the component.
        bytes: u64,
        /// The largest size that the engine takes.
        limit_bytes: u64,
    },
    /// The bytes are not a valid component, or not one that the engine can run.
    #[error("it is not a valid component: {0}")]
    Invalid(GuestText),
    /// The component imports something else than the log.
    #[error("it imports `{0}`; a policy may import nothing but `sandbar:policy/log@{known}`", known = known_versions())]
    ForbiddenImport(GuestText),
    /// The component was built against a version of the contract that this host does not speak.
    #[error(
        "it is built against `sandbar:policy@{0}`; this host speaks {known}: build it with the SDK of one of these, or upgrade the \
         host",
        known = known_versions()
    )]
    UnknownContract(GuestText),
    /// The component has no role.
    #[error("it has no role: it exports none of the interfaces of `sandbar:policy@{known}`", known = known_versions())]
    NoRole,
    /// The component has roles, but not the one that it was to be bound to.
    #[error("it has not the role {role}; it has {}", has(.roles))]
    LacksRole {
        /// The role asked for.
        role: Role,
        /// The roles that the component has.
        roles: Vec<Role>,
    },
    /// The policy refused its settings.
    #[error("it refuses its settings: {0}")]
    Settings(GuestText),
    /// The policy failed while it was given its settings.
    #[error("it failed while it was configured: {0}")]
    Faulted(super::Fault),
    /// There is no such stock policy.
    #[error("there is no stock {role} policy `{name}`; there are: {known}")]
    UnknownStock {
        /// The role asked for.
        role: Role,
        /// The name asked for.
        name: String,
        /// The names of the role's stock policies, separated by commas.
        known: String,
    },
    /// The stock policy exists as a component only: it is not compiled in.
    #[error("the {role} policy `{name}` is not compiled in; bind it as a guest (without `native`)")]
    NotNative {
        /// The role asked for.
        role: Role,
        /// The name asked for.
        name: String,
    },
    /// The file of the component can't be read.
    #[error("can't read the component {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The name that the policy was given can't be used.
    #[error("the name can't be used: {0}")]
    Name(&'static str),
    /// The role can't go back to the binding that was asked for.
    #[error("can't go back: {0}")]
    NoPast(String),
    /// There is no engine: this process runs native policies only.
    #[error("this process runs no guests: only native policies can be bound")]
    NoEngine,
    /// The host does not ask policies of this role yet: once bound, the policy would never be called.
    #[error("nothing asks a {0} policy yet, so none can be bound; it could only seem to be at work")]
    NotServed(Role),
    /// The host panicked while it compiled the component, made an instance of it or bound it.
    #[error("the host failed on it: {0}")]
    Panicked(GuestText),
    /// The policy could not be prepared in time. It is not bound, and will not be.
    #[error("it is not bound: to compile and to try it took longer than {limit_s} s; nothing has changed")]
    TooSlow {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// The caller who asked for the binding went away before it was made. The policy is not bound, and will not be.
    #[error("it is not bound: whoever asked for it went away meanwhile; nothing has changed")]
    Withdrawn,
    /// The tenant's settings have changed meanwhile, or a binding has while they were to be changed.
    #[error("the tenant's settings and its policies were changed at the same time; try again")]
    Changing,
    /// The binding could not be saved for the next start, which is not the tenant's to mend.
    #[error("can't keep the binding in {}: {error}", path.display())]
    NotKept {
        /// The directory in which the tenant's bindings are kept.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl From<super::Fault> for BindError {
    fn from(fault: super::Fault) -> Self {
        Self::Faulted(fault)
    }
}

impl BindError {
    /// Whether the tenant can mend the cause (a 4xx status), rather than the operator (a 5xx status).
    pub const fn is_tenants(&self) -> bool {
        match self {
            Self::NoEngine
            | Self::NotKept { .. }
            | Self::NotServed(_)
            | Self::TooSlow { .. }
            | Self::Withdrawn
            | Self::Changing => false,
            Self::Faulted(fault) => fault.is_the_policys(),
            _ => true,
        }
    }
}

/// Why the policies of a tenant can't be opened: a policy that its configuration names can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("its {role} policy ({named}): {reason}")]
pub struct OpenError {
    /// The role that the policy was configured for.
    pub role: Role,
    /// The policy as the configuration names it: a stock policy, or a file.
    pub named: String,
    /// Why the policy can't be bound.
    pub reason: BindError,
}

fn has(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}
