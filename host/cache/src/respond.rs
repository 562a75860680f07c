//! Makes the response that a client gets of what its request may be given: preconditions, ranges, `Age`,
//! `Cache-Status`. Pure functions of the request, of what was found for it, and of the time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use sandbar_base::clock::Timestamp;
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::NoKey;
use sandbar_http::semantics::cache_status::{CacheStatus, Outcome};
use sandbar_http::semantics::fields::{append_via, retain_for_not_modified};
use sandbar_http::semantics::leave::{Ground, Holds, Leave};
use sandbar_http::semantics::multipart::{multipart, slice};
use sandbar_http::semantics::partial::{self, part_answers};
use sandbar_http::semantics::ranges::unsatisfied_range;
use sandbar_http::semantics::surrogate::{CACHE_TAG, SURROGATE_KEY};
use sandbar_http::semantics::{FwdReason, Precondition, Ranges, date, downstream_fields, precondition, ranges};

use crate::body::{self, Body};
use crate::cached::{Cached, kept_while_sent};
use crate::ingest::Arriving;
use crate::origin::OriginError;
use crate::request::{CACHE, CacheRequest};
use crate::store::found::Found;
use crate::tenant::counters::Source;

/// What `Cache-Status` says of an answer: how it came about, and the word in `detail`.
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

/// A final answer: the response that the client gets, and how it is counted.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) outcome: Outcome,
    /// The word in `detail` of `Cache-Status`.
    pub(crate) detail: Option<&'static str>,
    pub(crate) source: Source,
    /// The tier that the stored response was found in; `None` where none was.
    pub(crate) tier: Option<&'static str>,
    /// The place of the target's class; `None` for a hit, which does not look it up, and where there is no target.
    pub(crate) class: Option<usize>,
    /// Bytes of content that are sent from a stored response.
    pub(crate) stored_bytes: u64,
}

impl Answer {
    fn new(request: &CacheRequest, response: Response<Body>, answered: Answered, source: Source) -> Self {
        let class = (answered.outcome != Outcome::Hit).then(|| request.class().place);
        Self { class, ..Self::unclassed(response, answered, source) }
    }

    fn unclassed(response: Response<Body>, answered: Answered, source: Source) -> Self {
        let Answered { outcome, detail } = answered;
        Self { response, outcome, detail, source, tier: None, class: None, stored_bytes: 0 }
    }

    /// The same answer, counted under another source.
    #[must_use]
    pub(crate) fn counted_as(self, source: Source) -> Self {
        Self { source, ..self }
    }
}

/// Serves a stored response.
pub(crate) fn found(
    request: &CacheRequest,
    leave: &Leave<Found>,
    answered: Answered,
    source: Source,
    now: Timestamp,
) -> Answer {
    let (found, stored, tier) = (leave.what(), leave.what().stored(), Some(leave.what().tier()));
    let mut fields = downstream(request, &stored.fields, Some(stored.age(now)));
    mark(request, &mut fields, answered, Some((stored, now)));
    if precondition(stored, &request.head()) == Precondition::NotModified {
        return Answer { tier, ..Answer::new(request, not_modified(fields), answered, source) };
    }
    let response = if stored.status == StatusCode::PARTIAL_CONTENT {
        part(request, found.cached(), stored, fields)
    } else {
        selected(request, stored, stored.body.to_send(), fields)
    };
    let stored_bytes = http_body::Body::size_hint(response.body()).exact().unwrap_or(0);
    Answer { tier, stored_bytes, ..Answer::new(request, response, answered, source) }
}

/// Serves what a write that is held makes of its target.
pub(crate) fn held(
    request: &CacheRequest,
    leave: &Leave<StoredResponse>,
    detail: &'static str,
    now: Timestamp,
) -> Answer {
    let stored = leave.what();
    let answered = Answered { outcome: Outcome::Hit, detail: Some(detail) };
    let mut fields = downstream(request, &stored.fields, None);
    fields.insert(DATE, date::format(now));
    mark(request, &mut fields, answered, None);
    let response = match precondition(stored, &request.head()) {
        Precondition::NotModified => not_modified(fields),
        _ => selected(request, stored, stored.body.to_send(), fields),
    };
    let stored_bytes = http_body::Body::size_hint(response.body()).exact().unwrap_or(0);
    Answer { stored_bytes, ..Answer::new(request, response, answered, Source::Synthesized) }
}

/// Serves a response while it arrives: as it came to the request that caused the fetch, as it will be stored to others.
pub(crate) fn arriving(
    request: &CacheRequest,
    leave: &Leave<Arc<Arriving>>,
    content: Body,
    answered: Answered,
    source: Source,
    now: Timestamp,
) -> Answer {
    let stored = leave.what().stored();
    let mut fields = if leave.ground() == Ground::Own {
        as_it_came(request, leave.what().received(), now)
    } else {
        downstream(request, &stored.fields, Some(stored.age(now)))
    };
    mark(request, &mut fields, answered, Some((stored, now)));
    let response = if precondition(stored, &request.head()) == Precondition::NotModified {
        not_modified(fields)
    } else {
        respond(stored.status, fields, content)
    };
    Answer::new(request, response, answered, source)
}

/// Serves a response of the origin that is not stored.
pub(crate) fn forwarded(
    request: &CacheRequest,
    response: Response<Body>,
    answered: Answered,
    source: Source,
    now: Timestamp,
) -> Answer {
    let (head, content) = response.into_parts();
    let mut fields = as_it_came(request, &head.headers, now);
    mark(request, &mut fields, answered, None);
    Answer::new(request, respond(head.status, fields, content), answered, source)
}

