//! Bodies on their way to and from the origin, watched for silence.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::{Body, BoxError, Whole};
use crate::origin::OriginError;

/// A request body that notes when it last moved: no deadline runs while the client is still sending.
pub(super) struct Upload {
    inner: Body,
    progress: Arc<Progress>,
}

/// How far a request body has come.
pub(super) struct Progress(Mutex<Sent>);

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

impl Progress {
    pub(super) fn state(&self) -> Sent {
        *self.0.lock()
    }
}

impl Upload {
    pub(super) fn new(inner: Body) -> (Self, Arc<Progress>) {
        let now = Instant::now();
        let sent = if inner.is_end_stream() { Sent::All(now) } else { Sent::Stuck(now) };
        let progress = Arc::new(Progress(Mutex::new(sent)));
        (Self { inner, progress: Arc::clone(&progress) }, progress)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        *self.progress.0.lock() = match &polled {
            Poll::Pending => Sent::Awaited,
            Poll::Ready(frame) if frame.is_none() || self.inner.is_end_stream() => Sent::All(Instant::now()),
            Poll::Ready(_) => Sent::Stuck(Instant::now()),
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response body with its deadlines. Silence counts only while somebody waits for the next part: a slow reader is not
/// the origin's fault.
pub(super) struct Download {
    pub(super) inner: Whole,
    pub(super) origin: Arc<str>,
    pub(super) idle_deadline: Duration,
    pub(super) total_deadline: Duration,
    pub(super) total_at: Instant,
    pub(super) waiting: Option<Pin<Box<Sleep>>>,
}

impl Download {
    fn missed(&self, what: &'static str, deadline: Duration) -> BoxError {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        OriginError::Deadline { origin: self.origin.to_string(), what, deadline_ms }.into()
    }

    /// Ready with an error when nothing has come until a deadline.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        let (idle, total_at) = (self.idle_deadline, self.total_at);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep_until(total_at.min(Instant::now() + idle))));
        std::task::ready!(waiting.as_mut().poll(cx));
        Poll::Ready(if Instant::now() >= self.total_at {
            self.missed("total", self.total_deadline)
        } else {
            self.missed("idle-body", self.idle_deadline)
        })
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = None;
            let broken = |error: BoxError| {
                let reason = super::reason::reason(&*error);
                BoxError::from(OriginError::Broken { origin: self.origin.to_string(), reason })
            };
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        self.poll_deadlines(cx).map(|missed| Some(Err(missed)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
