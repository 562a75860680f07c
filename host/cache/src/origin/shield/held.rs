//! A response body that holds a place at the origin until it has ended, or its client has not read on for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::gate::Permit;
use super::trial::Watcher;
use crate::body::{self, Body, BoxError};
use crate::holdings::Holder;
use crate::origin::Lasting;

/// The place at the origin of a request that has switched its connection to another protocol, for as long as the
/// connection lasts: an extension of the response.
#[derive(Clone, Debug)]
pub(crate) struct Switched {
    _permit: Arc<Permit>,
    /// What the origin holds for the connection.
    _lasting: Option<Lasting>,
}

impl Switched {
    pub(super) fn of(permit: Permit, lasting: Option<Lasting>) -> Self {
        Self { _permit: Arc::new(permit), _lasting: lasting }
    }
}

/// A body with the permit of its request.
struct Held {
    /// `None` once the body has ended.
    permit: Option<Permit>,
    watcher: Watcher,
    /// Bytes in the part of the body that was handed to the client last.
    given: u64,
}

/// The content of a response, which holds its place until it has ended.
pub(super) fn held(content: Body, permit: Permit, watcher: Watcher) -> Body {
    if content.is_end_stream() {
        return content;
    }
    permit.place.waits_for_reader(watcher.clock.monotonic());
    *permit.place.content.lock() = Some(content);
    body::boxed(Held { permit: Some(permit), watcher, given: 0 })
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(place) = this.permit.as_ref().map(|permit| &permit.place) else { return Poll::Ready(None) };
        let now = this.watcher.clock.monotonic();
        place.read(std::mem::take(&mut this.given), now);
        place.receiver.register(context.waker());
        let mut content = place.content.lock();
        let polled = match &mut *content {
            Some(inner) => Pin::new(inner).poll_frame(context),
            None => Poll::Ready(place.lost().map(|fault| Err(fault.into()))),
        };
        let ended = content.as_ref().is_none_or(http_body::Body::is_end_stream);
        drop(content);
        match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(frame))) if !ended => {
                this.given = frame.data_ref().map_or(0, |data| data.len() as u64);
                place.waits_for_reader(now);
            }
            Poll::Ready(Some(Ok(_)) | None) => this.permit = None,
            Poll::Ready(Some(Err(_))) => {
                if !place.is_hindered(now) {
                    this.watcher.broke_off(Holder::of(place.client));
                }
                this.permit = None;
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let Some(permit) = &self.permit else { return true };
        permit.place.content.lock().as_ref().is_some_and(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(permit) = &self.permit else { return SizeHint::with_exact(0) };
        permit.place.content.lock().as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}
