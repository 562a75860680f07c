//! Content over HTTP/2 whose stream was reset before its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::BoxError;

/// Content as hyper reads it, that ends with an error unless it has been ended.
///
/// RFC 9113 section 8.1: a message ends with END_STREAM. hyper takes a reset with NO_ERROR for an end too, which would make
/// of what was broken off a shorter whole: to be stored, or to be taken in by the origin.
#[derive(Debug)]
pub struct Whole {
    incoming: Incoming,
    is_watched: bool,
}

/// Why content is not whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("its stream was reset before its end")]
struct Reset;

impl Whole {
    /// `is_watched` where it comes over HTTP/2, and nobody may reset its stream once it is complete: "a server MAY request
    /// that the client abort transmission of a request without error by sending a RST_STREAM with an error code of NO_ERROR
    /// after sending a complete response" (section 8.1). Over HTTP/1.1 hyper itself tells one end from another.
    pub(crate) const fn new(incoming: Incoming, is_watched: bool) -> Self {
        Self { incoming, is_watched }
    }

    /// The content of a request: whoever resets its stream gives it up, complete or not.
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
