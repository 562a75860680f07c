//! What comes before HTTP on a client's connection: the header of a proxy that passes connections on, then the handshake
//! of TLS. All of it has one deadline, and costs no more memory than the connection is charged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbar::tally::{Listed, Tally};
use sandbar_http::client::proxy_header::{BadHeader, HEADER_BYTES_MAX, Header, read};
use sandbar_http::client::{Client, TrustedProxies};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::abrupt::Ending;
use super::tls::{Certificates, Failed, Secured, handshake};
use super::wire::Wire;

/// The other end of a connection.
#[derive(Clone)]
pub(super) struct Peer {
    /// A number that no other connection has.
    pub(super) connection: u64,
    /// Where it connects from, or where a proxy that passes it on says that it does.
    pub(super) address: SocketAddr,
    /// What was agreed with it; none without TLS.
    pub(super) secured: Option<Arc<Secured>>,
}

/// What settings say of it; they may change while the gateway runs.
pub(super) struct Terms {
    /// Peers whose connections begin with a PROXY header.
    pub(super) proxies: TrustedProxies,
    /// How long all of it may take.
    pub(super) deadline: Duration,
}

/// Opens the connections of a listener.
pub(super) struct Opening {
    /// None where connections are without TLS.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) counts: Arc<OpeningCounts>,
}

/// The counts of both sides.
#[derive(Clone, Debug, Default)]
pub(super) struct Openings {
    pub(super) clients: Arc<OpeningCounts>,
    pub(super) operators: Arc<OpeningCounts>,
}

/// Counts of openings, of all listeners of one side.
#[derive(Debug, Default)]
pub(super) struct OpeningCounts {
    /// Handshakes that made a new session.
    full: AtomicU64,
    /// Handshakes that resumed a session.
    resumed: AtomicU64,
    failed: Tally<Failed>,
    bad_headers: Tally<NoHeader>,
}

/// Openings so far, as metrics tell them.
#[derive(Debug)]
pub(super) struct OpeningStats {
    /// Handshakes that were done, by kind: `full` or `resumed`.
    pub(super) shaken: BTreeMap<&'static str, u64>,
    /// Handshakes that failed, by reason.
    pub(super) failed: BTreeMap<&'static str, u64>,
    /// Connections that were closed because of their PROXY header, by reason.
    pub(super) bad_headers: BTreeMap<&'static str, u64>,
}

impl OpeningCounts {
    pub(super) fn stats(&self) -> OpeningStats {
        OpeningStats {
            shaken: [("full", &self.full), ("resumed", &self.resumed)]
                .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
                .into(),
            failed: self.failed.values(),
            bad_headers: self.bad_headers.values(),
        }
    }
}

/// Why a connection of a trusted proxy was closed before it said who its client is.
#[derive(Clone, Copy, Debug)]
enum NoHeader {
    Late,
    /// The header is none, or malformed.
    Bad,
    /// The connection ended or broke.
    Closed,
}

impl Listed for NoHeader {
    fn all() -> impl Iterator<Item = Self> {
        [Self::Late, Self::Bad, Self::Closed].into_iter()
    }

    fn index(self) -> usize {
        match self {
            Self::Late => 0,
            Self::Bad => 1,
            Self::Closed => 2,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Late => "deadline",
            Self::Bad => "malformed",
            Self::Closed => "closed",
        }
    }
}

impl Opening {
    /// Opens a connection from `address`; none where that fails, which is counted and told in the log.
    pub(super) async fn open(&self, terms: &Terms, mut stream: Ending, address: SocketAddr) -> Option<(Wire, Peer)> {
        let deadline = tokio::time::Instant::now() + terms.deadline;
        let mut peer = Peer { connection: Client::next_connection(), address, secured: None };
        if terms.proxies.contains(address.ip()) {
            let header = tokio::time::timeout_at(deadline, header(&mut stream)).await;
            match header.unwrap_or(Err((NoHeader::Late, None))) {
                Ok(client) => peer.address = client.unwrap_or(address),
                Err((reason, error)) => {
                    self.counts.bad_headers.count(reason);
                    let error = error.map(|error| error.to_string()).unwrap_or_default();
                    tracing::debug!(proxy = %address, reason = reason.word(), error, "a proxy sent no good PROXY header");
                    return None;
                }
            }
        }
        let Some(certificates) = &self.certificates else { return Some((Wire::Plain(stream), peer)) };
        // On the heap, and only while it lasts: its state is larger than all else that a connection's task keeps.
        let shaken = tokio::time::timeout_at(deadline, Box::pin(handshake(stream, certificates))).await;
        match shaken.unwrap_or_else(|_| Err((Failed::Late, std::io::ErrorKind::TimedOut.into()))) {
            Ok(shaken) => {
                let count = if shaken.is_resumed { &self.counts.resumed } else { &self.counts.full };
                count.fetch_add(1, Ordering::Relaxed);
                peer.secured = Some(Arc::new(shaken.secured));
                Some((Wire::Tls(shaken.stream), peer))
            }
            Err((reason, error)) => {
                self.counts.failed.count(reason);
                tracing::debug!(peer = %peer.address, reason = reason.word(), %error, "a TLS handshake failed");
                None
            }
        }
    }
}

/// Reads the header of a proxy, and no byte after it. Returns the client's address; none where that is the proxy's own.
async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, (NoHeader, Option<BadHeader>)> {
    let mut received = Vec::new();
    loop {
        match read(&received).map_err(|error| (NoHeader::Bad, Some(error)))? {
            Header::Complete(client) => return Ok(client),
            Header::Incomplete(more) => {
                let from = received.len();
                received.resize((from + more).min(HEADER_BYTES_MAX), 0);
                stream.read_exact(&mut received[from..]).await.map_err(|_| (NoHeader::Closed, None))?;
            }
        }
    }
}
