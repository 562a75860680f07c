//! `[gateway.tls]` and `[admin.tls]`: listeners that speak TLS, and their certificates.

use std::net::SocketAddr;
use std::path::PathBuf;

use sandbar::setting::Key;
use serde::{Deserialize, Serialize};

use super::address::address;
use super::{ConfigError, GatewayConfig};

/// `[gateway.tls]`, `[admin.tls]`: a listener that speaks TLS 1.2 and 1.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The address; port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Whether nothing is listened for without TLS: the address of the section around this one is not used then.
    /// Default no.
    #[serde(default)]
    pub only: bool,
    /// Authorities, as certificates in PEM form, one of which must have signed the certificate of each client. Default
    /// none: clients need no certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<PathBuf>,
    /// `[[gateway.tls.certificate]]`: the certificates that are served, chosen by the name that a client asks for. The
    /// first one is served where none has that name.
    #[serde(default, rename = "certificate")]
    pub certificates: Vec<CertificateFiles>,
}

/// `[[gateway.tls.certificate]]`: the files of a certificate, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate, then those of the authorities between it and one that clients trust.
    pub cert_file: PathBuf,
    /// The private key of the certificate, without a passphrase.
    pub key_file: PathBuf,
}

/// The sections in which TLS can be set.
pub(crate) const GATEWAY_TLS: &str = "gateway.tls";
/// See [`GATEWAY_TLS`].
pub(crate) const ADMIN_TLS: &str = "admin.tls";

impl GatewayConfig {
    /// The TLS sections that are set, and that a listener is made for.
    pub(crate) fn tls_sections(&self) -> impl Iterator<Item = (&'static str, &TlsConfig)> {
        let clients = self.gateway.tls.as_ref().map(|tls| (GATEWAY_TLS, tls));
        let operators = self.admin.tls.as_ref().filter(|_| self.admin.enabled).map(|tls| (ADMIN_TLS, tls));
        clients.into_iter().chain(operators)
    }

    pub(super) fn validate_tls(&self) -> Result<(), ConfigError> {
        for (section, tls) in self.tls_sections() {
            if tls.certificates.is_empty() {
                let remedy = format!("add a table [[{section}.certificate]] with cert_file and key_file");
                let reason = "there is no certificate to serve";
                return Err(ConfigError::wrong(Key::from(section).then("certificate"), "[]", reason, remedy));
            }
            let files = tls.certificates.iter().enumerate().flat_map(|(index, files)| {
                let key = Key::from(section).then("certificate").at(index);
                [(key.clone().then("cert_file"), &files.cert_file), (key.then("key_file"), &files.key_file)]
            });
            let authority = tls.client_ca_file.iter().map(|file| (Key::from(section).then("client_ca_file"), file));
            for (key, file) in files.chain(authority) {
                if file.as_os_str().is_empty() {
                    let remedy = "write the path of a file in PEM form";
                    return Err(ConfigError::wrong(key, "\"\"", "it names nothing", remedy));
                }
            }
        }
        Ok(())
    }
}
