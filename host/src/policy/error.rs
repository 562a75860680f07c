//! Why a policy can't be bound: always the tenant's to mend, so always a sentence for the tenant.

use std::path::PathBuf;

use super::Role;

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
    Invalid(String),
    /// It wants to call what no policy may.
    #[error("it imports `{0}`; a policy may import nothing but `sandbar:policy/log@0.1.0`")]
    ForbiddenImport(String),
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
    Settings(String),
    /// It failed while it was asked whether it takes its settings.
    #[error("it failed while it was configured: {0}")]
    Faulted(#[from] super::Fault),
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
    /// The host failed while it bound it.
    #[error("the host failed: {0}")]
    Panicked(String),
    /// It could not be kept for the next start. The host's trouble, not the tenant's.
    #[error("can't keep the binding in {}: {error}", path.display())]
    NotKept {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

impl BindError {
    /// Whether the tenant can mend it (a 4xx status), rather than the operator (a 5xx status).
    pub const fn is_tenants(&self) -> bool {
        !matches!(self, Self::NoEngine | Self::NotKept { .. } | Self::Faulted(super::Fault::NoInstance(_)))
    }
}

fn has(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}
