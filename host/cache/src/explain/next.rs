//! What the next request would get, by the rules that the read path follows.

use http::Method;
use http::header::{ETAG, LAST_MODIFIED};
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::{FwdReason, Reuse, StaleReason, may_serve_on_error, reuse};
use serde::Serialize;

use super::look::Held;
use super::{Explainer, State};
use crate::request::CacheRequest;

/// What a request would get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Next {
    /// The words of `Cache-Status`: `hit`, `fwd=` and a reason, or `refused`.
    pub cache: String,
    /// Who would answer: `l1`, the name of the L2, `origin`, or `cache`.
    pub by: &'static str,
    /// Why, in a sentence.
    pub why: String,
    /// Whether the response may be served stale if the origin fails.
    pub stale_if_error: bool,
    /// The state of the breaker in front of the origin.
    pub breaker: &'static str,
}

/// The result for one tier: the sentence of a hit, or why it is none.
enum Look {
    Hit(&'static str),
    Miss(FwdReason, &'static str),
}

impl Explainer<'_> {
    pub(super) fn next(&self, request: &CacheRequest, l1: &Held, l2: Option<&Held>, varies: bool) -> Next {
        if !request.is_answerable {
            let is_read = matches!(request.method, Method::GET | Method::HEAD) && request.is_safe();
            let (reason, why) = match is_read {
                true => (FwdReason::Request, "no stored response answers such a request, so it is passed on"),
                false => (FwdReason::Method, "no stored response answers this method, so the request is passed on"),
            };
            return self.to_origin(request, reason, why.to_owned(), None);
        }
        let (reason, why) = match self.look(request, l1, varies) {
            Look::Hit(why) => return self.hit(request, l1.tier, why),
            Look::Miss(reason, why) => (reason, why),
        };
        let is_doubted = usable(l1).is_some_and(|_| l1.cached.as_deref().is_some_and(|cached| cached.is_doubtful()));
        if let Some(l2) = l2.filter(|_| !is_doubted)
            && let Look::Hit(why) = self.look(request, l2, false)
        {
            return self.hit(request, l2.tier, why);
        }
        let basis = [Some(l1), l2].into_iter().flatten().find(|held| usable(held).is_some());
        let has_validator =
            |stored: &StoredResponse| [ETAG, LAST_MODIFIED].iter().any(|name| stored.fields.contains_key(name));
        let asked = match basis.and_then(usable) {
            Some(stored) if has_validator(stored) => "the origin is asked whether it still holds (304)",
            Some(_) => "the origin is asked for all of it, as it has no validator",
            None => "the origin is asked",
        };
        self.to_origin(request, reason, format!("{why}: {asked}"), basis)
    }

    fn look(&self, request: &CacheRequest, held: &Held, varies: bool) -> Look {
        let Some(stored) = usable(held) else {
            return match held.state {
                State::Purged => Look::Miss(FwdReason::UriMiss, "what is stored was purged"),
                State::NotVouchedFor => {
                    Look::Miss(FwdReason::UriMiss, "this node does not hear of purges, and trusts nothing")
                }
                State::Outdated => Look::Miss(FwdReason::UriMiss, "a newer version than the stored one is known"),
                _ if varies => Look::Miss(FwdReason::VaryMiss, "it is stored for other values of the selecting fields"),
                _ => Look::Miss(FwdReason::UriMiss, "nothing is stored for it"),
            };
        };
        if held.cached.as_deref().is_some_and(|cached| cached.is_doubtful()) {
            return Look::Miss(FwdReason::Stale, "the origin did not confirm it when it was last asked");
        }
        match reuse(stored, &request.head(), self.now, held.state == State::SoftPurged) {
            Reuse::Fresh => Look::Hit("it is fresh"),
            Reuse::Stale(StaleReason::WhileRevalidate) => {
                Look::Hit("it is stale, and may be served while it is refreshed behind the answer")
            }
            Reuse::Stale(StaleReason::MaxStale) => Look::Hit("it is stale, which the request allows (max-stale)"),
            Reuse::Validate(reason) => Look::Miss(
                reason,
                match reason {
                    FwdReason::Stale if held.state == State::SoftPurged => "it was purged softly, so it is stale",
                    FwdReason::Stale if stored.directives.no_cache => "it must be confirmed before each use (no-cache)",
                    FwdReason::Stale => "its freshness lifetime is over",
                    FwdReason::Request => "the request's Cache-Control wants a newer answer",
                    FwdReason::Partial => "a part is stored that lacks what is asked for",
                    _ => "it may not be reused",
                },
            ),
        }
    }

    fn hit(&self, request: &CacheRequest, by: &'static str, why: &str) -> Next {
        let breaker = breaker(request);
        Next { cache: "hit".to_owned(), by, why: why.to_owned(), stale_if_error: false, breaker }
    }

    fn to_origin(&self, request: &CacheRequest, reason: FwdReason, why: String, basis: Option<&Held>) -> Next {
        let breaker = breaker(request);
        if request.directives.only_if_cached {
            let why =
                "the request wants a stored response or none (only-if-cached), and none may be used: 504".to_owned();
            return Next { cache: "refused".to_owned(), by: "cache", why, stale_if_error: false, breaker };
        }
        let stale_if_error = basis.is_some_and(|held| {
            let soft_purged = held.state == State::SoftPurged;
            usable(held).is_some_and(|stored| may_serve_on_error(stored, &request.head(), self.now, soft_purged))
        });
        Next { cache: format!("fwd={}", reason.as_str()), by: "origin", why, stale_if_error, breaker }
    }
}

/// The state of the breaker in front of what the response would be fetched or loaded from.
fn breaker(request: &CacheRequest) -> &'static str {
    match &request.form {
        Some(form) => request.tenant.load_shield(form.name()).stats().breaker,
        None => request.tenant.origin.stats().breaker,
    }
}

/// The stored response, if it can answer or be validated.
fn usable(held: &Held) -> Option<&StoredResponse> {
    held.cached.as_deref().filter(|_| held.state.is_usable()).and_then(|cached| cached.response())
}
