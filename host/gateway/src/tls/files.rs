//! Reads certificates, keys and authorities from the files that the settings name. Errors name the file and the key of
//! the setting; no part of a private key is ever in one.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use sandbar::setting::Key;

use super::certificate::{Certificate, digest};
use super::table::Table;
use crate::config::{CertificateFiles, ConfigError, TlsConfig};

/// Sessions that clients without tickets can resume; the oldest one goes first.
const SESSIONS_MAX: usize = 1024;

/// The protocols that are spoken over TLS (RFC 7301), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What lets clients resume a session of a listener, also after its certificates were replaced.
#[derive(Clone)]
pub(crate) struct Sessions {
    /// Keys of tickets: each is used for six hours, and known for twelve.
    tickets: Arc<dyn ProducesTickets>,
    /// For clients of TLS 1.2 that take no tickets.
    kept: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    /// Keys that nobody knows, and no sessions yet.
    ///
    /// # Errors
    /// Where the operating system gives no random bytes.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        Ok(Self { tickets: rustls::crypto::ring::Ticketer::new()?, kept: ServerSessionMemoryCache::new(SESSIONS_MAX) })
    }
}

impl Table {
    /// Reads the certificates of a section of the settings.
    ///
    /// # Errors
    /// For the first file that can't be used.
    pub(crate) fn read(section: &'static str, config: &TlsConfig, sessions: &Sessions) -> Result<Self, ConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = match &config.client_ca_file {
            Some(file) => Some(client_verifier(section, file, &provider)?),
            None => None,
        };
        let certificates = config.certificates.iter().enumerate().map(|(index, files)| {
            let key = Key::from(section).then("certificate").at(index);
            let clients = clients.as_ref().map(|(verifier, _)| verifier);
            certificate(&key, files, &provider, clients, sessions).map(Arc::new)
        });
        let certificates = certificates.collect::<Result<_, _>>()?;
        Ok(Self::new(section, certificates, clients.map(|(_, authorities)| authorities)))
    }
}

fn certificate(
    key: &Key,
    files: &CertificateFiles,
    provider: &Arc<CryptoProvider>,
    clients: Option<&Arc<dyn ClientCertVerifier>>,
    sessions: &Sessions,
) -> Result<Certificate, ConfigError> {
    let CertificateFiles { cert_file, key_file } = files;
    let bad_cert = |reason: String| {
        let remedy = "name a file with the certificate in PEM form, those of its authorities after it";
        wrong(key.clone().then("cert_file"), cert_file, reason, remedy)
    };
    let bad_key = |reason: &str| {
        let remedy = "name a file with the certificate's private key in PEM form, without a passphrase";
        wrong(key.clone().then("key_file"), key_file, reason, remedy)
    };
    let chain = certificates(cert_file).map_err(bad_cert)?;
    let private = PrivateKeyDer::from_pem_file(key_file).map_err(|error| bad_key(&told(&error, "private key")))?;
    let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            bad_key(&format!("it is not the key of the certificate in {}", cert_file.display()))
        }
        rustls::Error::InvalidCertificate(reason) => bad_cert(format!("the certificate can't be read: {reason:?}")),
        _ => bad_key("the key is of a kind that is not known here, or is damaged"),
    })?;
    let certified = Arc::new(certified);
    let config = server_config(provider, Arc::clone(&certified), clients, sessions);
    let config = config.map_err(|error| bad_cert(error.to_string()))?;
    Certificate::new(certified, config).map_err(|error| bad_cert(format!("the certificate can't be read: {error}")))
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    clients: Option<&Arc<dyn ClientCertVerifier>>,
    sessions: &Sessions,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    if clients.is_some() {
        // A resumed session would let its client in for half a day after its authority was taken away.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.ticketer = Arc::clone(&sessions.tickets);
        config.session_storage = Arc::clone(&sessions.kept);
    }
    Ok(config)
}

/// What checks the certificates of clients, and a digest of the authorities that it knows.
fn client_verifier(
    section: &str,
    file: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<(Arc<dyn ClientCertVerifier>, blake3::Hash), ConfigError> {
    let bad = |reason: String| {
        let remedy = "name a file with the certificates of the authorities of clients in PEM form";
        wrong(Key::from(section).then("client_ca_file"), file, reason, remedy)
    };
    let mut roots = RootCertStore::empty();
    let authorities = certificates(file).map_err(bad)?;
    let digest = digest(&authorities);
    for authority in authorities {
        roots.add(authority).map_err(|error| bad(format!("a certificate in it can't be an authority: {error}")))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    Ok((verifier.map_err(|error| bad(error.to_string()))?, digest))
}

/// The certificates in a file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(chain) if chain.is_empty() => Err(told(&pem::Error::NoItemsFound, "certificate")),
        read => read.map_err(|error| told(&error, "certificate")),
    }
}

/// What is wrong with a file in PEM form, without a byte of what is in it.
fn told(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("it can't be read: {error}"),
        pem::Error::NoItemsFound => format!("there is no {wanted} in it"),
        _ => "it is damaged: a section does not begin, end or read as PEM has it".to_owned(),
    }
}

fn wrong(key: Key, file: &Path, reason: impl std::fmt::Display, remedy: &str) -> ConfigError {
    ConfigError::wrong(key, format_args!("{file:?}"), reason, remedy)
}
