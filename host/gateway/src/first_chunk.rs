//! Waits for the first part of a request's content before the request goes anywhere. So content that is chunked wrongly
//! from the start never reaches the origin, and a client that announces content and sends none holds no place there.
//! Content that goes wrong later reaches the origin broken off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use sandbar::body::{self, Body, BoxError, Whole};

/// Why the first part of a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFirstChunk {
    /// The body is framed wrongly or ends too early (RFC 9112 sections 7.1 and 8).
    #[error("the request's body is not framed as it should be, or broke off")]
    Bad,
    /// No part came before the deadline.
    #[error("the request's body did not begin in time")]
    Late,
}

/// Gives the whole body, once its first part is there.
///
/// # Errors
/// When the first part is framed wrongly, or does not come within `deadline`.
pub(super) async fn begun(mut incoming: Whole, deadline: Duration) -> Result<Body, NoFirstChunk> {
    let first = tokio::time::timeout(deadline, incoming.frame()).await.map_err(|_| NoFirstChunk::Late)?;
    let first = match first {
        None => return Ok(body::empty()),
        Some(frame) => Some(frame.map_err(|_| NoFirstChunk::Bad)?),
    };
    Ok(body::boxed(Begun { first, rest: incoming }))
}

/// A body of which the first part has been read.
struct Begun {
    first: Option<Frame<Bytes>>,
    rest: Whole,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && http_body::Body::is_end_stream(&self.rest)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        let rest = http_body::Body::size_hint(&self.rest);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}
