//! A visitor's HTTP client: one keep-alive connection, opened when it is needed and again after it broke.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection to `address`; its requests name `host` as their host.
pub(super) struct Client {
    address: SocketAddr,
    host: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// A response that was read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) fn new(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned(), connection: None }
    }

    /// Asks for `target` and reads the whole answer.
    pub(super) async fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, target, &[], Bytes::new()).await
    }

    /// Sends a request, with `fields` beside `Host`, and reads the whole answer.
    pub(super) async fn send(
        &mut self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(target).header(HOST, &self.host);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut connection = self.connected().await?;
        let response = connection.send_request(request.body(Full::new(body))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        // Only after a whole answer can the connection take another request.
        self.connection = Some(connection);
        Ok(Answer { status: parts.status, body })
    }

    async fn connected(&mut self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(connection)
    }
}
