//! Reading what is held and not at the origin yet: the latest write of a target answers, whatever the tiers have.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, ETAG};
use http::{HeaderValue, Method, StatusCode};
use sandbar_base::memory_budget::{Content, Use};
use sandbar_http::entry::StoredResponse;
use sandbar_http::plan::{Directives, Plan};
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::leave::to_reuse;
use sandbar_http::semantics::{RequestDirectives, RequestHead};
use sandbar_journal::Seq;

use super::Reader;
use crate::owed::request::OwedRequest;
use crate::request::{CacheRequest, content_fields, reads_encoding};
use crate::respond::{self, Answer};
use crate::tenant::counters::count;

/// What `Cache-Status` says of an answer from a held write.
const HELD: &str = "held";

impl Reader {
    /// Answers from the latest write to the target that is held; `None` where there is none, where it does not say what the target
    /// has now (a blind one), or where it is not for this request to see.
    pub(crate) async fn held(&self, request: &CacheRequest) -> Option<Answer> {
        if !self.owed.has(request) {
            return None;
        }
        let (seq, owed) = self.owed.latest(request).await?;
        if !owed.may_be_shown_to(request) {
            return None;
        }
        let now = self.clock.now();
        if owed.method == Method::DELETE {
            count(&request.tenant.counters.reads_held);
            return Some(respond::synthesized(request, StatusCode::NOT_FOUND, Outcome::Refused, HELD, now));
        }
        if owed.method != Method::PUT || !reads_encoding(&request.fields, owed.fields.get(CONTENT_ENCODING)) {
            return None;
        }
        let stored = self.representation(request, seq, owed)?;
        // What is held is newer than anything that the origin could say: the directives of the request ask for no more.
        let head =
            RequestHead::with_directives(&request.method, &request.uri, &request.fields, RequestDirectives::default());
        let leave = to_reuse(stored, &head, now, false).ok()?;
        count(&request.tenant.counters.reads_held);
        Some(respond::held(request, &leave, HELD, now))
    }

    /// The representation that a PUT makes, as of now.
    fn representation(&self, request: &CacheRequest, seq: Seq, owed: OwedRequest) -> Option<StoredResponse> {
        let mut fields = content_fields(&owed.fields);
        // Another write has another one. It is nobody else's: the origin gives its own once it has the write.
        fields.insert(ETAG, HeaderValue::try_from(format!("\"held-{seq}\"")).ok()?);
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let room = self.store.budget.reserve(Use::L2Reads, owed.content.len() as u64)?;
        let now = self.clock.now();
        Some(StoredResponse {
            key: request.key.text().into(),
            status: StatusCode::OK,
            fields,
            body: Content::kept(owed.content, Arc::new(room)),
            parts: None,
            requested: now,
            received: now,
            initial_age: Duration::ZERO,
            fetch_time: Duration::ZERO,
            plan: Plan { freshness_lifetime_ms: 1000, ..Plan::default() },
            directives: Directives::default(),
            sequence: 0,
            policy: None,
            version: None,
        })
    }
}
