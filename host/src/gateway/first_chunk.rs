//! A chunked body is begun to be read before its request goes anywhere: one that is chunked wrongly from the start never
//! reaches the origin, and one that turns out so later reaches it broken off.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Incoming;

use crate::body::{self, Body, BoxError};

/// Why a body has no beginning.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoBeginning {
    /// RFC 9112 section 7.1.
    #[error("the request's body is not chunked as it should be")]
    BadChunk,
    /// Nothing came in time.
    #[error("the request's body did not begin in time")]
    Late,
}

/// The body once its first part is there.
///
/// # Errors
/// When that is not as it should be, or does not come in time.
pub(super) async fn begun(mut incoming: Incoming, deadline: Duration) -> Result<Body, NoBeginning> {
    let first = tokio::time::timeout(deadline, incoming.frame()).await.map_err(|_| NoBeginning::Late)?;
    let first = match first {
        None => return Ok(body::empty()),
        Some(frame) => frame.map_err(|_| NoBeginning::BadChunk)?,
    };
    let first: Result<Frame<bytes::Bytes>, BoxError> = Ok(first);
    let rest = BodyStream::new(incoming).map(|frame| frame.map_err(BoxError::from));
    Ok(body::boxed(StreamBody::new(stream::iter([first]).chain(rest))))
}
