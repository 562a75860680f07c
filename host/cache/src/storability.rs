//! Storability: whether a response may be stored and shared, and its plan, by RFC 9111 and the tenant's policy. It is
//! the same for what the origin has just sent, for what a 304 or a HEAD has freshened, for what is put into the cache,
//! and for what is planned anew.

mod detach;
mod jitter;

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use sandbar_base::memory_budget::Content;
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::{ResponseHead, Times, Vary, standard, stored_fields, vary};
use sandbar_policy::freshness::{Fill, Obstacle, Planned, Standard};

use self::detach::detached_fields;
use self::jitter::jittered;
use crate::not_stored::NotStored;
use crate::request::{CacheRequest, key_for};

/// A response as it was received, without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) status: StatusCode,
    pub(crate) fields: &'a HeaderMap,
    /// Length of the body in bytes where it is known.
    pub(crate) body_bytes: Option<u64>,
    pub(crate) times: Times,
    pub(crate) fetch_time: Duration,
}

/// A response as it would be stored, its body left out.
struct Composed {
    stored: StoredResponse,
    /// Names of the selecting fields, sorted.
    vary: Vec<String>,
    standard: Standard,
}

/// A response that may be stored, and given to each request that selects it. Made by [`CacheRequest::storability`]
/// alone.
#[derive(Clone, Debug)]
pub(crate) struct Shareable {
    stored: StoredResponse,
    vary: Vec<String>,
}

impl Shareable {
    /// The response as it will be stored.
    pub(crate) const fn stored(&self) -> &StoredResponse {
        &self.stored
    }

    /// Names of the fields that select it, sorted.
    pub(crate) fn vary(&self) -> &[String] {
        &self.vary
    }

    /// The response, and the names of the fields that select it.
    pub(crate) fn into_parts(self) -> (StoredResponse, Vec<String>) {
        (self.stored, self.vary)
    }

    /// The same response with a change: its body or version is added, or it is combined with stored parts.
    #[must_use]
    pub(crate) fn with(self, change: impl FnOnce(StoredResponse) -> StoredResponse) -> Self {
        Self { stored: change(self.stored), vary: self.vary }
    }

    /// Like [`Self::with`]; `None` where the change leaves nothing to be stored.
    pub(crate) fn with_if(self, change: impl FnOnce(StoredResponse) -> Option<StoredResponse>) -> Option<Self> {
        Some(Self { stored: change(self.stored)?, vary: self.vary })
    }
}

/// A response that may not be stored, and so is for one request only.
#[derive(Debug)]
pub(crate) struct Withheld {
    /// The response as it would be stored.
    pub(crate) stored: Box<StoredResponse>,
    pub(crate) why: NotStored,
}

/// Whether a response may be stored and shared.
pub(crate) type Storability = Result<Shareable, Withheld>;

fn obstacle(standard: &Standard, stored: &StoredResponse, too_large: bool) -> Option<NotStored> {
    if too_large {
        Some(NotStored::TooLarge)
    } else if stored.plan.stores() {
        None
    } else {
        // An obstacle in the response comes first: one in the request may not stand in the way of other requests.
        let mut obstacles = standard.obstacles.iter().map(|obstacle| NotStored::Obstacle(*obstacle));
        let first = obstacles.next();
        let of_the_response = first.into_iter().chain(obstacles).find(|why| !why.is_of_the_request());
        Some(of_the_response.or(first).unwrap_or(NotStored::Policy))
    }
}

impl CacheRequest {
    /// What RFC 9111 says of a response to this request, and what the tenant's policy makes of that. A stored response
    /// answers a GET, so it is treated as the response to one (RFC 9111 section 4.3.5).
    pub(crate) fn planned(&self, received: &Received<'_>) -> (Standard, Planned) {
        let head = ResponseHead { status: received.status, fields: received.fields };
        let standard = standard(&self.head_of_get(), &head, received.times, &self.class().store_rules);
        let planned = self.tenant.policies.plan(&self.fill(received), &standard);
        let percent = self.class().lifetime_jitter_percent;
        let (received, age) = (received.times.received, standard.initial_age);
        let plan = jittered(planned.plan, self.key.hash(), received, age, percent);
        (standard, Planned { plan, ..planned })
    }

    /// Whether a response sets a cookie that is for this request alone.
    pub(crate) fn has_a_cookie_of_its_own(&self, received: &Received<'_>) -> bool {
        let head = ResponseHead { status: received.status, fields: received.fields };
        standard(&self.head_of_get(), &head, received.times, &self.class().store_rules)
            .obstacles
            .contains(&Obstacle::SetCookie)
    }

    /// The fields of a response as they would be stored.
    pub(crate) fn stored_fields(&self, received: &Received<'_>) -> HeaderMap {
        detached_fields(stored_fields(received.fields, received.times.received, &self.class().store_rules))
    }

    /// Whether a response may be stored and shared. Only what this returns can be stored, or given to waiters.
    /// `sequence` is the purge sequence from when its fill began.
    pub(crate) fn storability(&self, received: &Received<'_>, sequence: u64) -> Storability {
        let Composed { stored, vary, standard } = self.composed(received, sequence);
        let too_large = received.body_bytes.is_some_and(|bytes| bytes > self.tenant.settings.body_bytes_max);
        match obstacle(&standard, &stored, too_large) {
            None => Ok(Shareable { stored, vary }),
            Some(why) => Err(Withheld { stored: Box::new(stored), why }),
        }
    }

    /// The response as it would be stored.
    fn composed(&self, received: &Received<'_>, sequence: u64) -> Composed {
        let (standard, planned) = self.planned(received);
        let vary = match vary(received.fields) {
            Vary::Names(names) => names,
            Vary::None | Vary::Any => Vec::new(),
        };
        let stored = StoredResponse {
            key: key_for(self, &vary).shared_text(),
            status: received.status,
            fields: self.stored_fields(received),
            body: Content::default(),
            parts: None,
            requested: received.times.requested,
            received: received.times.received,
            initial_age: standard.initial_age,
            fetch_time: received.fetch_time,
            plan: planned.plan,
            directives: standard.directives,
            sequence,
            policy: planned.policy,
            version: None,
        };
        Composed { stored, vary, standard }
    }

    /// What a policy is shown of a response to this request.
    fn fill<'a>(&'a self, received: &Received<'a>) -> Fill<'a> {
        Fill {
            method: &Method::GET,
            site: &self.site,
            target: &self.target,
            class: &self.class().name,
            request: &self.fields,
            status: received.status,
            response: received.fields,
            body_bytes: received.body_bytes,
            fetch_time: received.fetch_time,
        }
    }
}
