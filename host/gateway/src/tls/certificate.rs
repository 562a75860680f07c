//! One certificate with its key, and the names that it is for.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};
use sandbar_base::Timestamp;
use webpki::{EndEntityCert, KeyUsage};

/// A certificate with its key and everything that serving it takes.
pub(crate) struct Certificate {
    names: Names,
    key: Arc<CertifiedKey>,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// A certificate whose chain is not empty, and that `config` serves.
    ///
    /// # Errors
    /// Where the first certificate of the chain is no X.509 certificate of version 3.
    pub(super) fn new(key: Arc<CertifiedKey>, config: ServerConfig) -> Result<Self, webpki::Error> {
        let parsed = EndEntityCert::try_from(&key.cert[0])?;
        let names = Names::new(parsed.valid_dns_names());
        Ok(Self { names, key, config: Arc::new(config) })
    }

    /// The DNS names in it.
    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// The configuration that serves it and no other.
    pub(super) const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// A digest of the certificate and those of its authorities, by which two are told apart.
    pub(super) fn digest(&self) -> blake3::Hash {
        digest(&self.key.cert)
    }

    /// Whether its key can sign in one of these schemes.
    pub(super) fn signs_with(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }

    /// Whether it is for this host: a name, or an IP address as in a URI, without a port.
    pub(super) fn covers(&self, host: &str) -> bool {
        match address_of(host) {
            Some(address) => {
                let parsed = EndEntityCert::try_from(self.leaf());
                let address = ServerName::IpAddress(address.into());
                parsed.is_ok_and(|parsed| parsed.verify_is_valid_for_subject_name(&address).is_ok())
            }
            None => self.names.has(host),
        }
    }

    /// The IP addresses that it may be for; it is for no others. In DER an address of `subjectAltName` is the tag 0x87, its length, and its
    /// bytes (RFC 5280 section 4.2.1.6), and bytes that happen to look like that are no harm: see [`Self::covers`].
    pub(super) fn possible_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let leaf: &[u8] = self.leaf();
        let four = leaf.windows(6).filter_map(|bytes| {
            let [0x87, 4, address @ ..] = bytes else { return None };
            Some(IpAddr::from(<[u8; 4]>::try_from(address).ok()?))
        });
        let six = leaf.windows(18).filter_map(|bytes| {
            let [0x87, 16, address @ ..] = bytes else { return None };
            Some(IpAddr::from(<[u8; 16]>::try_from(address).ok()?))
        });
        four.chain(six)
    }

    /// What is odd about it at this time, if anything is. It is served all the same: a client may accept it.
    pub(super) fn oddity(&self, now: Timestamp) -> Option<String> {
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.as_millis()));
        let parsed = EndEntityCert::try_from(self.leaf()).ok()?;
        // No authority is trusted here, so the certificate is found unsound or of an unknown issuer.
        let found = parsed.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None);
        match found {
            Err(webpki::Error::CertExpired { time, not_after }) => {
                let days = time.as_secs().saturating_sub(not_after.as_secs()) / (24 * 60 * 60);
                Some(format!("has expired {days} days ago, and clients refuse it; renew it"))
            }
            Err(webpki::Error::CertNotValidYet { .. }) => {
                Some("is not valid yet, and clients refuse it; look at this machine's clock, or wait".to_owned())
            }
            Err(webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension) => {
                Some("is not for servers, and clients refuse it; have it made for serverAuth".to_owned())
            }
            _ if self.names.is_empty() => {
                Some("has no DNS name, so that it is never chosen by one; have it made with subjectAltName".to_owned())
            }
            _ => None,
        }
    }

    fn leaf(&self) -> &CertificateDer<'static> {
        &self.key.cert[0]
    }
}

/// The IP address that a host is, where it is none by name.
pub(super) fn address_of(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A digest of certificates in their order.
pub(super) fn digest(certificates: &[CertificateDer<'_>]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for certificate in certificates {
        // DER says itself where it ends.
        hasher.update(certificate);
    }
    hasher.finalize()
}

/// The DNS names of a certificate, in small letters.
#[derive(Debug, Default)]
pub(crate) struct Names {
    exact: HashSet<Box<str>>,
    /// Of `*.shop.example` the part `.shop.example`.
    wildcards: HashSet<Box<str>>,
}

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for name in names.map(str::to_ascii_lowercase) {
            match name.strip_prefix('*') {
                Some(suffix) => all.wildcards.insert(suffix.into()),
                None => all.exact.insert(name.into()),
            };
        }
        all
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// Whether a name in small letters is among them. RFC 9525 section 6.3: a wildcard stands for one label, the
    /// left-most one.
    fn has(&self, name: &str) -> bool {
        self.exact.contains(name) || suffix_of(name).is_some_and(|suffix| self.wildcards.contains(suffix))
    }

    /// The names that stand for themselves.
    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(|name| &**name)
    }

    /// Of each wildcard what comes after the `*`.
    pub(super) fn wildcards(&self) -> impl Iterator<Item = &str> {
        self.wildcards.iter().map(|suffix| &**suffix)
    }
}

/// What a wildcard for this name has after its `*`: `.shop.example` of `www.shop.example`.
pub(super) fn suffix_of(name: &str) -> Option<&str> {
    name.find('.').filter(|dot| *dot > 0).map(|dot| &name[dot..])
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcards = self.wildcards.iter().map(|suffix| format!("*{suffix}"));
        let mut all: Vec<String> = self.exact.iter().map(|name| name.to_string()).chain(wildcards).collect();
        all.sort();
        if all.is_empty() { f.write_str("(no DNS name)") } else { f.write_str(&all.join(", ")) }
    }
}
