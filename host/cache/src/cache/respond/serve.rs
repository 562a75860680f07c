//! From what was found or fetched to the response that the client gets: preconditions, ranges, `Age`, `Cache-Status`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::cache_status::{CacheStatus, Outcome};
use sandbar_http::semantics::fields::{append_via, retain_for_not_modified};
use sandbar_http::semantics::leave::{Ground, Holds, Leave};
use sandbar_http::semantics::multipart::{multipart, slice};
use sandbar_http::semantics::partial::{Answer, part_answers};
use sandbar_http::semantics::ranges::unsatisfied_range;
use sandbar_http::semantics::surrogate::{CACHE_TAG, SURROGATE_KEY};
use sandbar_http::semantics::{FwdReason, Precondition, Ranges, date, downstream_fields, precondition, ranges};

use crate::body::{self, Body};
use crate::cache::Cache;
use crate::cache::asked::Asked;
use crate::cache::cached::{Cached, kept_while_sent};
use crate::cache::collapse::landing::Arriving;
use crate::cache::found::Found;
use crate::tenant::counters::count;

/// This cache's name in `Cache-Status` and `Via`.
pub const CACHE: &str = "sandbar";

/// How a request was answered, and one word more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    pub(crate) detail: Option<&'static str>,
}

impl Answered {
    pub(crate) const fn hit(tier: &'static str) -> Self {
        Self { outcome: Outcome::Hit, detail: Some(tier) }
    }

    pub(crate) const fn forwarded(reason: FwdReason) -> Self {
        Self { outcome: Outcome::fwd(reason), detail: None }
    }
}

impl Cache {
    /// Serves a stored response.
    pub(crate) fn serve_found(&self, asked: &Asked, leave: &Leave<Found>, answered: Answered) -> Response<Body> {
        let (found, stored) = (leave.what(), leave.what().stored());
        let now = self.inner.clock.now();
        let mut fields = self.fields(asked, &stored.fields, Some(stored.age(now)));
        self.mark(asked, &mut fields, answered, Some(stored));
        if precondition(stored, &asked.head()) == Precondition::NotModified {
            return not_modified(fields);
        }
        let response = if stored.status == StatusCode::PARTIAL_CONTENT {
            part(asked, found.cached(), stored, fields)
        } else {
            selected(asked, stored, stored.body.to_send(), fields)
        };
        let bytes = http_body::Body::size_hint(response.body()).exact().unwrap_or(0);
        asked.tenant.counters.hit_bytes.fetch_add(bytes, Ordering::Relaxed);
        response
    }

    /// Serves a response while it arrives: as it came to the request that caused the fetch, as it will be stored to the
    /// others.
    pub(crate) fn serve_arriving(
        &self,
        asked: &Asked,
        leave: &Leave<Arc<Arriving>>,
        content: Body,
        answered: Answered,
    ) -> Response<Body> {
        let stored = leave.what().stored();
        let mut fields = if leave.ground() == Ground::Own {
            self.forwarded_fields(asked, leave.what().received())
        } else {
            self.fields(asked, &stored.fields, Some(stored.age(self.inner.clock.now())))
        };
        self.mark(asked, &mut fields, answered, Some(stored));
        if precondition(stored, &asked.head()) == Precondition::NotModified {
            return not_modified(fields);
        }
        respond(stored.status, fields, content)
    }

    /// Serves a response of the origin that is not stored.
    pub(crate) fn serve_forwarded(
        &self,
        asked: &Asked,
        response: Response<Body>,
        answered: Answered,
    ) -> Response<Body> {
        let (head, content) = response.into_parts();
        let mut fields = self.forwarded_fields(asked, &head.headers);
        self.mark(asked, &mut fields, answered, None);
        respond(head.status, fields, content)
    }

    /// An answer of the cache's own: there was nothing to serve. `outcome` says whether the origin was asked.
    pub(crate) fn synthesized(
        &self,
        asked: &Asked,
        status: StatusCode,
        outcome: Outcome,
        reason: &'static str,
    ) -> Response<Body> {
        count(&asked.tenant.counters.synthesized);
        let mut fields = HeaderMap::new();
        self.mark(asked, &mut fields, Answered { outcome, detail: Some(reason) }, None);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(DATE, date::format(self.inner.clock.now()));
        respond(status, fields, body::full(format!("{reason}\n")))
    }

