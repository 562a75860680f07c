//! Write-behind: a write is held in the journal, its client is answered, and the origin gets it later (`deliver`).

use std::time::Duration;

use http::header::{
    CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RETRY_AFTER,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use sandbar_base::clock::timeout;
use sandbar_base::memory_budget::{Content, Use};
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_journal::AppendError;

use super::Writer;
use super::kept::Kept;
use crate::body::Body;
use crate::owed::request::OwedRequest;
use crate::request::CacheRequest;
use crate::respond::{self, Answer};
use crate::strategy::Strategy;
use crate::tenant::counters::count;

/// What `Cache-Status` says of a write that is held.
const HELD: &str = "held";
/// What it says of one that has to wait for writes that are held.
const BEHIND_HELD: &str = "behind-held-writes";
/// What it says of one that the journal does not take.
const JOURNAL_REFUSES: &str = "journal-refuses";
/// What it says where there is no memory for the content.
const NO_ROOM: &str = "no-room";
/// What it says where the content did not come.
const BAD_UPLOAD: &str = "bad-upload";

/// `Retry-After` where nothing better is known.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// Preconditions: whether they hold is for the origin to say (RFC 9110 section 13).
const CONDITIONS: [HeaderName; 5] = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];

impl Writer {
    /// Takes a write behind, where it is one: holds it, and answers.
    ///
    /// # Errors
    /// With the content, where the write goes to the origin first.
    pub(super) async fn take_behind(&self, request: &CacheRequest, content: Body) -> Result<Answer, Body> {
        let tenant = &request.tenant;
        if !self.goes_behind(request) {
            return Err(content);
        }
        if !self.owed.trusts(tenant, request.client.map(|client| client.share_key())) {
            count(&tenant.counters.writes_distrusted);
            return Err(content);
        }
        let Some(open) = self.owed.present() else {
            // A change of settings opens it before they hold: this is a cache that was never given one.
            tracing::warn!(
                tenant = &*tenant.name,
                "there is no journal for writes behind: they go to the origin first"
            );
            return Err(content);
        };
        let bytes_max = open.settings.content_bytes_max;
        let (content, kept) = Kept::of(content, bytes_max, &self.store.budget);
        // Of unknown length, or too long.
        let Some(kept) = kept else { return Err(content) };
        let content = match self.receive(request, content, kept).await {
            Ok(content) => content,
            Err(answer) => return Ok(answer),
        };
        // A copy of it goes to the journal.
        let Some(_room) = self.store.budget.reserve(Use::Fills, content.len() as u64) else {
            return Ok(self.not_taken(request, NO_ROOM, None));
        };
        let rules = &request.class().writes;
        let replaces = rules.absorb && matches!(request.method, Method::PUT | Method::DELETE);
        let Ok(owed) = OwedRequest::of(request, content.to_send()) else {
            return Ok(self.not_taken(request, JOURNAL_REFUSES, None));
        };
        Ok(match self.owed.append(request, &owed, replaces).await {
            Ok(_) => {
                count(&tenant.counters.writes_held);
                self.held(request, rules.accepted)
            }
            Err(error) => {
                count(&tenant.counters.writes_not_held);
                tracing::debug!(tenant = &*tenant.name, target = request.target, %error, "a write was not held");
                self.refused(request, &error)
            }
        })
    }

    /// Whether a write is of a kind that can be held: its strategy says so, nothing in it depends on what the origin has, and
    /// what it is for is known.
    fn goes_behind(&self, request: &CacheRequest) -> bool {
        let rules = &request.class().writes;
        let method = &request.method;
        let is_known = matches!(*method, Method::PUT | Method::DELETE) || rules.blind.contains(method);
        request.strategy() == Strategy::WriteBehind
            && is_known
            && !request.is_overridden
            && request.is_keyed_whole()
            && !request.fields.contains_key(CONTENT_RANGE)
            && !CONDITIONS.iter().any(|name| request.fields.contains_key(name))
    }

    /// Reads all of the content, at the pace that the tenant's uploads must have.
    async fn receive(&self, request: &CacheRequest, mut content: Body, kept: Kept) -> Result<Content, Answer> {
        let pace = request.tenant.config.protect.progress_deadline.get();
        loop {
            match timeout(&*self.clock, pace, content.frame()).await {
                Ok(Some(Ok(_))) => {}
                Ok(None) => break,
                Ok(Some(Err(_))) => return Err(self.not_received(request, StatusCode::BAD_REQUEST)),
                Err(_) => return Err(self.not_received(request, StatusCode::REQUEST_TIMEOUT)),
            }
        }
        kept.whole(&self.store.budget).ok_or_else(|| self.not_taken(request, NO_ROOM, None))
    }

    /// Waits until no write to the request's target is held, as the origin has to get them in their order; the answer where
    /// that takes too long.
    pub(super) async fn wait_for_held(&self, request: &CacheRequest) -> Option<Answer> {
        if !self.owed.has(request) {
            return None;
        }
        let none_is_held = async {
            loop {
                let settled = self.owed.next_settled();
                if !self.owed.has(request) {
                    return;
                }
                settled.await;
            }
        };
        let waited = timeout(&*self.clock, request.tenant.settings.fetch_soft_deadline, none_is_held).await;
        waited.is_err().then(|| self.not_taken(request, BEHIND_HELD, None))
    }

    fn held(&self, request: &CacheRequest, status: StatusCode) -> Answer {
        respond::synthesized(request, status, Outcome::Refused, HELD, self.clock.now())
    }

    fn refused(&self, request: &CacheRequest, error: &AppendError) -> Answer {
        match error {
            AppendError::TooLarge { .. } => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                respond::synthesized(request, status, Outcome::Refused, JOURNAL_REFUSES, self.clock.now())
            }
            _ => self.not_taken(request, JOURNAL_REFUSES, error.retry_after()),
        }
    }

    fn not_received(&self, request: &CacheRequest, status: StatusCode) -> Answer {
        respond::synthesized(request, status, Outcome::Refused, BAD_UPLOAD, self.clock.now())
    }

    /// 503, with when to try again (RFC 9110 section 15.6.4).
    fn not_taken(&self, request: &CacheRequest, reason: &'static str, retry_after: Option<Duration>) -> Answer {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut answer = respond::synthesized(request, status, Outcome::Refused, reason, self.clock.now());
        let after = respond::whole_seconds(retry_after.unwrap_or(RETRY_AFTER_DEFAULT));
        answer.response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after));
        answer
    }
}