/// An answer of the cache's own, where there is nothing to serve. `outcome` says whether the origin was asked.
pub(crate) fn synthesized(
    request: &CacheRequest,
    status: StatusCode,
    outcome: Outcome,
    reason: &'static str,
    now: Timestamp,
) -> Answer {
    let (mut fields, answered) = (HeaderMap::new(), Answered { outcome, detail: Some(reason) });
    mark(request, &mut fields, answered, None);
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(DATE, date::format(now));
    Answer::new(request, respond(status, fields, body::full(format!("{reason}\n"))), answered, Source::Synthesized)
}

/// The answer to a request that can't be looked up: it has no key.
pub(crate) fn unkeyed(reason: NoKey) -> Answer {
    let mut response = Response::new(body::full(format!("{reason}\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let answered = Answered { outcome: Outcome::Refused, detail: Some(reason.as_str()) };
    let status = CacheStatus { detail: answered.detail, ..CacheStatus::new(CACHE, answered.outcome) };
    status.append_to(response.headers_mut());
    Answer::unclassed(response, answered, Source::Synthesized)
}

/// The answer where the origin gave none and nothing stored may stand in for it.
pub(crate) fn origin_failed(request: &CacheRequest, why: FwdReason, error: &OriginError, now: Timestamp) -> Answer {
    let status = match error {
        OriginError::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
        OriginError::Refused { .. } => StatusCode::SERVICE_UNAVAILABLE,
        OriginError::Client(fault) => fault.status(),
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut answer = synthesized(request, status, Outcome::fwd(why), error.reason(), now);
    if let Some(after) = error.retry_after() {
        answer.response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    answer
}

/// A time as `Retry-After` has it: in whole seconds (RFC 9110 section 10.2.3), so rounded up.
pub(crate) const fn whole_seconds(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_add((time.subsec_nanos() > 0) as u64);
    if seconds == 0 { 1 } else { seconds }
}

/// The answer to a client that accepts nothing but a stored response where there is none for it (RFC 9111 section
/// 5.2.1.7).
pub(crate) fn not_cached(request: &CacheRequest, now: Timestamp) -> Answer {
    synthesized(request, StatusCode::GATEWAY_TIMEOUT, Outcome::Refused, "only-if-cached", now)
}

/// The fields of a response that is forwarded as it came, `Age` included.
fn as_it_came(request: &CacheRequest, received: &HeaderMap, now: Timestamp) -> HeaderMap {
    let mut fields = downstream(request, received, None);
    if !fields.contains_key(DATE) {
        // RFC 9110 section 6.6.1: a recipient with a clock adds it before it forwards the response.
        fields.insert(DATE, date::format(now));
    }
    fields
}

fn downstream(request: &CacheRequest, fields: &HeaderMap, age: Option<Duration>) -> HeaderMap {
    const KEYS: [HeaderName; 2] = [SURROGATE_KEY, CACHE_TAG];
    let withheld: &[HeaderName] = if request.tenant.settings.show_surrogate_keys { &[] } else { &KEYS };
    downstream_fields(fields, age, withheld)
}

/// Says in `Cache-Status` and `Via` how the answer came about. `stored`: the response that answers, and the time.
fn mark(
    request: &CacheRequest,
    fields: &mut HeaderMap,
    answered: Answered,
    stored: Option<(&StoredResponse, Timestamp)>,
) {
    let mut status = CacheStatus::new(CACHE, answered.outcome);
    status.detail = answered.detail;
    status.key = request.tenant.settings.show_key.then(|| request.key.text());
    status.ttl_secs = stored.map(|(stored, now)| {
        let age_ms = i64::try_from(stored.age(now).as_millis()).unwrap_or(i64::MAX);
        let lifetime_ms = i64::try_from(stored.plan.freshness_lifetime_ms).unwrap_or(i64::MAX);
        lifetime_ms.saturating_sub(age_ms).div_euclid(1000)
    });
    status.append_to(fields);
    append_via(fields, Version::HTTP_11, CACHE);
}

/// Answers with a complete stored response: all of it, or the ranges asked for (RFC 9110 section 14).
fn selected(request: &CacheRequest, stored: &StoredResponse, content: Bytes, mut fields: HeaderMap) -> Response<Body> {
    let complete = stored.body.len() as u64;
    match ranges(stored, &request.head()) {
        Ranges::Full => {
            if stored.status == StatusCode::OK && !fields.contains_key(ACCEPT_RANGES) {
                fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            whole(request, stored.status, fields, content)
        }
        Ranges::Single(range) => {
            fields.insert(CONTENT_RANGE, range.content_range(complete));
            let content = slice(&content, range).unwrap_or_default();
            whole(request, StatusCode::PARTIAL_CONTENT, fields, content)
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
            whole(request, StatusCode::RANGE_NOT_SATISFIABLE, fields, Bytes::new())
        }
    }
}

/// Answers with stored parts. The lookup has made sure that the request wants no more than they hold.
fn part(
    request: &CacheRequest,
    cached: &Arc<Cached>,
    stored: &StoredResponse,
    mut fields: HeaderMap,
) -> Response<Body> {
    let Some(partial::Answer { chunks, content_range }) = part_answers(stored, &request.head()) else {
        fields.remove(CONTENT_RANGE);
        return whole(request, StatusCode::RANGE_NOT_SATISFIABLE, fields, Bytes::new());
    };
    fields.insert(CONTENT_RANGE, content_range);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(chunks.iter().map(Bytes::len).sum::<usize>()));
    respond(StatusCode::PARTIAL_CONTENT, fields, body::chunks(kept_while_sent(cached, chunks)))
}

fn whole(request: &CacheRequest, status: StatusCode, mut fields: HeaderMap, content: Bytes) -> Response<Body> {
    fields.insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    let content = if request.method == Method::HEAD { body::empty() } else { body::full(content) };
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
