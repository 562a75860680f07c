//! Purging by a request to the tenant's own hosts: the methods `PURGE` and `SOFTPURGE`, as other caches have them. They are
//! the tenant's: with a token of its own, and never beyond what is its own.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::surrogate::SURROGATE_KEY;

use super::Purges;
use crate::body;
use crate::request::CacheRequest;
use crate::respond::{self, Answer};
use crate::tenant::token::{TokenScope, allowed, is_given};

/// Surrogate keys of one request.
const KEYS_MAX: usize = 1000;

/// How a request purges, if its method is one that does and the tenant has a token for it. Without such a token they are methods
/// like any other: the origin may know them.
pub(crate) fn purges(request: &CacheRequest) -> Option<PurgeMode> {
    let mode = match request.method.as_str() {
        "PURGE" => PurgeMode::Hard,
        "SOFTPURGE" => PurgeMode::Soft,
        _ => return None,
    };
    is_given(&request.tenant.settings.tokens, TokenScope::Purge).then_some(mode)
}

impl Purges {
    /// Purges what a request asks for: its target with all variants, or the surrogate keys that it names.
    pub(crate) async fn by_request(self: &Arc<Self>, request: &CacheRequest, mode: PurgeMode) -> Answer {
        let (tenant, now) = (&request.tenant, self.clock.now());
        let refused =
            |status, reason| respond::synthesized(request, status, Outcome::Refused, reason, self.clock.now());
        let token = match allowed(&tenant.settings.tokens, TokenScope::Purge, &request.fields, now) {
            Ok(token) => token,
            Err(reason) => {
                // As many as anybody sends: so they are no warnings.
                tracing::debug!(
                    tenant = &*tenant.name,
                    target = request.target,
                    reason = reason.as_str(),
                    "a purge was refused"
                );
                let mut answer = refused(StatusCode::UNAUTHORIZED, reason.as_str());
                let challenge = HeaderValue::from_static("Bearer");
                answer.response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                return answer;
            }
        };
        let Some(scopes) = scopes(request) else {
            return refused(StatusCode::BAD_REQUEST, "bad-surrogate-key");
        };
        let purges: Vec<_> = scopes.into_iter().map(|scope| Purge { scope, mode }).collect();
        let report = self.purge(tenant, &purges).await;
        tracing::info!(
            tenant = &*tenant.name,
            token = token.name,
            purges = purges.len(),
            pending = report.pending,
            "purged"
        );
        let mut answer = refused(report.status(), "purged");
        let said = serde_json::to_vec(&report).expect("plain data always serialises");
        let json = HeaderValue::from_static("application/json");
        answer.response.headers_mut().insert(CONTENT_TYPE, json);
        *answer.response.body_mut() = body::full(said);
        answer
    }
}

/// What a request has purged; `None` where it names surrogate keys that can be none.
fn scopes(request: &CacheRequest) -> Option<Vec<Scope>> {
    if !request.fields.contains_key(SURROGATE_KEY) {
        return Some(vec![Scope::Target(request.purged_as())]);
    }
    let lines = request.fields.get_all(SURROGATE_KEY).iter().map(|line| line.to_str().ok());
    let lines = lines.collect::<Option<Vec<_>>>()?;
    let keys = lines.iter().flat_map(|line| line.split_ascii_whitespace());
    let scopes: Vec<_> = keys.take(KEYS_MAX + 1).map(|key| Scope::SurrogateKey(key.to_owned())).collect();
    (1..=KEYS_MAX).contains(&scopes.len()).then_some(scopes)
}
