//! A cache among others: what it may serve while it hears nothing of them.

#[cfg(feature = "redis")]
mod ear;

use std::sync::OnceLock;

use super::Cache;
use super::asked::Asked;
use crate::consistency::Consistency;
use crate::faults::Faults;
use crate::fleet::{Fleet, FleetReport};
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// The cache's place in a fleet, where it has one.
#[derive(Debug, Default)]
pub(super) struct Place {
    fleet: OnceLock<Fleet>,
    faults: OnceLock<Faults>,
}

impl Cache {
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
