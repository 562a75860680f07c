//! Requests and responses from text, and stored responses from those, all around one instant.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use sandbar_base::Timestamp;
use sandbar_http::entry::StoredResponse;
use sandbar_http::plan::Standard;
use sandbar_http::semantics::{self, RequestHead, ResponseHead, StoreRules, Times, date, stored_fields};

/// 2026-01-01T00:00:00Z, a Thursday.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The instant so many milliseconds after [`NOW`].
pub(crate) fn at(ms: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_millis(ms))
}

/// An exchange that took no time, at [`NOW`].
pub(crate) const INSTANT: Times = Times { requested: NOW, received: NOW };

/// Fields, one to a line. A value `@N` is the date N seconds from [`NOW`].
pub(crate) fn fields(text: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("a field has a colon");
        let value = value.trim();
        let value = match value.strip_prefix('@').and_then(|seconds| seconds.parse::<i64>().ok()) {
            Some(seconds) => date_from_now(seconds),
            None => HeaderValue::from_bytes(value.as_bytes()).expect("a field value"),
        };
        fields.append(HeaderName::from_bytes(name.as_bytes()).expect("a field name"), value);
    }
    fields
}

/// The date so many seconds from [`NOW`].
pub(crate) fn date_from_now(seconds: i64) -> HeaderValue {
    let ms = i64::try_from(NOW.as_millis()).expect("fits") + seconds * 1000;
    date::format(Timestamp::from_millis(u64::try_from(ms).expect("after 1970")))
}

/// The head of a request, with its parts owned.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) fields: HeaderMap,
}

impl Asked {
    /// A GET of `/a/b?q` with these fields.
    pub(crate) fn get(text: &str) -> Self {
        Self::new("GET", text)
    }

    /// Any request for `/a/b?q`.
    pub(crate) fn new(method: &str, text: &str) -> Self {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Self { method, uri: Uri::from_static("/a/b?q"), fields: fields(text) }
    }

    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead::new(&self.method, &self.uri, &self.fields)
    }
}

/// What the standard makes of a response that was requested and received at [`NOW`].
pub(crate) fn judge(asked: &Asked, status: u16, response: &str, rules: &StoreRules) -> Standard {
    judge_at(asked, status, response, rules, INSTANT)
}

/// What the standard makes of a response that was requested and received at these times.
pub(crate) fn judge_at(asked: &Asked, status: u16, response: &str, rules: &StoreRules, times: Times) -> Standard {
    let status = StatusCode::from_u16(status).expect("a status code");
    semantics::standard(&asked.head(), &ResponseHead { status, fields: &fields(response) }, times, rules)
}

/// A stored response with the plan of the standard and the body `0123456789`.
pub(crate) fn stored(status: u16, response: &str) -> StoredResponse {
    stored_with_body(status, response, "0123456789")
}

/// A stored response with the plan of the standard.
pub(crate) fn stored_with_body(status: u16, response: &str, body: &str) -> StoredResponse {
    let rules = StoreRules::default();
    let standard = judge(&Asked::get(""), status, response, &rules);
    StoredResponse {
        key: Arc::from("tenant\nhttp://a.example\n/a/b?q"),
        status: StatusCode::from_u16(status).expect("a status code"),
        fields: stored_fields(&fields(response), NOW, &rules),
        body: Bytes::copy_from_slice(body.as_bytes()).into(),
        parts: None,
        requested: NOW,
        received: NOW,
        initial_age: standard.initial_age,
        fetch_time: Duration::ZERO,
        plan: standard.plan,
        directives: standard.directives,
        sequence: 0,
        policy: None,
        version: None,
    }
}

/// The value of a field as text; empty where it is missing.
pub(crate) fn text<'a>(fields: &'a HeaderMap, name: &str) -> &'a str {
    fields.get(name).map_or("", |value| value.to_str().expect("ASCII"))
}
