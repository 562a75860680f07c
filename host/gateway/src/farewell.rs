//! How clients are told to open another connection, at which another process answers, so that none of them finds its
//! connection closed just when it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode, Version};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What is told on one connection, once it is to be left.
pub(super) struct Farewell {
    leave: CancellationToken,
    speaks_two: AtomicBool,
    asked_in_two: Notify,
}

impl Farewell {
    /// A connection that is to be left once `leave` is cancelled.
    pub(super) fn new(leave: CancellationToken) -> Arc<Self> {
        Arc::new(Self { leave, speaks_two: AtomicBool::new(false), asked_in_two: Notify::new() })
    }

    /// Has this connection be left, whether the others are or not.
    pub(super) fn begin(&self) {
        self.leave.cancel();
    }

    /// Notes a request.
    pub(super) fn asked(&self, version: Version) {
        if version == Version::HTTP_2 && !self.speaks_two.swap(true, Ordering::AcqRel) {
            self.asked_in_two.notify_one();
        }
    }

    /// Marks the response to a request of this version as the last one of its connection, if it is to be. HTTP/2 has no
    /// such mark (RFC 9113 section 8.2.2), and a tunnel is no connection of HTTP any more.
    pub(super) fn mark<B>(&self, version: Version, response: &mut Response<B>) {
        let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if version <= Version::HTTP_11 && !is_tunnel && self.leave.is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Returns once a client that speaks HTTP/2 is to be sent GOAWAY. Requests that it sends before it reads that are
    /// answered all the same (RFC 9113 section 6.8). For a client of HTTP/1.1 it never returns.
    pub(super) async fn goes_away(&self) {
        self.leave.cancelled().await;
        while !self.speaks_two.load(Ordering::Acquire) {
            self.asked_in_two.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(farewell: &Farewell, version: Version, status: u16) -> bool {
        let mut response = Response::builder().status(status).body(()).expect("a response");
        farewell.mark(version, &mut response);
        response.headers().contains_key(CONNECTION)
    }

    #[test]
    fn answers_over_http_1_are_the_last_ones_once_the_connection_is_to_be_left() {
        let leave = CancellationToken::new();
        let farewell = Farewell::new(leave.clone());
        assert!(!marked(&farewell, Version::HTTP_11, 200));
        leave.cancel();
        assert!(marked(&farewell, Version::HTTP_11, 200) && marked(&farewell, Version::HTTP_10, 404));
        assert!(!marked(&farewell, Version::HTTP_2, 200) && !marked(&farewell, Version::HTTP_11, 101));
    }

    #[tokio::test]
    async fn only_clients_of_http_2_are_sent_goaway_and_those_that_ask_later_too() {
        let leave = CancellationToken::new();
        let (old, new) = (Farewell::new(leave.clone()), Farewell::new(leave.clone()));
        old.asked(Version::HTTP_11);
        new.asked(Version::HTTP_2);
        let mut early = std::pin::pin!(new.goes_away());
        assert!(futures_util::poll!(&mut early).is_pending(), "nobody leaves yet");
        leave.cancel();
        early.await;
        let mut late = std::pin::pin!(old.goes_away());
        assert!(futures_util::poll!(&mut late).is_pending());
        old.asked(Version::HTTP_2);
        late.await;
    }
}
