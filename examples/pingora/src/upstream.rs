//! The origin behind the cache: Pingora's connector, with its pool of connections.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use sandbar::body::{Body, BoxError};
use tokio::sync::mpsc;

use crate::filter::streamed;

/// Sends requests to a peer.
pub(crate) struct Upstream {
    connector: Connector,
    peer: HttpPeer,
}

impl Upstream {
    pub(crate) fn new(peer: HttpPeer) -> Self {
        Self { connector: Connector::new(None), peer }
    }

    /// Sends a request, and returns as soon as the head of the response is there.
    pub(crate) async fn fetch(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (mut session, _) = self.connector.get_http_session(&self.peer).await?;
        let (head, mut content) = request.into_parts();
        session.write_request_header(Box::new(header(&head, &content)?)).await?;
        while let Some(frame) = content.frame().await {
            if let Ok(piece) = frame?.into_data() {
                session.write_request_body(piece, false).await?;
            }
        }
        session.finish_request_body().await?;
        session.read_response_header().await?;
        let answered = session.response_header().ok_or("the upstream sent no head")?;
        let mut response = Response::new(());
        *response.status_mut() = answered.status;
        *response.headers_mut() = answered.headers.clone();
        // One piece at a time, as in the other direction.
        let (pieces, content) = mpsc::channel(1);
        tokio::spawn(self.download(session, pieces));
        Ok(response.map(|()| streamed(content)))
    }

    /// Hands the content on, and the connection back when all of it has come.
    async fn download(self: Arc<Self>, mut session: HttpSession, pieces: mpsc::Sender<Result<Bytes, BoxError>>) {
        loop {
            match session.read_response_body().await {
                Ok(Some(piece)) => {
                    if pieces.send(Ok(piece)).await.is_err() {
                        return session.shutdown().await;
                    }
                }
                Ok(None) => return self.connector.release_http_session(session, &self.peer, None).await,
                Err(error) => {
                    let _ = pieces.send(Err(error.to_string().into())).await;
                    return;
                }
            }
        }
    }
}

/// The head of a request as Pingora sends it.
fn header(head: &http::request::Parts, content: &Body) -> Result<RequestHeader, BoxError> {
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut header = RequestHeader::build(head.method.clone(), target.as_bytes(), Some(head.headers.len() + 2))?;
    for (name, value) in &head.headers {
        header.append_header(name, value)?;
    }
    if !head.headers.contains_key(HOST)
        && let Some(authority) = head.uri.authority()
    {
        header.insert_header(HOST, authority.as_str())?;
    }
    let is_framed = head.headers.contains_key(CONTENT_LENGTH) || http_body::Body::is_end_stream(content);
    if !is_framed {
        header.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    Ok(header)
}
