//! The rules of HTTP about caching, as pure functions: RFC 9111 (caching), 9110 (semantics), 5861 (stale controls),
//! 8246 (`immutable`), 9211 (`Cache-Status`), 9213 (targeted cache control) and 9875 (cache groups).
//!
//! Nothing here does I/O or reads a clock: `now` is an argument. Whatever bytes a field holds, no function panics; a
//! field that can't be understood is read in the way that reuses least.
//!
//! ```
//! use http::{HeaderMap, Method, StatusCode, Uri, header};
//! use sandbar_base::Timestamp;
//! use sandbar_http::semantics::{self, RequestHead, ResponseHead, StoreRules, Times};
//!
//! let (method, uri, asked) = (Method::GET, Uri::from_static("/"), HeaderMap::new());
//! let request = RequestHead::new(&method, &uri, &asked);
//! let mut fields = HeaderMap::new();
//! fields.insert(header::CACHE_CONTROL, "max-age=60, stale-if-error=600".parse().unwrap());
//! let response = ResponseHead { status: StatusCode::OK, fields: &fields };
//! let now = Timestamp::from_millis(1_700_000_000_000);
//! let times = Times { requested: now, received: now };
//! let standard = semantics::standard(&request, &response, times, &StoreRules::default());
//! assert!(standard.obstacles.is_empty());
//! assert_eq!(standard.plan.freshness_lifetime_ms, 60_000);
//! assert_eq!(standard.plan.stale_if_error_ms, 600_000);
//! ```

pub mod age;
pub mod cache_control;
pub mod cache_status;
pub mod completion;
mod content_range;
pub mod directive;
pub mod early_refresh;
pub mod fields;
mod for_all;
pub mod freshness;
pub mod invalidate;
pub mod leave;
pub(crate) mod list;
pub mod location;
pub mod multipart;
pub mod partial;
pub mod precondition;
pub mod ranges;
pub mod request;
pub mod reuse;
mod short_part;
pub mod sound;
pub mod stale;
pub mod standing;
pub mod storable;
pub mod surrogate;
pub mod targeted;
pub mod upgrade;
pub mod useless;
pub mod validate;
pub mod validator;
pub mod vary;

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};

use sandbar_base::Timestamp;

pub use crate::{date, twin};
pub use cache_control::RequestDirectives;
pub use cache_status::{CacheStatus, FwdReason};
pub use completion::{Completion, Lacking, completion, completion_fields, lacking};
pub use early_refresh::refresh_early;
pub use fields::{downstream_fields, stored_fields};
pub use invalidate::invalidated;
pub use partial::{Combined, combine, lacks_what_is_asked, outgrows, part_answers, taken_in};
pub use precondition::{Precondition, precondition};
pub use ranges::{ByteRange, Ranges, ranges};
pub use reuse::{Reuse, StaleReason, reuse};
pub use stale::may_serve_on_error;
pub use storable::{answers_get, standard};
pub use surrogate::{group_invalidations, surrogate_keys};
pub use useless::useless_after;
pub use validate::{HeadUpdate, freshen, freshen_from_head, selected_by_304, validation_fields};
pub use vary::{Vary, selecting_values, vary};

/// The head of a request. Its cache directives are parsed once, when the head is made: no rule reads `Cache-Control`
/// again.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's target, absolute or not.
    pub uri: &'a Uri,
    /// The request's fields, from which the directives were read.
    pub fields: &'a HeaderMap,
    directives: RequestDirectives,
}

impl<'a> RequestHead<'a> {
    /// A head whose directives are read from the fields.
    pub fn new(method: &'a Method, uri: &'a Uri, fields: &'a HeaderMap) -> Self {
        Self::with_directives(method, uri, fields, RequestDirectives::of(fields))
    }

    /// A head with directives that were read from these very fields before.
    pub const fn with_directives(
        method: &'a Method,
        uri: &'a Uri,
        fields: &'a HeaderMap,
        directives: RequestDirectives,
    ) -> Self {
        Self { method, uri, fields, directives }
    }

    /// What the request says to caches in `Cache-Control` or `Pragma`.
    pub const fn directives(&self) -> &RequestDirectives {
        &self.directives
    }
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The response's status code.
    pub status: StatusCode,
    /// The response's fields.
    pub fields: &'a HeaderMap,
}

/// When an exchange took place (RFC 9111 section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// `request_time`: when the request was sent.
    pub requested: Timestamp,
    /// `response_time`: when the head of the response was received.
    pub received: Timestamp,
}

/// An operator's choices where RFC 9111 leaves one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRules {
    /// Targeted fields (RFC 9213 section 2.2), the most specific first: the first valid one replaces `Cache-Control`
    /// and `Expires`. By default `CDN-Cache-Control` alone.
    pub targets: Vec<HeaderName>,
    /// Whether a response that sets a cookie may be stored, cookie and all. Off by default.
    pub store_set_cookie: bool,
    /// The longest heuristic freshness lifetime (RFC 9111 section 4.2.2). A day by default; with zero no lifetime is
    /// guessed.
    pub heuristic_max: Duration,
    /// Whether every response is treated as if it said `must-understand`: one with a status code that this cache does
    /// not know is not stored, even where it carries explicit freshness. Off by default.
    pub understood_only: bool,
}

impl Default for StoreRules {
    fn default() -> Self {
        Self {
            targets: vec![targeted::CDN_CACHE_CONTROL],
            store_set_cookie: false,
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            understood_only: false,
        }
    }
}
