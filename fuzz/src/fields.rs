//! Any bytes through every field parser. The fuzz target runs it on what the fuzzer makes up, an ordinary test on the
//! saved corpus.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use sandbar_base::Timestamp;
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::{self, CacheStatus, Ranges, RequestHead, ResponseHead, Reuse, StoreRules, Times, Vary};

/// Fields from bytes, a line each; lines that are no fields are skipped.
pub(crate) fn fields_of(bytes: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}

/// Has every parser read the same bytes, as the request and as the response, and checks what must hold of any answer.
///
/// # Panics
/// When an answer can't be right.
pub(crate) fn parse_everything(bytes: &[u8]) {
    let mut fields = fields_of(bytes);
    // Where the bytes hold no field, all of them go into each of the fields that are parsed.
    if fields.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(bytes)
    {
        for name in PARSED {
            fields.insert(HeaderName::from_static(name), value.clone());
        }
    }
    ask_everything(&fields, bytes);
}

/// Asks all that can be asked of these fields, as those of request and response. `named` is the name of the cache.
///
/// # Panics
/// When an answer can't be right.
pub(crate) fn ask_everything(fields: &HeaderMap, named: &[u8]) {
    let now = Timestamp::from_millis(1_767_225_600_000);
    let times = Times { requested: now, received: now };
    let (method, uri) = (http::Method::GET, Uri::from_static("/a/b?q"));
    let request = RequestHead::new(&method, &uri, fields);
    let rules = StoreRules::default();
    for status in [200, 206, 304, 404, 599] {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        let response = ResponseHead { status, fields };
        let standard = semantics::standard(&request, &response, times, &rules);
        assert!(standard.plan.freshness_lifetime_ms <= MILLIS_MAX, "no lifetime is longer than a date can say");
        let stored = StoredResponse {
            key: "key".into(),
            status,
            fields: semantics::stored_fields(fields, now, &rules),
            body: Bytes::from_static(b"0123456789").into(),
            parts: None,
            requested: now,
            received: now,
            initial_age: standard.initial_age,
            fetch_time: Duration::ZERO,
            plan: standard.plan,
            directives: standard.directives,
            sequence: 0,
            policy: None,
            version: None,
        };
        questions(&stored, &request, fields, times);
    }
    let post = http::Method::POST;
    let write = RequestHead::new(&post, &uri, fields);
    let answer = ResponseHead { status: StatusCode::CREATED, fields };
    assert!(!semantics::invalidated(&write, "http://a.example", &answer).is_empty(), "the target itself is invalid");
    semantics::group_invalidations(&write, &answer);
    semantics::standard(&write, &answer, times, &rules);
    _ = semantics::request::check_framing(http::Version::HTTP_11, fields);
    semantics::fields::times_through(fields, "sandbar");
    semantics::fields::strip_hop_by_hop(&mut fields.clone());
    semantics::selecting_values(&SELECTING.map(str::to_owned), fields);
    let status = CacheStatus::new(std::str::from_utf8(named).unwrap_or("x"), semantics::cache_status::Outcome::Hit);
    let text = CacheStatus { key: Some(status.cache), detail: Some(status.cache), ..status }.to_value();
    assert!(sfv::Parser::new(text.as_bytes()).parse::<sfv::List>().is_ok(), "{text:?}");
}

/// Everything that can be asked of a stored response.
fn questions(stored: &StoredResponse, request: &RequestHead<'_>, fields: &HeaderMap, times: Times) {
    let later = times.received.saturating_add(Duration::from_secs(30));
    for now in [times.received, later, Timestamp::default()] {
        let found = semantics::reuse(stored, request, now, false);
        if found == Reuse::Fresh {
            assert!(stored.age(now) < Duration::from_millis(stored.plan.freshness_lifetime_ms));
            assert!(!stored.directives.no_cache);
        }
        semantics::may_serve_on_error(stored, request, now, true);
        semantics::refresh_early(stored, now, 0.5);
    }
    semantics::precondition(stored, request);
    semantics::part_answers(stored, request);
    semantics::combine(stored, stored);
    for ranged in [None, Some(request)] {
        if let Some(lacking) = semantics::lacking(stored, ranged) {
            assert!(semantics::completion_fields(stored, &lacking, &mut fields.clone()), "it has a strong validator");
            semantics::completion(stored, &lacking, fields);
        }
    }
    match semantics::ranges(stored, request) {
        Ranges::Single(range) => assert!(range.last < 10),
        Ranges::Multi(ranges) => {
            assert_eq!(semantics::multipart::multipart(stored, &ranges).chunks.len(), 2 * ranges.len() + 1)
        }
        Ranges::Full | Ranges::Unsatisfiable => {}
    }
    let merged = semantics::freshen(stored, fields, times);
    assert!(merged.contains_key(http::header::DATE));
    semantics::freshen_from_head(stored, fields, times);
    semantics::selected_by_304(&[stored], fields);
    semantics::validation_fields(&[stored], &mut fields.clone());
    semantics::downstream_fields(&stored.fields, Some(stored.age(later)), &[]);
    if let Vary::Names(names) = semantics::vary(fields) {
        assert_eq!(semantics::selecting_values(&names, fields).len(), names.len());
    }
}

/// A lifetime is at most 2^31 seconds, or the span of the date forms.
const MILLIS_MAX: u64 = 253_402_300_800_000;

/// Fields by which variants are selected: a list of preferences, another list, and one that is no list.
const SELECTING: [&str; 3] = ["accept-language", "x-device", "cookie"];

/// The fields that are parsed.
pub(crate) const PARSED: [&str; 27] = [
    "accept-language",
    "age",
    "cache-control",
    "cache-group-invalidation",
    "cache-groups",
    "cache-tag",
    "cdn-cache-control",
    "connection",
    "content-location",
    "content-length",
    "content-range",
    "cookie",
    "date",
    "etag",
    "expires",
    "host",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-modified",
    "location",
    "pragma",
    "range",
    "surrogate-key",
    "vary",
    "via",
    "x-device",
];
