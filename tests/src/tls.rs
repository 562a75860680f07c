//! TLS as clients of a gateway speak it: an authority of the test's own, and connections that ask what a test wants.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sandbar_tests::gateway::{TestGateway, one_tenant};
//! use sandbar_tests::tls::{Authority, TlsClient};
//!
//! let authority = Authority::new()?;
//! let certificate = authority.issue("shop", &["shop.test"])?;
//! let settings = format!("[gateway.tls]\nlisten = \"127.0.0.1:0\"\n{}", certificate.table("gateway"));
//! let gateway = TestGateway::start(&format!("{settings}{}", one_tenant("http://127.0.0.1:3000", ""))).await?;
//! let client = TlsClient::trusting(&authority)?;
//! let mut connection = client.connect(gateway.gateway().tls_addr().expect("TLS"), "shop.test").await?;
//! assert_eq!(connection.get("shop.test", "/").await?.status, 200);
//! # Ok(()) }
//! ```

mod verifier;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Answer;

/// An authority that signs certificates for tests. Its files go away with it.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, in PEM form.
    pub cert: PathBuf,
    /// Its key, in PEM form.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        // A certificate with the name of its issuer would look as if it had signed itself.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer, dir })
    }

    /// The file with the certificate of the authority.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The directory with all its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Signs a certificate of a server with these names, DNS names or IP addresses, and writes it to files that are
    /// called `name`.
    ///
    /// # Errors
    /// When it can't be made or written.
    pub fn issue(&self, name: &str, names: &[&str]) -> anyhow::Result<Files> {
        self.sign(name, names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Signs a certificate of a client.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_client(&self, name: &str) -> anyhow::Result<Files> {
        self.sign(name, &["a-client.test"], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) -> anyhow::Result<Files> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &self.issuer)?;
        let at = |kind: &str| self.dir.path().join(format!("{name}.{kind}"));
        let files = Files { cert: at("pem"), key: at("key") };
        std::fs::write(&files.cert, signed.pem())?;
        std::fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}

impl Files {
    /// The table of the settings that names them: `[[gateway.tls.certificate]]` for the section `gateway`.
    pub fn table(&self, section: &str) -> String {
        let Self { cert, key } = self;
        format!("[[{section}.tls.certificate]]\ncert_file = {cert:?}\nkey_file = {key:?}\n")
    }

    /// The certificate itself.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn certificate(&self) -> anyhow::Result<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_file(&self.cert)?)
    }
}

/// Settings of clients over TLS, which share their sessions.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// A client that trusts an authority and offers HTTP/1.1 alone.
    ///
    /// # Errors
    /// When its certificate can't be read.
    pub fn trusting(authority: &Authority) -> anyhow::Result<Self> {
        Self::speaking(authority, rustls::ALL_VERSIONS, None)
    }

    /// A client that takes any certificate.
    ///
    /// # Panics
    /// Where TLS knows no version.
    pub fn careless() -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("there are versions");
        let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier::Careless));
        Self(Arc::new(config.with_no_client_auth())).offering(&["http/1.1"])
    }

    /// The same client, offering these protocols.
    #[must_use]
    pub fn offering(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// The same client, which resumes no session.
    #[must_use]
    pub fn forgetful(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// A client that trusts an authority, speaks one version alone, and has this certificate, if any.
    ///
    /// # Errors
    /// When files can't be read.
    pub fn with(
        authority: &Authority,
        version: &'static SupportedProtocolVersion,
        own: Option<&Files>,
    ) -> anyhow::Result<Self> {
        Self::speaking(authority, &[version], own)
    }

    fn speaking(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Files>,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file())?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_protocol_versions(versions)?.with_root_certificates(roots);
        let config = match own {
            Some(own) => {
                builder.with_client_auth_cert(vec![own.certificate()?], PrivateKeyDer::from_pem_file(&own.key)?)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)).offering(&["http/1.1"]))
    }

    /// Connects, asking for `name`. An IP address is no name that can be asked for: then none is.
    ///
    /// # Errors
    /// When the connection or the handshake fails.
    pub async fn connect(&self, address: SocketAddr, name: &str) -> anyhow::Result<TlsConnection> {
        self.over(TcpStream::connect(address).await?, name).await
    }

    /// [`Self::connect`] over a connection that is there.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn over(&self, stream: TcpStream, name: &str) -> anyhow::Result<TlsConnection> {
        let stream = self.shake(stream, name).await?;
        let session = stream.get_ref().1;
        let served = session.peer_certificates().and_then(<[_]>::first).context("a certificate")?.clone().into_owned();
        let protocol = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let version = format!("{:?}", session.protocol_version().context("a version")?);
        let cipher = format!("{:?}", session.negotiated_cipher_suite().context("a cipher suite")?.suite());
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let sender = Sender::over(stream, protocol.as_deref() == Some("h2")).await?;
        Ok(TlsConnection { served, protocol, version, cipher, is_resumed, sender })
    }

    /// The handshake alone.
    ///
    /// # Errors
    /// When it fails.
    pub async fn shake(&self, stream: TcpStream, name: &str) -> anyhow::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned())?;
        Ok(TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?)
    }
}

/// A connection over TLS.
#[derive(Debug)]
pub struct TlsConnection {
    /// The certificate that the server has shown.
    pub served: CertificateDer<'static>,
    /// The protocol that was agreed on.
    pub protocol: Option<String>,
    /// The version of TLS, as `TLSv1_3`.
    pub version: String,
    /// The cipher suite, as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Whether a session of before was resumed.
    pub is_resumed: bool,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Sender {
    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        is_http2: bool,
    ) -> anyhow::Result<Self> {
        let stream = TokioIo::new(stream);
        if is_http2 {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(driver);
            return Ok(Self::Http2(sender));
        }
        let (sender, driver) = http1::handshake(stream).await?;
        tokio::spawn(driver);
        Ok(Self::Http1(sender))
    }

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        Ok(match self {
            Self::Http1(sender) => sender.send_request(request).await?,
            Self::Http2(sender) => sender.send_request(request).await?,
        })
    }
}

impl TlsConnection {
    /// Asks for `target` on `host` and reads the answer to its end.
    ///
    /// # Errors
    /// When no answer came, or it broke off.
    pub async fn get(&mut self, host: &str, target: &str) -> anyhow::Result<Answer> {
        let request = match &self.sender {
            Sender::Http1(_) => Request::get(target).header("host", host),
            Sender::Http2(_) => Request::get(format!("https://{host}{target}")).version(Version::HTTP_2),
        };
        let (head, body) = self.sender.send(request.body(Empty::new())?).await?.into_parts();
        let body = body.collect().await.context("the answer broke off")?.to_bytes();
        Ok(Answer { status: head.status, fields: head.headers, body })
    }
}
