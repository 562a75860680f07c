//! TLS towards an origin: whom the cache trusts, and as whom it shows itself.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
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
        let trusting = versions.with_root_certificates(roots);
        let (Some(cert), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) else {
            return Ok(Self(trusting.with_no_client_auth()));
        };
        let shown = trusting.with_client_auth_cert(chain(cert)?, private_key(key)?);
        shown.map(Self).map_err(|error| BadOrigin::KeyFile { file: key.clone(), reason: error.to_string() })
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.0.clone()
    }
}

/// The certificate that the origin is shown, and those that lead from it to one that the origin trusts.
fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadOrigin> {
    let unreadable = |reason: String| BadOrigin::CertFile { file: file.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
    let chain = certificates.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(error.to_string()))?;
    if chain.is_empty() { Err(unreadable("there is no certificate in it".to_owned())) } else { Ok(chain) }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, BadOrigin> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| {
        // The error of a line that can't be decoded may quote it.
        let reason = match error {
            pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
            pem::Error::Io(error) => error.to_string(),
            _ => "it is not in PEM form".to_owned(),
        };
        BadOrigin::KeyFile { file: file.to_owned(), reason }
    })
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
