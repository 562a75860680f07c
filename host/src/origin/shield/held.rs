//! A response body that counts as work at the origin until it has ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::gate::Permit;
use super::trial::Watcher;
use crate::body::{Body, BoxError};

/// A body with the permit of its request.
pub(super) struct Held {
    pub(super) inner: Body,
    /// None when it has ended.
    pub(super) permit: Option<Permit>,
    pub(super) watcher: Watcher,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if matches!(frame, Some(Err(_))) && self.permit.is_some() {
            self.watcher.broke_off();
        }
        if !matches!(frame, Some(Ok(_))) || self.inner.is_end_stream() {
            self.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
