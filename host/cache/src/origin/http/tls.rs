//! TLS towards an origin: whom it trusts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::OriginConfig;
use super::bad::BadOrigin;

/// The TLS settings of one origin, which all its connections share.
#[derive(Clone, Debug)]
pub(super) struct Tls(ClientConfig);

impl Tls {
    /// Certificates are read only where TLS is spoken: a plain origin works on a machine that has none.
    pub(super) fn new(config: &OriginConfig) -> Result<Self, BadOrigin> {
        let roots = if config.url.is_https() { roots(config)? } else { RootCertStore::empty() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| BadOrigin::Tls { reason: error.to_string() })?;
        Ok(Self(versions.with_root_certificates(roots).with_no_client_auth()))
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.0.clone()
    }
}

fn roots(config: &OriginConfig) -> Result<RootCertStore, BadOrigin> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &config.tls_ca_file {
        let unreadable = |reason: String| BadOrigin::CaFile { file: file.clone(), reason };
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
    }
    if roots.is_empty() { Err(BadOrigin::NoRoots) } else { Ok(roots) }
}
