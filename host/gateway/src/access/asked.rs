//! What a line tells of a request, noted before the request is consumed.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, Method, Request, Version, header};
use sandbar_base::clock::Timestamp;
use sandbar_base::memory_budget::{Reserved, Use};
use sandbar_http::client::Client;

use super::AccessLog;
use super::text::beginning;

/// What is kept of a target, in bytes.
const TARGET_BYTES_MAX: usize = 4096;
/// What is kept of a host, a `Referer` and a `User-Agent` each, in bytes.
const FIELD_BYTES_MAX: usize = 1024;

/// What is kept of a method, in bytes: a client may make one up.
const METHOD_BYTES_MAX: usize = 64;

/// What a line tells of a request.
pub(crate) struct Asked {
    pub(super) at: Timestamp,
    pub(super) began: Duration,
    pub(super) client: IpAddr,
    pub(super) peer: IpAddr,
    pub(super) method: Method,
    pub(super) host: Box<[u8]>,
    pub(super) target: Box<[u8]>,
    pub(super) version: Version,
    pub(super) referer: Option<Box<[u8]>>,
    pub(super) user_agent: Option<Box<[u8]>>,
    /// The charge for the above, until the line is written.
    _room: Reserved,
}

impl AccessLog {
    /// Notes a request; none where the node has no memory left for that, and its line is lost.
    pub(crate) fn asked<B>(&self, request: &Request<B>, peer: IpAddr, client: &Client) -> Option<Box<Asked>> {
        let (fields, uri) = (request.headers(), request.uri());
        let field = |name: HeaderName| Some(beginning(fields.get(name)?.as_bytes(), FIELD_BYTES_MAX));
        let authority = uri.authority().map(|authority| beginning(authority.as_str().as_bytes(), FIELD_BYTES_MAX));
        let target = match uri.path_and_query() {
            Some(target) => target.as_str(),
            None => uri.authority().map_or("", |authority| authority.as_str()),
        };
        let target = beginning(target.as_bytes(), TARGET_BYTES_MAX);
        let host = authority.or_else(|| field(header::HOST)).unwrap_or_default();
        let (referer, user_agent) = (field(header::REFERER), field(header::USER_AGENT));
        let method = bounded(request.method());
        let texts = [Some(&target), Some(&host), referer.as_ref(), user_agent.as_ref()];
        let bytes = size_of::<Asked>() + texts.into_iter().flatten().map(|text| text.len()).sum::<usize>();
        let bytes = bytes + method.as_str().len();
        let Some(room) = self.budget.reserve(Use::Streams, bytes as u64) else {
            self.queue.lost_for_want_of_room();
            return None;
        };
        Some(Box::new(Asked {
            at: self.clock.now(),
            began: self.clock.monotonic(),
            client: client.address(),
            peer: peer.to_canonical(),
            method,
            host,
            target,
            version: request.version(),
            referer,
            user_agent,
            _room: room,
        }))
    }
}

/// The method, or the beginning of one that is longer than any is.
fn bounded(method: &Method) -> Method {
    match method.as_str().as_bytes().split_at_checked(METHOD_BYTES_MAX) {
        Some((beginning, rest)) if !rest.is_empty() => Method::from_bytes(beginning).unwrap_or_default(),
        _ => method.clone(),
    }
}
