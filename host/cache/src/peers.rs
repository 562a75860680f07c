//! The cache among the other nodes of its fleet: what it may serve while it hears nothing from them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use sandbar_http::key::CacheKey;

use crate::cached::Cached;
use crate::consistency::Consistency;
use crate::faults::switched_on;
use crate::fleet::{Fleet, FleetReport, Newer};
use crate::request::CacheRequest;
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// The fleet that the cache has joined, if any.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    fleet: OnceLock<Fleet>,
    /// Whether another process has taken this one's place.
    retired: AtomicBool,
}

impl Peers {
    /// Joins a fleet, unless the cache has joined one already.
    #[cfg(feature = "redis")]
    pub(crate) fn join(&self, fleet: Fleet) -> Result<(), Fleet> {
        self.fleet.set(fleet)
    }

    /// The fleet that the cache has joined.
    pub(crate) fn fleet(&self) -> Option<&Fleet> {
        self.fleet.get()
    }

    /// Notes whether another process has taken this one's place. Then nothing is served from a tier, nor stored in one:
    /// purges that the other one makes are not heard of here.
    pub(crate) fn retire(&self, is_retired: bool) {
        self.retired.store(is_retired, Ordering::Release);
    }

    /// Whether another process has taken this one's place.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// The state of the fleet as this node sees it, for operators.
    pub(crate) fn report(&self) -> Option<FleetReport> {
        self.fleet().map(Fleet::report)
    }

    /// Whether an entry of L1 may be served by what its class promises: never once another process has taken this one's
    /// place, else if purges are heard or, in all classes but
    /// `write-all`, if it was fetched or looked up a moment ago. Costs nothing where the class promises nothing about
    /// other nodes.
    pub(crate) fn vouches_for(&self, tenant: &Tenant, cached: &Cached) -> bool {
        let vouched = self.would_vouch_for(tenant, cached);
        if !vouched {
            count(&tenant.counters.l1_not_vouched_for);
        }
        vouched
    }

    /// Like [`Self::vouches_for`], for one who only wants to know: it is not counted.
    pub(crate) fn would_vouch_for(&self, tenant: &Tenant, cached: &Cached) -> bool {
        if self.is_retired() {
            return false;
        }
        if !cached.consistency.reaches_beyond_the_node() {
            return true;
        }
        let Some(fleet) = self.fleet() else { return true };
        match cached.consistency {
            _ if switched_on().no_self_fencing => true,
            Consistency::WriteAll => fleet.bus().hearing().hears(&tenant.name),
            _ => fleet.vouches_for(&tenant.name, cached.began.at),
        }
    }

    /// Whether this node must not serve the request's target from any tier, nor let requests for it wait for each
    /// other: once another process has taken this one's place, and in a class with `write-all`, while it does not hear
    /// the bus. The other nodes may then no longer wait for it to confirm a purge.
    pub(crate) fn is_cut_off(&self, request: &CacheRequest) -> bool {
        if self.is_retired() {
            return true;
        }
        request.consistency() == Consistency::WriteAll
            && !switched_on().no_self_fencing
            && self.fleet().is_some_and(|fleet| !fleet.bus().hearing().hears(&request.tenant.name))
    }

    /// Whether what a fill stores in L2 carries the token of its lease: always, unless a test has switched that off.
    pub(crate) fn sends_lease_tokens(&self) -> bool {
        !switched_on().no_fencing
    }

    /// Tells the other nodes that L2 has a newer version than they may have.
    pub(crate) async fn announce(&self, tenant: &Tenant, key: &CacheKey, cached: &Cached) {
        let Some(fleet) = self.fleet() else { return };
        let Some(stored) = cached.response() else { return };
        let Some(version) = stored.version else { return };
        let newer = Newer { key: key.hash(), version, sequence: stored.sequence };
        if let Err(error) = fleet.bus().announce(&tenant.name, &newer).await {
            count(&tenant.counters.versions_untold);
            tracing::debug!(tenant = &*tenant.name, %error, "other nodes were not told of a newer version");
        }
    }
}
