//! Content over HTTP/2: a message whose stream was reset before its end is told from a complete one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::BoxError;

/// Content as hyper reads it, which ends with an error where its stream was reset before the end of the message.
///
/// RFC 9113 section 8.1: a message ends with END_STREAM. hyper takes a reset with NO_ERROR for the end too: truncated
/// content would look complete, and be stored or accepted by the origin as such.
#[derive(Debug)]
pub struct Whole {
    incoming: Incoming,
    is_watched: bool,
}

/// Why content is incomplete.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("its stream was reset before its end")]
struct Reset;

impl Whole {
    /// `is_watched` where the content comes over HTTP/2 and a reset can only mean that it is incomplete. It need not
    /// mean that for the response to a request whose content is still being sent: "a server MAY request that the client
    /// abort transmission of a request without error by sending a RST_STREAM with an error code of NO_ERROR after
    /// sending a complete response" (section 8.1). Over HTTP/1.1 hyper itself detects truncated content.
    pub(crate) const fn new(incoming: Incoming, is_watched: bool) -> Self {
        Self { incoming, is_watched }
    }

    /// The content of a request. A client that resets the stream gives the request up, even if it had sent all of it.
    pub fn of(request: Request<Incoming>) -> Request<Self> {
        let is_watched = request.version() == Version::HTTP_2;
        request.map(|incoming| Self::new(incoming, is_watched))
    }
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if frame.is_none() && self.is_watched && !self.incoming.is_end_stream() {
            self.is_watched = false;
            return Poll::Ready(Some(Err(Reset.into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
