//! Other protocols that a client offers to speak (RFC 9110 section 7.8).

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, request};
use hyper::upgrade::OnUpgrade;
use sandbar_http::semantics::upgrade;

use super::CacheRequest;

/// A client's offer to switch to another protocol, and its connection once it has switched.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) client: OnUpgrade,
    /// `Connection` and `Upgrade`, which no further recipient sees.
    fields: HeaderMap,
}

impl Offer {
    /// `None` where the client offers nothing, or its connection can't be switched: it is HTTP/1.0 or HTTP/2.
    pub(crate) fn of(head: &request::Parts) -> Option<Self> {
        let client = head.extensions.get::<OnUpgrade>()?.clone();
        let mut fields = HeaderMap::new();
        for name in [CONNECTION, UPGRADE] {
            for value in head.headers.get_all(&name) {
                fields.append(&name, value.clone());
            }
        }
        Some(Self { client, fields })
    }
}

impl CacheRequest {
    /// The protocols that the origin is asked to switch to: those that the client offers and the target's class allows.
    pub(crate) fn switches_to(&self) -> Option<HeaderValue> {
        let offer = self.offer.as_ref()?;
        upgrade::offered(&self.method, &offer.fields, &self.class().upgrade)
    }
}
