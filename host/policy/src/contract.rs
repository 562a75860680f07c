//! The versions of the contract between host and guests that this host speaks, and the names of their interfaces.
//!
//! A version is never removed: components that were built against it must load after each upgrade of the host. To add a
//! version, add its folder below `wit/`, its line here, and a module of `engine/wit` that translates it; without that
//! module the host does not compile.

use crate::Role;

/// A released version of the package `sandbar:policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractVersion {
    /// The first release.
    V0_1_0,
    /// A made-up older version, which shows in tests what becomes of components that were built against an old one.
    #[cfg(test)]
    V0_0_9,
}

impl ContractVersion {
    /// All versions, the newest first.
    pub const ALL: &[Self] = &[
        Self::V0_1_0,
        #[cfg(test)]
        Self::V0_0_9,
    ];

    /// The version as the names of its interfaces have it: `0.1.0`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            #[cfg(test)]
            Self::V0_0_9 => "0.0.9",
        }
    }

    /// The interface that a component exports to have a role.
    pub(crate) fn interface(self, role: Role) -> String {
        format!("{PACKAGE}{role}@{}", self.as_str())
    }

    /// The one interface that a policy may import.
    pub(crate) fn log_interface(self) -> String {
        format!("{PACKAGE}log@{}", self.as_str())
    }
}

/// What the names of all interfaces of the contract begin with.
const PACKAGE: &str = "sandbar:policy/";

/// The version in the name of an interface of the contract, where this host does not speak that version.
pub(crate) fn unknown_version(interface: &str) -> Option<&str> {
    let (_, version) = interface.strip_prefix(PACKAGE)?.split_once('@')?;
    (!ContractVersion::ALL.iter().any(|known| known.as_str() == version)).then_some(version)
}

/// The versions that this host speaks, separated by commas: for an error message.
pub(crate) fn known_versions() -> String {
    ContractVersion::ALL.iter().map(|version| version.as_str()).collect::<Vec<_>>().join(", ")
}
