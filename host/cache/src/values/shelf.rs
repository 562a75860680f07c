//! What all values under one name have in common, whatever their type: looking up, in memory and below.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, Method, Uri};
use sandbar_base::clock::Timestamp;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::leave::{Ground, Holds, Leave, to_reuse};
use sandbar_http::semantics::{RequestDirectives, RequestHead, StaleReason};

use super::address::Address;
use super::error::ValueError;
use crate::cache::Cache;
use crate::cached::Form;
use crate::fill::refresh::wants_refresh;
use crate::request::CacheRequest;
use crate::store::Store;
use crate::store::found::{Found, L1};
use crate::tenant::Tenant;
use crate::tenant::counters::{Source, count};
use crate::write::Writer;

/// Where the values of one name are kept.
pub(super) struct Shelf {
    pub(super) cache: Cache,
    pub(super) tenant: Arc<str>,
    pub(super) address: Address,
    pub(super) form: Arc<dyn Form>,
    uri: Uri,
    fields: HeaderMap,
    /// What has to live for as long as the cache is used.
    _kept: Arc<dyn Any + Send + Sync>,
}

/// A cache, and what has to live for as long as it is used.
pub(crate) struct Kept {
    pub(crate) cache: Cache,
    pub(crate) alive: Arc<dyn Any + Send + Sync>,
}

/// A value that was found in L1.
pub(super) struct Hit {
    pub(super) leave: Leave<Found>,
    /// Whether it is to be loaded anew behind the answer.
    pub(super) refreshes: bool,
}

/// Why a value did not come from L1.
pub(super) struct NoHit {
    /// What is there and may not be given as it is.
    pub(super) basis: Option<Found>,
}

impl Shelf {
    pub(super) fn new(keeper: Kept, tenant: &str, address: Address, form: Arc<dyn Form>) -> Self {
        let Kept { cache, alive } = keeper;
        let (uri, fields) = (Uri::default(), HeaderMap::new());
        Self { cache, tenant: tenant.into(), address, form, uri, fields, _kept: alive }
    }

    /// The tenant, with the settings that it has now.
    pub(super) fn tenant(&self) -> Result<Arc<Tenant>, ValueError> {
        self.cache.tenant(&self.tenant).ok_or_else(|| ValueError::NoTenant(Arc::clone(&self.tenant)))
    }

    pub(super) fn key(&self, tenant: &Tenant, key: &[u8]) -> Result<CacheKey, ValueError> {
        Ok(self.address.key(&tenant.key_scope, key)?)
    }

    pub(super) fn request(&self, tenant: &Arc<Tenant>, key: CacheKey) -> Arc<CacheRequest> {
        CacheRequest::of_value(tenant, key, Arc::clone(&self.form))
    }

    pub(super) fn writer(&self) -> &Arc<Writer> {
        self.cache.writer()
    }

    pub(super) fn store(&self) -> &Store {
        &self.writer().store
    }

    pub(super) fn now(&self) -> Timestamp {
        self.writer().clock.now()
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.writer().clock.monotonic()
    }

    /// A value from L1, if it may be given as it is.
    pub(super) fn hit(&self, tenant: &Arc<Tenant>, key: &CacheKey) -> Result<Hit, NoHit> {
        let now = self.now();
        let found = self.store().visible_in_l1(tenant, key, now).and_then(|cached| Found::under(key, cached, L1));
        let Some(found) = found.filter(|found| self.is_own(found)) else { return Err(NoHit { basis: None }) };
        let found = self.as_planned_now(tenant, key, found);
        let soft_purged = found.soft_purged();
        let head = RequestHead::with_directives(&Method::GET, &self.uri, &self.fields, RequestDirectives::default());
        let leave = to_reuse(found, &head, now, soft_purged).map_err(|(found, _)| NoHit { basis: Some(found) })?;
        let refreshes = match leave.ground() {
            Ground::Stale(reason) => reason == StaleReason::WhileRevalidate,
            _ => wants_refresh(leave.what().stored(), now),
        };
        if tenant.recording_point.is_open() {
            self.request(tenant, key.clone()).record(leave.what().cached(), now);
        }
        Ok(Hit { leave, refreshes })
    }

    /// Values from L2, if they may be given as they are; they are in L1 from then on. In one round, in the order of the
    /// requests.
    pub(super) async fn below(&self, requests: &[Arc<CacheRequest>]) -> Vec<Result<Leave<Found>, NoHit>> {
        let (store, now) = (self.store(), self.now());
        if store.l2.is_none() {
            return requests.iter().map(|_| Err(NoHit { basis: None })).collect();
        }
        let found = store.look_for_values_in_l2(requests).await;
        let answer = |(request, found): (&Arc<CacheRequest>, Option<Found>)| {
            let leave = found.ok_or(None).and_then(|found| {
                let soft_purged = found.soft_purged();
                to_reuse(found, &request.head(), now, soft_purged).map_err(|(found, _)| Some(found))
            });
            match &leave {
                Ok(leave) => store.promote(request, leave.what()),
                Err(_) => count(&request.tenant.counters.misses_l2),
            }
            leave.map_err(|basis| NoHit { basis })
        };
        requests.iter().zip(found).map(answer).collect()
    }

    /// Whether what was found holds a value of this type.
    pub(super) fn is_own(&self, found: &Found) -> bool {
        found.cached().decoded().is_some_and(|decoded| self.form.owns(decoded))
    }

    /// Plans what was found anew where that is due.
    fn as_planned_now(&self, tenant: &Arc<Tenant>, key: &CacheKey, found: Found) -> Found {
        if found.cached().plan_epoch >= tenant.plan_epoch.load(Ordering::Acquire) {
            return found;
        }
        self.store().replan(&self.request(tenant, key.clone()), found)
    }

    /// Counts a call that began at `started`.
    pub(super) fn counted(
        &self,
        tenant: &Tenant,
        answered: (Outcome, Option<usize>),
        source: Source,
        bytes: u64,
        started: Duration,
    ) {
        tenant.answered(answered, source, bytes, self.monotonic().saturating_sub(started));
    }

    /// Counts a hit in L1.
    pub(super) fn counted_hit(&self, tenant: &Tenant, hit: &Leave<Found>, started: Duration) {
        let source = Source::L1 { stale: matches!(hit.ground(), Ground::Stale(_)) };
        self.counted(tenant, (Outcome::Hit, None), source, hit.what().cached().content_bytes(), started);
    }
}
