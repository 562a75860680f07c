//! Pingora's side: requests go to the cache, and its answers to the client.

use std::convert::Infallible;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::{ProxyHttp, Session};
use sandbar::CacheService;
use sandbar::body::{self, Body, BoxError};
use tokio::sync::mpsc;
use tower::ServiceExt;

/// Answers from the cache, whose origin is the peer.
pub(crate) struct Caching {
    pub(crate) cached: CacheService,
    pub(crate) peer: HttpPeer,
}

/// A piece of a request's content, or why it broke off.
type Piece = std::result::Result<Bytes, BoxError>;

#[async_trait]
impl ProxyHttp for Caching {
    type CTX = ();

    fn new_ctx(&self) {}

    /// Where upgrades go, which the cache does not take.
    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.peer.clone()))
    }

    async fn request_filter(&self, session: &mut Session, _ctx: &mut ()) -> Result<bool> {
        if session.is_upgrade_req() {
            return Ok(false);
        }
        let (pieces, content) = if session.is_body_empty() {
            (None, body::empty())
        } else {
            // One piece at a time: who reads slowly slows the client down, and nothing piles up here.
            let (pieces, content) = mpsc::channel(1);
            (Some(pieces), streamed(content))
        };
        let mut request = Request::new(content);
        let head = session.req_header();
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers.clone();
        let answer = self.answer(request);
        let (answer, uploaded) = tokio::join!(answer, upload(session, pieces));
        uploaded?;
        let Ok(response) = answer;
        send(session, response).await?;
        Ok(true)
    }
}

impl Caching {
    /// Asks the cache. Boxed here: within the trait's boxed future the compiler can't tell that this one is `Send`.
    fn answer(&self, request: Request<Body>) -> BoxFuture<'static, std::result::Result<Response<Body>, Infallible>> {
        Box::pin(self.cached.clone().oneshot(request))
    }
}

/// A body of pieces that come over a channel.
pub(crate) fn streamed(pieces: mpsc::Receiver<Piece>) -> Body {
    let frames = futures_util::stream::unfold(pieces, async |mut pieces| {
        let piece = pieces.recv().await?;
        Some((piece.map(Frame::data), pieces))
    });
    body::boxed(StreamBody::new(frames))
}

/// Hands the request's content on until it ends, or nobody wants more.
async fn upload(session: &mut Session, pieces: Option<mpsc::Sender<Piece>>) -> Result<()> {
    let Some(pieces) = pieces else { return Ok(()) };
    loop {
        match session.read_request_body().await {
            Ok(Some(piece)) => {
                if pieces.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                // The upstream must not take what came for the whole.
                let _ = pieces.send(Err(error.to_string().into())).await;
                return Err(error);
            }
        }
    }
}

/// Sends a response to the client.
async fn send(session: &mut Session, response: Response<Body>) -> Result<()> {
    let (head, mut content) = response.into_parts();
    let mut header = ResponseHeader::build(head.status, Some(head.headers.len()))?;
    for (name, value) in &head.headers {
        header.append_header(name, value)?;
    }
    session.write_response_header(Box::new(header), false).await?;
    while let Some(frame) = content.frame().await {
        let broken = |error: BoxError| Error::because(ErrorType::ReadError, "the response broke off", error);
        // Trailers may be dropped (RFC 9110 section 6.5.1).
        if let Ok(piece) = frame.map_err(broken)?.into_data() {
            session.write_response_body(Some(piece), false).await?;
        }
    }
    session.write_response_body(None, true).await
}
