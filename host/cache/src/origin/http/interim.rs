//! The interim responses (RFC 9110 section 15.2) that an HTTP/1.1 origin sends before its response: they are forwarded,
//! within bounds. Over HTTP/2 hyper drops them, and the first-byte deadline is their only bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, Request};
use hyper::ext::on_informational;
use sandbar_http::Interim;
use tokio::sync::Notify;

use super::READ_BYTES;

/// Interim responses before one response. A long upload may be told of its progress, so it is more than a few.
pub(super) const RESPONSES_MAX: usize = 32;
/// Bytes of their fields together, as much as the head of the response itself may have.
pub(super) const BYTES_MAX: usize = READ_BYTES;

/// Counts the interim responses that have come before a response so far.
#[derive(Debug, Default)]
pub(super) struct Interims {
    responses: AtomicUsize,
    bytes: AtomicUsize,
    too_many: Notify,
}

impl Interims {
    /// Counts the interim responses to a request, and forwards them to the request's [`Interim`].
    pub(super) fn of<B>(request: &mut Request<B>) -> Arc<Self> {
        let interims = Arc::new(Self::default());
        let (noting, to) = (Arc::clone(&interims), request.extensions_mut().remove::<Interim>());
        on_informational(request, move |response| {
            if noting.note(response.headers())
                && let Some(to) = &to
            {
                to.pass(response.status(), response.headers());
            }
        });
        interims
    }

    /// Counts one more. True while the bounds are kept.
    fn note(&self, fields: &HeaderMap) -> bool {
        let bytes = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let responses = self.responses.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let within = responses <= RESPONSES_MAX && bytes <= BYTES_MAX;
        if !within {
            self.too_many.notify_one();
        }
        within
    }

    /// Ends when more have come than the bounds allow.
    pub(super) async fn too_many(&self) {
        self.too_many.notified().await;
    }
}
