//! TLS of a listener: the certificates that it serves, which can be replaced while it runs, and the handshake.
//!
//! | file | what it has |
//! |---|---|
//! | `certificate.rs` | one certificate: its names, its key, what is odd about it |
//! | `files.rs` | reading the files that the settings name |
//! | `table.rs` | which certificate is served for a name, and what may be asked for on its connection |
//! | `served.rs` | the certificates of both sides, replaced together or not at all |
//! | `handshake.rs` | the handshake, and the ways in which one fails |

mod certificate;
mod files;
mod handshake;
mod served;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sandbar_base::Timestamp;

use self::files::Sessions;
pub(crate) use self::handshake::{Failed, handshake};
pub(crate) use self::served::Served;
pub(crate) use self::table::Secured;
use self::table::Table;
use super::config::{ConfigError, TlsConfig};

/// The certificates of a listener: their one owner, which replaces them as a whole or not at all.
pub(crate) struct Certificates {
    /// The section of the settings that names their files.
    section: &'static str,
    sessions: Sessions,
    table: ArcSwap<Table>,
}

/// What was replaced on one listener.
#[derive(Debug)]
pub(crate) struct CertificateChanges {
    /// The section of the settings that names the files: `gateway.tls` or `admin.tls`.
    section: &'static str,
    /// Certificates that were not served before, each as the names in it.
    added: Vec<String>,
    /// Certificates that are not served any more, each as the names in it.
    removed: Vec<String>,
    /// Whether clients' certificates are of other authorities than before.
    has_other_authorities: bool,
}

impl CertificateChanges {
    /// A sentence for each change.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let Self { section, added, removed, has_other_authorities } = self;
        let gone = removed.iter().filter(|names| !added.contains(names));
        let added = added.iter().map(|names| format!("{section} serves a new one ({names})"));
        let gone = gone.map(|names| format!("{section} serves one no more ({names})"));
        let authorities = has_other_authorities.then(|| format!("{section} takes clients of other authorities"));
        added.chain(gone).chain(authorities).collect()
    }
}

impl Certificates {
    /// The owner of certificates that were read from the files of `section`.
    fn new(section: &'static str, sessions: Sessions, table: Table) -> Self {
        Self { section, sessions, table: ArcSwap::from_pointee(table) }
    }

    /// A sentence for each certificate that is odd at this time.
    fn notes(&self, now: Timestamp) -> Vec<String> {
        self.table.load().notes(now)
    }

    /// Reads the files again and checks them, without serving anything of them yet. Sessions of before can be resumed
    /// with the certificates that are read.
    ///
    /// # Errors
    /// For the first file that can't be used.
    fn read(&self, config: &TlsConfig) -> Result<Table, ConfigError> {
        Table::read(self.section, config, &self.sessions)
    }

    /// Serves these certificates from the next handshake on, and says what that changes. Where clients' certificates are of
    /// other authorities than before, connections that are open answer no new request, and end.
    fn replace(&self, table: Table) -> CertificateChanges {
        let (table, has_same_authorities) = table.after(&self.table.load());
        let old = self.table.swap(Arc::new(table));
        if !has_same_authorities {
            old.end_connections();
        }
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
            has_other_authorities: !has_same_authorities,
        }
    }

    /// The certificates that are served at the moment.
    fn now(&self) -> Arc<Table> {
        self.table.load_full()
    }
}
