//! The certificates of both sides of a gateway, read together, and replaced together or not at all.

use std::sync::Arc;

use sandbar_base::Timestamp;

use super::files::Sessions;
use super::table::Table;
use super::{CertificateChanges, Certificates};
use crate::StartError;
use crate::config::{ADMIN_TLS, ConfigError, GATEWAY_TLS, GatewayConfig, TlsConfig};

/// The certificates that are served.
#[derive(Clone, Default)]
pub(crate) struct Served {
    /// Those that clients are shown; none where they are not listened for over TLS.
    pub(crate) clients: Option<Arc<Certificates>>,
    /// Those that operators are shown; none where they are not listened for over TLS.
    pub(crate) operators: Option<Arc<Certificates>>,
}

impl Served {
    /// Reads the certificates that the settings name, for listeners that are to be opened.
    ///
    /// # Errors
    /// For the first file that can't be used.
    pub(crate) fn open(config: &GatewayConfig) -> Result<Self, StartError> {
        let mut served = Self::default();
        for (section, settings) in config.tls_sections() {
            let side = if section == ADMIN_TLS { &mut served.operators } else { &mut served.clients };
            *side = Some(Arc::new(opened(section, settings, config)?));
        }
        Ok(served)
    }

    /// A sentence for each certificate that is odd at this time.
    pub(crate) fn notes(&self, now: Timestamp) -> Vec<String> {
        let both = [&self.clients, &self.operators].into_iter().flatten();
        both.flat_map(|certificates| certificates.notes(now)).collect()
    }

    /// Reads the files that these settings name, and checks them, without serving anything of them yet: those of a
    /// listener that only a restart would open too.
    ///
    /// # Errors
    /// For the first file that can't be used.
    pub(crate) fn renewal(&self, config: &GatewayConfig) -> Result<Renewal, StartError> {
        let (gateway, admin) = (config.gateway.tls.as_ref(), config.admin.tls.as_ref());
        let mut read = Vec::new();
        for (section, served, settings, would_open) in
            [(GATEWAY_TLS, &self.clients, gateway, true), (ADMIN_TLS, &self.operators, admin, config.admin.enabled)]
        {
            match (served, settings) {
                (Some(served), Some(settings)) => {
                    let table = served.read(settings).map_err(|error| error.placed(&config.source))?;
                    read.push((Arc::clone(served), table));
                }
                (None, Some(settings)) if would_open => drop(opened(section, settings, config)?),
                _ => {}
            }
        }
        Ok(Renewal(read))
    }
}

fn opened(section: &'static str, settings: &TlsConfig, config: &GatewayConfig) -> Result<Certificates, StartError> {
    let sessions = Sessions::new().map_err(|error| StartError::Tls { reason: error.to_string() })?;
    let placed = |error: ConfigError| error.placed(&config.source);
    let table = Table::read(section, settings, &sessions).map_err(placed)?;
    Ok(Certificates::new(section, sessions, table))
}

/// Certificates that were read and found good, and are not served yet.
pub(crate) struct Renewal(Vec<(Arc<Certificates>, Table)>);

impl Renewal {
    /// Serves them from the next handshake on, and says what that changes on each listener.
    pub(crate) fn serve(self) -> Vec<CertificateChanges> {
        self.0.into_iter().map(|(served, table)| served.replace(table)).collect()
    }
}
