//! The handshake of a connection, and the ways in which one fails.

use std::io;
use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::server::Acceptor;
use sandbar::tally::Listed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::Certificates;
use super::table::Secured;

/// How much of what a connection is to send may wait in it encrypted, in bytes: [`super::super::room`] charges no more.
const SEND_BYTES_MAX: usize = 32 << 10;

/// Why a connection over TLS did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The deadline passed.
    Late,
    /// The client closed the connection.
    Closed,
    /// The first bytes are no TLS, as of HTTP without it.
    NoTls,
    /// There is no version, cipher or protocol that both know.
    NothingInCommon,
    /// The client sent no certificate, or one that is of none of the authorities.
    ClientCertificate,
    /// The client refused, as a rule because of the certificate.
    Refused,
    /// The client broke the protocol.
    Broken,
}

impl Listed for Failed {
    fn all() -> impl Iterator<Item = Self> {
        let all = [Self::Late, Self::Closed, Self::NoTls, Self::NothingInCommon];
        all.into_iter().chain([Self::ClientCertificate, Self::Refused, Self::Broken])
    }

    fn index(self) -> usize {
        match self {
            Self::Late => 0,
            Self::Closed => 1,
            Self::NoTls => 2,
            Self::NothingInCommon => 3,
            Self::ClientCertificate => 4,
            Self::Refused => 5,
            Self::Broken => 6,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Late => "deadline",
            Self::Closed => "closed",
            Self::NoTls => "no-tls",
            Self::NothingInCommon => "nothing-in-common",
            Self::ClientCertificate => "client-certificate",
            Self::Refused => "refused",
            Self::Broken => "broken",
        }
    }
}

/// A connection over TLS.
pub(crate) struct Shaken<T> {
    pub(crate) stream: Box<TlsStream<T>>,
    pub(crate) secured: Secured,
    /// Whether a session of before was resumed.
    pub(crate) is_resumed: bool,
}

/// Does the handshake, with the certificate for the name that the client asks for. A client whose handshake fails is
/// sent an alert. The caller sets the deadline.
///
/// # Errors
/// When it fails, with the error for the log.
pub(crate) async fn handshake<T>(stream: T, certificates: &Certificates) -> Result<Shaken<T>, (Failed, io::Error)>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error: io::Error| (why(&error), error);
    let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
    let table = certificates.now();
    let hello = begun.client_hello();
    let (served, is_named) = table.choose(hello.server_name(), hello.signature_schemes());
    let served = Arc::clone(served);
    let config = Arc::clone(served.config());
    let shaken = begun.into_stream_with(config, |connection| connection.set_buffer_limit(Some(SEND_BYTES_MAX)));
    let stream = Box::new(shaken.await.map_err(failed)?);
    let session = stream.get_ref().1;
    let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    // A client's certificate is known only where it was asked for, and then it was verified.
    let certified = session.peer_certificates().is_some();
    Ok(Shaken { secured: Secured::new(served, is_named, table, certified), stream, is_resumed })
}

fn why(error: &io::Error) -> Failed {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    use rustls::{Error, InvalidMessage};
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        // Beside the errors of TLS there are those of the connection, and a message that is too long to be kept.
        let kind = error.kind();
        let is_end = matches!(kind, UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe);
        return if is_end { Failed::Closed } else { Failed::Broken };
    };
    match tls {
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            Failed::NoTls
        }
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Failed::NothingInCommon,
        Error::NoCertificatesPresented | Error::InvalidCertificate(_) => Failed::ClientCertificate,
        Error::AlertReceived(_) => Failed::Refused,
        _ => Failed::Broken,
    }
}
