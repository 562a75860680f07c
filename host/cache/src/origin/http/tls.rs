//! TLS towards an origin: whom the cache trusts, and as whom it shows itself.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use sandbar_base::Digest;

use super::OriginConfig;
use super::bad::BadOrigin;

/// The TLS settings of one origin, which all its connections share.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    config: ClientConfig,
    /// A digest of the files that were read for it, if any were.
    pub(super) files: Option<Digest>,
}

/// The files that were read: the digests of what is in them, one after the other.
#[derive(Default)]
struct Files(Vec<u8>);

impl Files {
    fn read(&mut self, file: &Path) -> io::Result<Vec<u8>> {
        let content = std::fs::read(file)?;
        self.0.extend(Digest::of(&content).0);
        Ok(content)
    }

    fn digest(&self) -> Option<Digest> {
        (!self.0.is_empty()).then(|| Digest::of(&self.0))
    }
}

impl Tls {
    /// Certificates are read only where TLS is spoken: a plain origin works on a machine that has none.
    pub(super) fn new(config: &OriginConfig) -> Result<Self, BadOrigin> {
        let mut files = Files::default();
        let roots = if config.url.is_https() { roots(config, &mut files)? } else { RootCertStore::empty() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| BadOrigin::Tls { reason: error.to_string() })?;
        let trusting = versions.with_root_certificates(roots);
        let (Some(cert), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) else {
            return Ok(Self { config: trusting.with_no_client_auth(), files: files.digest() });
        };
        let shown = trusting.with_client_auth_cert(chain(cert, &mut files)?, private_key(key, &mut files)?);
        let wrong_key = |error: rustls::Error| BadOrigin::KeyFile { file: key.clone(), reason: error.to_string() };
        Ok(Self { config: shown.map_err(wrong_key)?, files: files.digest() })
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.config.clone()
    }
}

/// The certificate that the origin is shown, and those that lead from it to one that the origin trusts.
fn chain(file: &Path, files: &mut Files) -> Result<Vec<CertificateDer<'static>>, BadOrigin> {
    let unreadable = |reason: String| BadOrigin::CertFile { file: file.to_owned(), reason };
    let content = files.read(file).map_err(|error| unreadable(error.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(&content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    if chain.is_empty() { Err(unreadable("there is no certificate in it".to_owned())) } else { Ok(chain) }
}

fn private_key(file: &Path, files: &mut Files) -> Result<PrivateKeyDer<'static>, BadOrigin> {
    let unusable = |reason: String| BadOrigin::KeyFile { file: file.to_owned(), reason };
    let content = files.read(file).map_err(|error| unusable(error.to_string()))?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| {
        // The error of a line that can't be decoded may quote it.
        let reason = match error {
            pem::Error::NoItemsFound => "there is no private key in it",
            _ => "it is not in PEM form",
        };
        unusable(reason.to_owned())
    })
}

fn roots(config: &OriginConfig, files: &mut Files) -> Result<RootCertStore, BadOrigin> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &config.tls_ca_file {
        let unreadable = |reason: String| BadOrigin::CaFile { file: file.clone(), reason };
        let content = files.read(file).map_err(|error| unreadable(error.to_string()))?;
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&content) {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
    }
    if roots.is_empty() { Err(BadOrigin::NoRoots) } else { Ok(roots) }
}
