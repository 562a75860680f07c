//! Which certificate is served for a name, and which hosts may be asked for on a connection that was shown one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::SignatureScheme;
use sandbar_base::Timestamp;
use tokio_util::sync::CancellationToken;

use super::certificate::{Certificate, address_of, suffix_of};

/// The certificates of a listener as they were read at one time.
pub(crate) struct Table {
    section: &'static str,
    /// At least one; the first is served where none has the name that a client asks for.
    certificates: Vec<Arc<Certificate>>,
    /// A digest of the authorities of clients; none where clients need no certificate.
    authorities: Option<blake3::Hash>,
    /// Cancelled once clients are asked for certificates of other authorities.
    outdated: CancellationToken,
    /// Indices of certificates by DNS name, and by the suffix of a wildcard, which begins with a dot.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// Indices of the certificates that may be for an IP address, so that who asks for one has not all of them looked at.
    by_address: HashMap<IpAddr, Vec<usize>>,
}

impl Table {
    /// A table of at least one certificate.
    pub(super) fn new(
        section: &'static str,
        certificates: Vec<Arc<Certificate>>,
        authorities: Option<blake3::Hash>,
    ) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut by_address: HashMap<IpAddr, Vec<usize>> = HashMap::new();
        for (index, certificate) in certificates.iter().enumerate() {
            let names = certificate.names();
            for name in names.exact().chain(names.wildcards()) {
                by_name.entry(name.into()).or_default().push(index);
            }
            for address in certificate.possible_addresses() {
                by_address.entry(address).or_default().push(index);
            }
        }
        Self { section, certificates, authorities, outdated: CancellationToken::new(), by_name, by_address }
    }

    /// This table as the one that follows `old`, and whether clients' certificates are of the same authorities in both.
    /// Where they are, connections of both have one end, when that is no longer so.
    pub(super) fn after(self, old: &Self) -> (Self, bool) {
        let has_same_authorities = self.authorities == old.authorities;
        let outdated = if has_same_authorities { old.outdated.clone() } else { self.outdated };
        (Self { outdated, ..self }, has_same_authorities)
    }

    /// Has connections end that were opened while clients were asked for certificates of these authorities, or for none.
    pub(super) fn end_connections(&self) {
        self.outdated.cancel();
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().map(|certificate| &**certificate)
    }

    /// A sentence for each certificate that is odd at this time.
    pub(crate) fn notes(&self, now: Timestamp) -> Vec<String> {
        let odd = self.certificates().enumerate().filter_map(|(index, one)| Some((index, one, one.oddity(now)?)));
        odd.map(|(index, one, oddity)| {
            format!("{}.certificate: number {} ({}) {oddity}", self.section, index + 1, one.names())
        })
        .collect()
    }

    /// The certificate for a client that asks for `name` and verifies signatures in these schemes, and whether the
    /// certificate has that name. An exact name comes before a wildcard; of several certificates with the name the
    /// first counts whose key the client can verify.
    pub(super) fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> (&Arc<Certificate>, bool) {
        let name = name.map(str::to_ascii_lowercase);
        let named = name.as_deref().and_then(|name| self.named(name)).unwrap_or_default();
        let mut certificates = named.iter().map(|index| &self.certificates[*index]);
        let suited = certificates.clone().find(|certificate| certificate.signs_with(schemes));
        match suited.or_else(|| certificates.next()) {
            Some(certificate) => (certificate, true),
            None => (&self.certificates[0], false),
        }
    }

    fn named(&self, name: &str) -> Option<&[usize]> {
        let exact = self.by_name.get(name).filter(|_| !name.starts_with('.'));
        exact.or_else(|| self.by_name.get(suffix_of(name)?)).map(Vec::as_slice)
    }

    /// Whether any certificate is for this host, a name or an IP address.
    fn covers(&self, host: &str) -> bool {
        match address_of(host) {
            Some(address) => {
                let possible = self.by_address.get(&address).into_iter().flatten();
                possible.map(|index| &self.certificates[*index]).any(|certificate| certificate.covers(host))
            }
            None => self.named(host).is_some(),
        }
    }
}

/// What was agreed on a connection over TLS.
pub(crate) struct Secured {
    served: Arc<Certificate>,
    /// Whether the client asked for a name that `served` has.
    is_named: bool,
    table: Arc<Table>,
    /// Cancelled with the table's. That one is all connections', and who asks a token locks it.
    outdated: CancellationToken,
    has_client_certificate: bool,
}

impl Secured {
    pub(super) fn new(served: Arc<Certificate>, is_named: bool, table: Arc<Table>, certified: bool) -> Self {
        let outdated = table.outdated.child_token();
        Self { served, is_named, table, outdated, has_client_certificate: certified }
    }

    /// Whether the client has shown a certificate of one of the authorities that the settings name.
    pub(crate) const fn has_client_certificate(&self) -> bool {
        self.has_client_certificate
    }

    /// Whether clients are asked for certificates of other authorities by now, or for none, or now for some.
    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated.is_cancelled()
    }

    /// Waits until the connection is outdated.
    pub(crate) async fn outdated(&self) {
        self.outdated.cancelled().await;
    }

    /// Whether this connection is for requests to `authority`: a host in small letters, with or without a port.
    ///
    /// It is where the certificate served on it is for that host (RFC 9110 section 4.3.3). A client that asked for a
    /// name of no certificate, or for none, was served the first one and took it: for a host of no certificate there is
    /// no better connection, so that 421, which asks for one, would be no help.
    pub(crate) fn is_for(&self, authority: &str) -> bool {
        let host = host_of(authority);
        self.served.covers(host) || !self.is_named && !self.table.covers(host)
    }
}

/// The host of an authority, without its port and the dot that may end a name.
fn host_of(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}
