//! What a write makes invalid, and purging that.

use http::{HeaderMap, StatusCode};
use sandbar_http::key::Target;
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use sandbar_http::semantics::{ResponseHead, group_invalidations, invalidated};
use sandbar_policy::invalidation::Written;

use super::Writer;
use crate::purge::Purged;
use crate::request::CacheRequest;
use crate::strategy::Strategy;

impl Writer {
    /// Purges what a successful unsafe request made invalid: its target, what its response names, and what the tenant's
    /// policy adds. The write is in a task of its own already.
    pub(super) async fn purge_written(&self, request: &CacheRequest, status: StatusCode, fields: &HeaderMap) -> Purged {
        let response = ResponseHead { status, fields };
        let head = request.head_of_write();
        let rules = &request.tenant.settings.key;
        let mut purges: Vec<_> = invalidated(&head, &request.site, &response)
            .into_iter()
            .filter_map(|(site, target)| Target::on_site(rules, &site, &target).ok())
            .map(|target| Purge { scope: Scope::Target(target), mode: PurgeMode::Hard })
            .collect();
        purges.extend(group_invalidations(&head, &response).into_iter().map(|key| Purge {
            scope: Scope::SurrogateKey(key),
            // RFC 9875 section 3 makes them invalid, not gone: they may be served stale where that is allowed.
            mode: PurgeMode::Soft,
        }));
        if status.is_success() || status.is_redirection() {
            purges.extend(request.tenant.policies.purges(&Written {
                method: &request.method,
                site: &request.site,
                target: &request.target,
                key: rules,
                status,
                request: &request.fields,
                response: fields,
            }));
        }
        let purged = self.purges.purge_whole(&request.tenant, &purges).await;
        if let Some(reason) = &purged.report.reason {
            let tenant = &*request.tenant.name;
            tracing::warn!(tenant, target = request.target, reason, "other nodes do not know of a write yet");
        }
        purged
    }

    /// Invalidates the target of a write and nothing else, where its class wants that: here, and in L2.
    pub(super) async fn invalidate_target(&self, request: &CacheRequest, mode: PurgeMode) {
        if request.class().writes.ttl_invalidates {
            self.purges.purge_unheard(&request.tenant, &request.purge(mode)).await;
        }
    }

    /// Makes the target of a write stale that the origin may have taken, though no answer came: it has to be validated before it
    /// is reused, and stale-if-error still applies.
    pub(super) async fn doubt_target(&self, request: &CacheRequest) {
        if request.strategy() == Strategy::Ttl {
            return self.invalidate_target(request, PurgeMode::Soft).await;
        }
        self.purges.purge_whole(&request.tenant, &[request.purge(PurgeMode::Soft)]).await;
    }
}
