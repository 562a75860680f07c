//! TLS of a listener: the certificates that it serves, which can be replaced while it runs, and the handshake.
//!
//! | file | what it has |
//! |---|---|
//! | `certificate.rs` | one certificate: its names, its key, what is odd about it |
//! | `files.rs` | reading the files that the settings name |
//! | `table.rs` | which certificate is served for a name, and what may be asked for on its connection |
//! | `handshake.rs` | the handshake, and the ways in which one fails |

mod certificate;
mod files;
mod handshake;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sandbar_base::Timestamp;

pub(crate) use self::files::Sessions;
pub(crate) use self::handshake::{Failed, handshake};
pub(crate) use self::table::{Secured, Table};
use super::config::{ConfigError, TlsConfig};

/// The certificates of a listener: their one owner, which replaces them as a whole or not at all.
pub(crate) struct Certificates {
    /// The section of the settings that names their files.
    section: &'static str,
    sessions: Sessions,
    table: ArcSwap<Table>,
}

/// What a reload has replaced on one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateChanges {
    /// The section of the settings that names the files: `gateway.tls` or `admin.tls`.
    pub section: &'static str,
    /// Certificates that were not served before, each as the names in it.
    pub added: Vec<String>,
    /// Certificates that are not served any more, each as the names in it.
    pub removed: Vec<String>,
    /// What is odd about those that are served now, a sentence each: one has expired, or has no name.
    pub notes: Vec<String>,
}

impl Certificates {
    /// The owner of certificates that were read from the files of `section`.
    pub(crate) fn new(section: &'static str, sessions: Sessions, table: Table) -> Self {
        Self { section, sessions, table: ArcSwap::from_pointee(table) }
    }

    /// The section of the settings that names the files.
    pub(crate) const fn section(&self) -> &'static str {
        self.section
    }

    /// A sentence for each certificate that is odd at this time.
    pub(crate) fn notes(&self, now: Timestamp) -> Vec<String> {
        self.table.load().notes(now)
    }

    /// Reads the files again and checks them, without serving anything of them yet. Sessions of before can be resumed
    /// with the certificates that are read.
    ///
    /// # Errors
    /// For the first file that can't be used.
    pub(crate) fn read(&self, config: &TlsConfig) -> Result<Table, ConfigError> {
        Table::read(self.section, config, &self.sessions)
    }

    /// Serves these certificates from the next handshake on, and says what that changes.
    pub(crate) fn replace(&self, table: Table, now: Timestamp) -> CertificateChanges {
        let old = self.table.swap(Arc::new(table));
        let new = self.table.load();
        let missing_in = |other: &Table, one: &Table| {
            let there: HashSet<_> = other.certificates().map(|certificate| certificate.digest()).collect();
            let missing = one.certificates().filter(|certificate| !there.contains(&certificate.digest()));
            missing.map(|certificate| certificate.names().to_string()).collect()
        };
        CertificateChanges {
            section: self.section,
            added: missing_in(&old, &new),
            removed: missing_in(&new, &old),
            notes: new.notes(now),
        }
    }

    /// The certificates that are served at the moment.
    fn now(&self) -> Arc<Table> {
        self.table.load_full()
    }
}
