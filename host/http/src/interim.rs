//! Interim responses (RFC 9110 section 15.2), such as `103 Early Hints`: passed from the origin to the client whose
//! request was forwarded. They are never stored, and waiters for the same response don't see them.

use std::fmt;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

use super::semantics::fields::strip_hop_by_hop;

type Send1xx = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

/// Where the interim responses to one request go. A caller that can send them to its client puts an [`Interim`] into
/// the extensions of the request to the cache; an origin finds it in the extensions of the request that it gets.
///
/// RFC 9110 section 15.2: "A proxy MUST forward 1xx responses unless the proxy itself requested the generation of the
/// 1xx response."
#[derive(Clone)]
pub struct Interim {
    send: Arc<Send1xx>,
}

impl Interim {
    /// `send` is called with each interim response, in their order, and must not block.
    pub fn new(send: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        Self { send: Arc::new(send) }
    }

    /// Passes an interim response on, without the fields of the origin's connection. A 100 and a 101 belong to that
    /// connection as a whole and are dropped: the cache answers `Expect` itself and never asks for another protocol.
    pub fn pass(&self, status: StatusCode, fields: &HeaderMap) {
        if !matches!(status.as_u16(), 102..=199) {
            return;
        }
        let mut fields = fields.clone();
        strip_hop_by_hop(&mut fields);
        // Section 15.2: an interim response has no content.
        fields.remove(CONTENT_LENGTH);
        (self.send)(status, &fields);
    }
}

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interim")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use parking_lot::Mutex;

    #[test]
    fn what_belongs_to_one_connection_stays_there() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let interim = Interim::new(move |status, fields| sink.lock().push((status.as_u16(), fields.clone())));
        let mut fields = HeaderMap::new();
        for (name, value) in [("connection", "x"), ("x", "1"), ("link", "</a>"), ("content-length", "3")] {
            fields.append(name, HeaderValue::from_static(value));
        }
        for status in [100, 101, 102, 103, 150, 200] {
            interim.pass(StatusCode::from_u16(status).unwrap(), &fields);
        }
        let seen = seen.lock();
        assert_eq!(seen.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [102, 103, 150]);
        assert!(seen.iter().all(|(_, fields)| fields.len() == 1 && fields["link"] == "</a>"));
    }
}