    /// The fields of a response that is passed on as it came, `Age` included.
    fn forwarded_fields(&self, asked: &Asked, received: &HeaderMap) -> HeaderMap {
        let mut fields = self.fields(asked, received, None);
        if !fields.contains_key(DATE) {
            // RFC 9110 section 6.6.1: a recipient with a clock adds it before it forwards the response.
            fields.insert(DATE, date::format(self.inner.clock.now()));
        }
        fields
    }

    fn fields(&self, asked: &Asked, fields: &HeaderMap, age: Option<Duration>) -> HeaderMap {
        const KEYS: [HeaderName; 2] = [SURROGATE_KEY, CACHE_TAG];
        let withheld: &[HeaderName] = if asked.tenant.settings.show_surrogate_keys { &[] } else { &KEYS };
        downstream_fields(fields, age, withheld)
    }

    fn mark(&self, asked: &Asked, fields: &mut HeaderMap, answered: Answered, stored: Option<&StoredResponse>) {
        asked.tenant.counters.answers.count(answered.outcome.as_str());
        let mut status = CacheStatus::new(CACHE, answered.outcome);
        status.detail = answered.detail;
        status.key = asked.tenant.settings.show_key.then(|| asked.key.text());
        status.ttl_secs = stored.map(|stored| {
            let age_ms = i64::try_from(stored.age(self.inner.clock.now()).as_millis()).unwrap_or(i64::MAX);
            let lifetime_ms = i64::try_from(stored.plan.freshness_lifetime_ms).unwrap_or(i64::MAX);
            lifetime_ms.saturating_sub(age_ms).div_euclid(1000)
        });
        status.append_to(fields);
        append_via(fields, Version::HTTP_11, CACHE);
    }
}

/// A complete stored response: all of it, or the ranges asked for (RFC 9110 section 14).
fn selected(asked: &Asked, stored: &StoredResponse, content: Bytes, mut fields: HeaderMap) -> Response<Body> {
    let complete = stored.body.len() as u64;
    match ranges(stored, &asked.head()) {
        Ranges::Full => {
            if stored.status == StatusCode::OK && !fields.contains_key(ACCEPT_RANGES) {
                fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            whole(asked, stored.status, fields, content)
        }
        Ranges::Single(range) => {
            fields.insert(CONTENT_RANGE, range.content_range(complete));
            let content = slice(&content, range).unwrap_or_default();
            whole(asked, StatusCode::PARTIAL_CONTENT, fields, content)
        }
        Ranges::Multi(ranges) => {
            let parts = multipart(&StoredResponse { body: content.into(), ..stored.clone() }, &ranges);
            fields.insert(CONTENT_TYPE, parts.content_type);
            fields.insert(CONTENT_LENGTH, HeaderValue::from(parts.length));
            respond(StatusCode::PARTIAL_CONTENT, fields, body::chunks(parts.chunks))
        }
        Ranges::Unsatisfiable => {
            fields.insert(CONTENT_RANGE, unsatisfied_range(complete));
            fields.remove(CONTENT_TYPE);
            whole(asked, StatusCode::RANGE_NOT_SATISFIABLE, fields, Bytes::new())
        }
    }
}

/// Stored parts, of which the request wants no more than they hold; the lookup has made sure of that.
fn part(asked: &Asked, cached: &Arc<Cached>, stored: &StoredResponse, mut fields: HeaderMap) -> Response<Body> {
    let Some(Answer { chunks, content_range }) = part_answers(stored, &asked.head()) else {
        fields.remove(CONTENT_RANGE);
        return whole(asked, StatusCode::RANGE_NOT_SATISFIABLE, fields, Bytes::new());
    };
    fields.insert(CONTENT_RANGE, content_range);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(chunks.iter().map(Bytes::len).sum::<usize>()));
    respond(StatusCode::PARTIAL_CONTENT, fields, body::chunks(kept_while_sent(cached, chunks)))
}

fn whole(asked: &Asked, status: StatusCode, mut fields: HeaderMap, content: Bytes) -> Response<Body> {
    fields.insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    let content = if asked.method == Method::HEAD { body::empty() } else { body::full(content) };
    respond(status, fields, content)
}

fn not_modified(mut fields: HeaderMap) -> Response<Body> {
    retain_for_not_modified(&mut fields);
    respond(StatusCode::NOT_MODIFIED, fields, body::empty())
}

fn respond(status: StatusCode, fields: HeaderMap, content: Body) -> Response<Body> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}
