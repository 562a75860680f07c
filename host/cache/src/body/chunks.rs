//! A body whose content is in memory already, in several chunks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use super::Body;

/// A body of these chunks, in their order.
pub fn chunks(chunks: impl Into<VecDeque<Bytes>>) -> Body {
    let chunks = chunks.into();
    let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    Chunks { chunks, bytes }.map_err(|never| match never {}).boxed_unsync()
}

struct Chunks {
    chunks: VecDeque<Bytes>,
    /// Bytes that are left to send.
    bytes: u64,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.chunks.pop_front();
        self.bytes -= chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}
