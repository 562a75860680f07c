//! The content of a request on its way to the origin. How it moves and how it ends is noted, because it is the client's
//! fault if something goes wrong with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use sandbar_base::clock::Clock;

use super::place::Place;
use crate::body::{self, Body, BoxError};
use crate::origin::ClientFault;

/// The content of a request, which ends with an error when its place is lost.
struct Upload {
    inner: Body,
    place: Arc<Place>,
    clock: Arc<dyn Clock>,
}

/// Wraps the content of a request, so that its place is told how it moves. Empty content stays as it is.
pub(super) fn watched(inner: Body, place: &Arc<Place>, clock: &Arc<dyn Clock>) -> Body {
    if inner.is_end_stream() {
        return inner;
    }
    place.upload_begins();
    body::boxed(Upload { inner, place: Arc::clone(place), clock: Arc::clone(clock) })
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.place.sender.register(context.waker());
        if let Some(fault) = self.place.lost() {
            return Poll::Ready(Some(Err(fault.into())));
        }
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let now = self.clock.monotonic();
        match polled {
            Poll::Pending => {
                self.place.waits_for_upload(now);
                Poll::Pending
            }
            Poll::Ready(Some(Err(error))) => {
                let fault = ClientFault::BadUpload { reason: error.to_string() };
                self.place.upload_spoilt(fault.clone(), now);
                Poll::Ready(Some(Err(fault.into())))
            }
            Poll::Ready(frame) => {
                let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
                self.place.uploaded(bytes as u64, frame.is_none() || self.inner.is_end_stream(), now);
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.place.upload_let_go(self.clock.monotonic());
    }
}
