//! A cache among others: what it hears of them, and what it may serve while it hears nothing.

use std::sync::{Arc, OnceLock, Weak};

use super::asked::Asked;
use super::{Cache, Inner};
use crate::barrier::Barrier;
use crate::consistency::Consistency;
use crate::faults::Faults;
use crate::fleet::{Fleet, FleetConfig, FleetReport, Listener, Lost, Newer, Partition};
use crate::tenant::Tenant;
use crate::tenant::counters::count;
use crate::tier::TierError;

/// The cache's place in a fleet, where it has one.
#[derive(Debug, Default)]
pub(super) struct Place {
    fleet: OnceLock<Fleet>,
    faults: OnceLock<Faults>,
}

impl Cache {
    /// Joins the nodes that share its L2: from now on one of them fetches a key and all of them hear of purges.
    ///
    /// # Errors
    /// When a setting is wrong, or it has joined a fleet before.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn join_fleet(&self, config: &FleetConfig) -> Result<(), TierError> {
        let ear = Arc::new(Ear { inner: Arc::downgrade(&self.inner) });
        let fleet = Fleet::start(config, ear, Arc::clone(&self.inner.clock))?;
        let _ = self.inner.place.faults.set(config.faults);
        self.inner.place.fleet.set(fleet).map_err(|_| TierError::Failed {
            tier: crate::fleet::NAME,
            reason: "the cache has joined a fleet already".to_owned(),
        })
    }

    /// The fleet it has joined.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.inner.place.fleet.get()
    }

    /// What an operator wants to know of its part in the fleet.
    pub fn fleet_report(&self) -> Option<FleetReport> {
        self.fleet().map(Fleet::report)
    }

    /// Whether an entry of L1 may be served by what its class promises: it is if purges are heard, or if it was looked up
    /// or fetched a moment ago. Costs nothing where the class promises nothing about other nodes.
    pub(super) fn vouches_for(&self, tenant: &Tenant, cached: &super::Cached) -> bool {
        if !cached.consistency.reaches_beyond_the_node() {
            return true;
        }
        let Some(fleet) = self.fleet() else { return true };
        let vouched = match cached.consistency {
            _ if self.faults().no_self_fencing => true,
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
    pub(super) fn is_fenced(&self, asked: &Asked) -> bool {
        asked.consistency() == Consistency::WriteAll
            && !self.faults().no_self_fencing
            && self.fleet().is_some_and(|fleet| !fleet.bus().hearing().hears(&asked.tenant.name))
    }

    /// Whether leases carry their tokens into L2.
    pub(super) fn fences(&self) -> bool {
        !self.faults().no_fencing
    }

    pub(super) fn faults(&self) -> Faults {
        self.inner.place.faults.get().copied().unwrap_or_default()
    }
}

/// Hears what other nodes say. It does not keep the cache alive.
struct Ear {
    inner: Weak<Inner>,
}

impl Listener for Ear {
    fn purged(&self, tenant: &str, barrier: &Barrier) {
        let Some(cache) = self.cache() else { return };
        if let Some(tenant) = cache.tenant(tenant) {
            tenant.barriers.learn(barrier);
            cache.sweep_behind(tenant);
        }
    }

    fn stored(&self, tenant: &str, newer: &Newer) {
        let Some(cache) = self.cache() else { return };
        if let Some(tenant) = cache.tenant(tenant) {
            cache.heard_of(tenant, newer);
        }
    }

    fn joined(&self, partition: Partition) {
        self.distrust(partition, true);
    }

    fn lost(&self, partition: Partition, why: Lost) {
        // Silence alone says that purges may come late, not that any were missed: what promises nothing about other nodes
        // goes on being served.
        self.distrust(partition, why != Lost::Silence);
    }
}

impl Ear {
    fn cache(&self) -> Option<Cache> {
        self.inner.upgrade().map(|inner| Cache { inner })
    }

    fn distrust(&self, partition: Partition, all: bool) {
        let Some(cache) = self.cache() else { return };
        for tenant in cache.tenants().iter().filter(|tenant| partition.holds(&tenant.name)) {
            tenant.barriers.distrust(all);
            count(&tenant.counters.l1_given_up);
            cache.sweep_behind(tenant);
        }
    }
}
