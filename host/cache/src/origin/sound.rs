//! The check that a response of an origin goes through before anything else sees it. A response that is accepted
//! becomes a [`Sound`]; the cache takes nothing else.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use sandbar_http::semantics::sound::{Expected, Length, Received, Unsound};

use super::OriginError;
use crate::body::{self, Body, BoxError};

/// A response of an origin that is framed in one way only and answers the request; its content ends with an error
/// unless it is as long as the head says. Only the check makes one:
///
/// ```compile_fail
/// let sound = sandbar::origin::Sound { response: http::Response::new(sandbar::body::empty()) };
/// ```
#[derive(Debug)]
pub struct Sound {
    response: Response<Body>,
}

impl Sound {
    /// Checks a response against what its request expects. `origin` is the origin's name in errors.
    ///
    /// # Errors
    /// When the response can't be trusted: nothing of it may be stored or forwarded.
    pub(super) fn check(expected: &Expected, response: Response<Body>, origin: &str) -> Result<Self, OriginError> {
        let (mut head, content) = response.into_parts();
        let received = Received { status: &mut head.status, version: head.version, fields: &mut head.headers };
        let length = expected.check(received).map_err(|why| unsound(origin, why))?;
        let content = match length {
            // Over a connection there is no content then; a service may return some all the same.
            Length::None => body::empty(),
            Length::Any => content,
            Length::Exactly(bytes) => measured(content, bytes, bytes, origin),
            Length::OrOneLess(bytes) => measured(content, bytes.saturating_sub(1), bytes, origin),
        };
        Ok(Self { response: Response::from_parts(head, content) })
    }

    /// The same response, with its content wrapped in a body that only observes it.
    pub(crate) fn map_content(self, watched: impl FnOnce(Body) -> Body) -> Self {
        Self { response: self.response.map(watched) }
    }

    /// The response that was checked.
    pub fn into_response(self) -> Response<Body> {
        self.response
    }
}

impl Deref for Sound {
    type Target = Response<Body>;

    fn deref(&self) -> &Response<Body> {
        &self.response
    }
}

/// What a request expects of its response.
pub(super) fn expected<B>(request: &Request<B>) -> Expected {
    Expected::of(request.method(), request.headers())
}

fn unsound(origin: &str, why: Unsound) -> OriginError {
    OriginError::Unsound { origin: origin.to_owned(), why }
}

fn measured(inner: Body, least: u64, most: u64, origin: &str) -> Body {
    body::boxed(Measured { inner, read: 0, least, most, origin: origin.into() })
}

/// Content that ends with an error where it is not as long as its head says.
struct Measured {
    inner: Body,
    read: u64,
    least: u64,
    most: u64,
    origin: Arc<str>,
}

impl Measured {
    fn broken(&self, longer: bool) -> BoxError {
        unsound(&self.origin, Unsound::Content { said: self.most, longer }).into()
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.read = self.read.saturating_add(bytes as u64);
                // No byte beyond the length in the head is forwarded: it would be taken for the beginning of what
                // follows.
                if self.read > self.most {
                    return Poll::Ready(Some(Err(self.broken(true))));
                }
            }
            None if self.read < self.least => return Poll::Ready(Some(Err(self.broken(false)))),
            _ => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.read >= self.least && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.least.saturating_sub(self.read));
        hint.set_upper(self.most.saturating_sub(self.read));
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body::Body as _;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// What a reader gets of a part of `labelled` bytes that comes in pieces of these lengths.
    async fn read(labelled: usize, pieces: &'static [usize]) -> Result<usize, String> {
        let request = Request::get("/").header("range", "bytes=0-").body(()).expect("a request");
        let frames = pieces.iter().map(|length| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; *length]))));
        let label = format!("bytes 0-{}/100", labelled - 1);
        let response = Response::builder().status(206).header("content-range", label);
        let content = body::boxed(StreamBody::new(stream::iter(frames)));
        let sound = Sound::check(&expected(&request), response.body(content).expect("a response"), "here");
        let content = sound.map_err(|error| error.to_string())?.into_response().into_body();
        content.collect().await.map(|whole| whole.to_bytes().len()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn content_ends_with_an_error_unless_it_is_as_long_as_was_said() {
        assert_eq!(read(10, &[4, 6]).await, Ok(10));
        for (pieces, what) in [(&[4, 5][..], "less"), (&[], "less"), (&[4, 7], "more"), (&[11], "more")] {
            let error = read(10, pieces).await.expect_err("it is not as long as its label");
            assert!(error.contains(what) && error.contains("here"), "{pieces:?}: {error}");
        }
    }

    #[tokio::test]
    async fn content_that_is_missing_is_not_taken_for_none() {
        let request = Request::get("/").body(()).expect("a request");
        let response = Response::builder().header("content-length", "5").body(body::empty()).expect("a response");
        let content = Sound::check(&expected(&request), response, "here").expect("a head").into_response().into_body();
        assert!(!content.is_end_stream());
        content.collect().await.map(|_| ()).expect_err("five bytes are missing");
    }
}
