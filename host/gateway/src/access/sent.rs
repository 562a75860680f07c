//! A response on its way to the client. When it has ended, or is given up, its line is written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, response};
use http_body::{Body, Frame, SizeHint};
use sandbar::cache::Provenance;
use sandbar::tenant::Tenant;
use sandbar::tenant::class::Class;

use super::line::{End, Line};
use super::{AccessLog, Asked};

/// Who answered a request, and how that came about.
pub(crate) struct Answered {
    /// The tenant that the request was for, and the class of its target; none where it reached no tenant.
    pub(crate) tenant: Option<(Arc<Tenant>, Arc<Class>)>,
    pub(crate) provenance: Provenance,
}

impl Answered {
    /// By the gateway itself, for this reason in one word.
    pub(crate) const fn refused(detail: &'static str) -> Self {
        Self { tenant: None, provenance: Provenance::refused(detail) }
    }
}

/// The content of a response, with the line that is written when it has ended.
pub(crate) struct Logged<B: Body> {
    content: B,
    line: Option<Box<Unwritten>>,
}

/// What the line of a response tells, as far as is known before the response has ended.
struct Unwritten {
    log: Arc<AccessLog>,
    asked: Box<Asked>,
    answered: Answered,
    status: StatusCode,
    first_byte: Duration,
    sent_bytes: u64,
    /// The length of the content, where it is known at the beginning.
    content_bytes: Option<u64>,
    end: Option<End>,
}

impl<B: Body<Data = Bytes>> Logged<B> {
    /// A response that nobody logs.
    pub(crate) const fn unlogged(content: B) -> Self {
        Self { content, line: None }
    }

    /// A response whose head is ready.
    pub(crate) fn new(
        content: B,
        head: &response::Parts,
        log: Arc<AccessLog>,
        (asked, answered): (Box<Asked>, Answered),
    ) -> Self {
        let first_byte = log.clock.monotonic().saturating_sub(asked.began);
        // RFC 9110 section 6.4.1: no content follows these, whatever the response would hold for another request.
        let status = head.status;
        let is_bare = asked.method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let content_bytes = if is_bare { Some(0) } else { content.size_hint().exact() };
        let line = Unwritten { log, asked, answered, status, first_byte, sent_bytes: 0, content_bytes, end: None };
        Self { content, line: Some(Box::new(line)) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Logged<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(context));
        if let Some(line) = &mut self.line {
            match &frame {
                Some(Ok(frame)) => line.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(_)) => line.end = Some(End::Broken),
                None => line.end = line.end.or(Some(End::Complete)),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl<B: Body> Drop for Logged<B> {
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        // A connection that knows the length does not ask whether anything follows.
        let is_all = self.content.is_end_stream() || line.content_bytes == Some(line.sent_bytes);
        line.write(if is_all { End::Complete } else { End::Cut });
    }
}

impl Unwritten {
    /// Writes the line; the response ended in the way that was seen or, where none was, in this one.
    fn write(self, unseen: End) {
        let Self { log, asked, answered, status, first_byte, sent_bytes, end, .. } = self;
        let duration = log.clock.monotonic().saturating_sub(asked.began);
        log.write(&Line {
            asked: &asked,
            tenant: answered.tenant.as_ref().map(|(tenant, _)| &*tenant.name),
            class: answered.tenant.as_ref().map(|(_, class)| class.name.as_str()),
            provenance: answered.provenance,
            status,
            sent_bytes,
            first_byte,
            duration,
            end: end.unwrap_or(unseen),
        });
    }
}
