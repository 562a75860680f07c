//! The certificate that the gateway itself shows to an origin that asks for one. Errors hold no byte of a key.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{BadOrigin, OriginConfig};

/// The certificate with its authorities, and its key, as the settings name them; none where they name none.
pub(super) fn own(
    config: &OriginConfig,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, BadOrigin> {
    let (cert_file, key_file) = match (&config.tls_cert_file, &config.tls_key_file) {
        (None, None) => return Ok(None),
        (Some(cert_file), Some(key_file)) => (cert_file, key_file),
        (Some(file), None) => return Err(bad("tls_cert_file", file, "there is no tls_key_file beside it")),
        (None, Some(file)) => return Err(bad("tls_key_file", file, "there is no tls_cert_file beside it")),
    };
    let chain = CertificateDer::pem_file_iter(cert_file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| bad("tls_cert_file", cert_file, told(&error, "certificate")))?;
    if chain.is_empty() {
        return Err(bad("tls_cert_file", cert_file, told(&pem::Error::NoItemsFound, "certificate")));
    }
    let key = PrivateKeyDer::from_pem_file(key_file);
    let key = key.map_err(|error| bad("tls_key_file", key_file, told(&error, "private key")))?;
    Ok(Some((chain, key)))
}

/// The error where the key does not fit, once TLS has tried it.
pub(super) fn misfit(config: &OriginConfig) -> BadOrigin {
    let file = config.tls_key_file.as_deref().unwrap_or(Path::new(""));
    bad("tls_key_file", file, "it is not the key of the certificate, or of a kind that is not known here")
}

fn bad(setting: &'static str, file: &Path, reason: impl Into<String>) -> BadOrigin {
    BadOrigin::OwnFile { setting, file: file.to_owned(), reason: reason.into() }
}

fn told(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("there is no {wanted} in it"),
        _ => "it is damaged: a section does not begin, end or read as PEM has it".to_owned(),
    }
}
