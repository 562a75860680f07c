//! The body of a response on its way from the origin, watched for silence.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::ejection::Failure;
use super::upload::{Sending, Sent};
use super::visit::Visit;
use crate::body::{BoxError, Whole};
use crate::origin::OriginError;

/// A response body with its deadlines. Silence counts only while somebody waits for the next part: a slow reader is not
/// the origin's fault.
pub(super) struct Download {
    pub(super) inner: Whole,
    pub(super) origin: Arc<str>,
    pub(super) idle_deadline: Duration,
    pub(super) total_deadline: Duration,
    pub(super) total_at: Instant,
    pub(super) waiting: Option<Pin<Box<Sleep>>>,
    /// How far the request's content has come; `None` where it has none.
    pub(super) sending: Option<Arc<Sending>>,
    /// The request is at its address until the response has ended.
    pub(super) visit: Visit,
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
            let missed = self.missed("idle-body", self.idle_deadline);
            self.blame(missed)
        })
    }

    fn broken(&mut self, error: &(dyn StdError + 'static)) -> BoxError {
        let (origin, reason) = (self.origin.to_string(), super::reason::reason(error));
        self.blame(OriginError::Broken { origin, reason }.into())
    }

    /// Holds it against the address that the response did not come whole, unless the client may be to blame: where the
    /// request's content breaks off, so does the response.
    fn blame(&mut self, error: BoxError) -> BoxError {
        if self.sending.as_ref().is_none_or(|sending| matches!(sending.state(), Sent::All(_))) {
            self.visit.failed(Failure::BadAnswer, error.to_string());
        }
        error
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = None;
            if self.inner.is_end_stream() || frame.is_none() {
                self.visit.answered();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| self.broken(&*error))));
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
