//! What a cache hears from the other nodes of its fleet, and how it reacts.

use std::sync::{Arc, Weak};

use sandbar_memory::Removal;

use super::{Cache, Cached, Rooms};
use crate::barrier::Barrier;
use crate::fleet::{Fleet, FleetConfig, Listener, Lost, Newer, Partition};
use crate::tenant::Tenant;
use crate::tenant::counters::count;
use crate::tenant::versions::Known;
use crate::tier::TierError;

impl Cache {
    /// Joins the fleet of nodes that use the same L2: from now on only one of them fetches a key at a time, and all of
    /// them hear of purges.
    ///
    /// # Errors
    /// When a setting is wrong, or this cache has joined a fleet before.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn join_fleet(&self, config: &FleetConfig) -> Result<(), TierError> {
        let listener = Arc::new(FleetListener { rooms: Arc::downgrade(&self.rooms) });
        let fleet = Fleet::start(config, listener, Arc::clone(&self.rooms.clock))?;
        self.rooms.peers.join(fleet).map_err(|_| TierError::Failed {
            tier: crate::fleet::NAME,
            reason: "the cache has joined a fleet already".to_owned(),
        })
    }

    /// Another node has stored a newer version: an older one is removed from L1.
    fn heard_of(&self, tenant: &Tenant, newer: &Newer) {
        let known = Known { version: newer.version, sequence: newer.sequence };
        tenant.versions.learn(newer.key, known, 0);
        let older = |cached: &Arc<Cached>| {
            cached.response().and_then(|stored| stored.version).is_some_and(|version| version < newer.version)
        };
        tenant.memory.remove_if(newer.key, Removal::Outdated, self.rooms.clock.now(), older);
    }
}

/// Listens to the other nodes. It does not keep the cache alive.
struct FleetListener {
    rooms: Weak<Rooms>,
}

impl Listener for FleetListener {
    fn purged(&self, tenant: &str, barrier: &Barrier) {
        let Some(cache) = self.cache() else { return };
        if let Some(tenant) = cache.tenant(tenant) {
            tenant.barriers.learn(barrier);
            cache.rooms.purges.sweep_behind(&tenant);
        }
    }

    fn stored(&self, tenant: &str, newer: &Newer) {
        let Some(cache) = self.cache() else { return };
        if let Some(tenant) = cache.tenant(tenant) {
            cache.heard_of(&tenant, newer);
        }
    }

    fn joined(&self, partition: Partition) {
        self.distrust(partition, true);
    }

    fn lost(&self, partition: Partition, why: Lost) {
        // Silence alone means that purges may come late, not that any were missed: entries of classes that promise
        // nothing about other nodes are still served.
        self.distrust(partition, why != Lost::Silence);
    }
}

impl FleetListener {
    fn cache(&self) -> Option<Cache> {
        self.rooms.upgrade().map(|rooms| Cache { rooms })
    }

    fn distrust(&self, partition: Partition, all: bool) {
        let Some(cache) = self.cache() else { return };
        for tenant in cache.tenants().iter().filter(|tenant| partition.holds(&tenant.name)) {
            tenant.barriers.distrust(all);
            count(&tenant.counters.l1_given_up);
            cache.rooms.purges.sweep_behind(tenant);
        }
    }
}
