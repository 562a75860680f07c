//! An HTTP client: one keep-alive connection, and answers in the form that tests check.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many fields an answer may have.
const FIELDS_MAX: usize = 1024;

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    host: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status code.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its content.
    pub body: Bytes,
}

impl Client {
    /// A client of the server at `address`; its requests name `host`. It connects with its first request.
    pub fn new(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned(), connection: None }
    }

    /// Asks for `target` and reads the answer to its end.
    ///
    /// # Errors
    /// When no answer came, or it broke off.
    pub async fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        self.get_with(target, &[]).await
    }

    /// [`Self::get`] with these further fields.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_with(&mut self, target: &str, fields: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.send("GET", target, fields, Bytes::new()).await
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let (parts, body) = self.open(method, target, fields, body).await?.into_parts();
        let body = body.collect().await.with_context(|| format!("the answer to {method} {target} broke off"))?;
        Ok(Answer { status: parts.status, fields: parts.headers, body: body.to_bytes() })
    }

    /// Sends a request and returns when the head of the answer is there; the content can be read bit by bit, or not at
    /// all.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn open(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(target);
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(HOST, &self.host);
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        let connection = self.connection().await?;
        connection.send_request(request).await.with_context(|| format!("no answer to {method} {target}"))
    }

    /// Connects, unless it is connected.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(&mut self) -> anyhow::Result<()> {
        self.connection().await.map(|_| ())
    }

    /// Forgets the connection: the next request opens another. It is closed as soon as an answer that is still being
    /// read is dropped too.
    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    async fn connection(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let ready = match &mut self.connection {
            Some(connection) => connection.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let stream =
                TcpStream::connect(self.address).await.with_context(|| format!("connecting to {}", self.address))?;
            stream.set_nodelay(true)?;
            let (connection, driver) =
                http1::Builder::new().max_headers(FIELDS_MAX).handshake(TokioIo::new(stream)).await?;
            tokio::spawn(driver);
            self.connection = Some(connection);
        }
        self.connection.as_mut().context("just connected")
    }
}

impl Answer {
    /// The content as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a field; none where there is none that is text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.to_str().ok()
    }

    /// The last member of `Cache-Status` (RFC 9211): that of the cache which is nearest to the client.
    pub fn cache_status(&self) -> CacheStatus {
        let mut values = self.fields.get_all("cache-status").iter().filter_map(|value| value.to_str().ok());
        let text = values.next_back().and_then(|value| value.rsplit(", ").next()).unwrap_or("");
        CacheStatus(text.to_owned())
    }

    /// Whether the cache answered without asking the origin.
    pub fn is_hit(&self) -> bool {
        self.cache_status().has("hit")
    }
}

/// A member of `Cache-Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStatus(String);

impl CacheStatus {
    /// Whether a parameter is there, as in `hit` or `collapsed`.
    pub fn has(&self, name: &str) -> bool {
        self.parameters().any(|(key, value)| key == name && value.is_none_or(|value| value != "?0"))
    }

    /// The value of a parameter, without quotes, as in `fwd=uri-miss` or `detail=l1`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.parameters().find(|(key, _)| *key == name)?.1
    }

    /// The whole member as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.split(';').skip(1).map(|parameter| match parameter.trim().split_once('=') {
            Some((name, value)) => (name, Some(value.trim_matches('"'))),
            None => (parameter.trim(), None),
        })
    }
}

/// Sends these bytes over a connection of their own and reads until the server closes it.
///
/// # Errors
/// When the connection can't be made or breaks.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}
