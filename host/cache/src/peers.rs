//! A cache among others: what it may serve while it hears nothing of them.

use std::sync::OnceLock;

use sandbar_http::key::CacheKey;

use crate::cached::Cached;
use crate::consistency::Consistency;
use crate::faults::switched_on;
use crate::fleet::{Fleet, FleetReport, Newer};
use crate::request::CacheRequest;
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// The cache's place in a fleet, where it has one.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    fleet: OnceLock<Fleet>,
}

impl Peers {
    /// Takes its place in a fleet, unless it has one.
    #[cfg(feature = "redis")]
    pub(crate) fn join(&self, fleet: Fleet) -> Result<(), Fleet> {
        self.fleet.set(fleet)
    }

    /// The fleet it has joined.
    pub(crate) fn fleet(&self) -> Option<&Fleet> {
        self.fleet.get()
    }

    /// What an operator wants to know of its part in the fleet.
    pub(crate) fn report(&self) -> Option<FleetReport> {
        self.fleet().map(Fleet::report)
    }

    /// Whether an entry of L1 may be served by what its class promises: it is if purges are heard, or if it was looked up
    /// or fetched a moment ago. Costs nothing where the class promises nothing about other nodes.
    pub(crate) fn vouches_for(&self, tenant: &Tenant, cached: &Cached) -> bool {
        if !cached.consistency.reaches_beyond_the_node() {
            return true;
        }
        let Some(fleet) = self.fleet() else { return true };
        let vouched = match cached.consistency {
            _ if switched_on().no_self_fencing => true,
            Consistency::WriteAll => fleet.bus().hearing().hears(&tenant.name),
            _ => fleet.vouches_for(&tenant.name, cached.began.at),
        };
        if !vouched {
            count(&tenant.counters.l1_not_vouched_for);
        }
        vouched
    }

    /// Whether this node may not serve a target from any tier, nor have requests wait for each other: the others may have
    /// stopped to wait for it, and its class promises that they do not.
    pub(crate) fn is_fenced(&self, request: &CacheRequest) -> bool {
        request.consistency() == Consistency::WriteAll
            && !switched_on().no_self_fencing
            && self.fleet().is_some_and(|fleet| !fleet.bus().hearing().hears(&request.tenant.name))
    }

    /// Whether leases carry their tokens into L2.
    pub(crate) fn fences(&self) -> bool {
        !switched_on().no_fencing
    }

    /// Tells the other nodes that L2 has something newer than what they may have.
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
