//! The body of a request on its way to the origin, watched for silence.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::{Body, BoxError};

/// A request body that notes when it last moved: no deadline runs while the client is still sending.
pub(super) struct Upload {
    /// `None` once it was given back.
    inner: Option<Body>,
    sending: Arc<Sending>,
    /// Whether it is given back where nothing of it was asked for.
    returns: bool,
}

/// How far a request body has come.
pub(super) struct Sending {
    sent: Mutex<Sent>,
    unsent: Mutex<Option<Body>>,
}

/// The state of a request body on its way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    /// All of it was sent, the last of it at this time.
    All(Instant),
    /// The origin has not taken more of it since this time.
    Stuck(Instant),
    /// The client has more to send, and the origin waits for it.
    Awaited,
}

impl Sending {
    pub(super) fn state(&self) -> Sent {
        *self.sent.lock()
    }

    /// The body, where its request has ended and nothing of it was asked for.
    pub(super) fn unsent(&self) -> Option<Body> {
        self.unsent.lock().take()
    }
}

impl Upload {
    /// A body which, if it `returns`, is given back where its request ends before anything of it was asked for.
    pub(super) fn new(inner: Body, returns: bool) -> (Self, Arc<Sending>) {
        let now = Instant::now();
        let sent = if inner.is_end_stream() { Sent::All(now) } else { Sent::Stuck(now) };
        let sending = Arc::new(Sending { sent: Mutex::new(sent), unsent: Mutex::default() });
        (Self { inner: Some(inner), sending: Arc::clone(&sending), returns }, sending)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.returns {
            *self.sending.unsent.lock() = self.inner.take();
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.returns = false;
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *inner).poll_frame(cx);
        *self.sending.sent.lock() = match &polled {
            Poll::Pending => Sent::Awaited,
            Poll::Ready(frame) if frame.is_none() || inner.is_end_stream() => Sent::All(Instant::now()),
            Poll::Ready(_) => Sent::Stuck(Instant::now()),
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}
