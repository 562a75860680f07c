//! Handing over to another process that takes this one's place: which of the two makes purges hold, and when this one
//! stops answering from what it has stored.

use std::sync::Arc;

use sandbar_http::purge::Purge;

use super::Cache;
use crate::barrier::Barrier;
use crate::purge::{Heir, PurgeReport};
use crate::tenant::Tenant;

#[doc(hidden)]
impl Cache {
    /// Has `heir` make every purge from now on, beside this process: it is the heir that records them and tells other
    /// nodes. Returns once purges that were under way before are done.
    pub async fn hand_purges_to(&self, heir: Arc<dyn Heir>) {
        self.rooms.purges.name_heir(Some(heir)).await;
    }

    /// Has the heir make the purges that could not be delivered yet, then answers requests from no tier any more, but
    /// from the origin alone: purges that the heir makes by itself reach what is stored here no longer.
    ///
    /// # Errors
    /// In words, where the heir can't be told; requests are answered as before then.
    pub async fn retire(&self) -> Result<(), String> {
        for tenant in self.tenants().iter() {
            self.rooms.purges.hand_on(tenant).await?;
        }
        self.rooms.peers.retire(true);
        Ok(())
    }

    /// Leaves the fleet, once another process has taken this one's place for good: no purge, and no change of a tenant,
    /// waits for this one any more.
    pub async fn leave_fleet(&self) {
        if let Some(fleet) = self.fleet() {
            fleet.bus().leave().await;
        }
    }

    /// Takes back what was handed over, as no heir has come of it: purges are made here alone, and requests answered as
    /// before. Barriers are read again, as the heir may have recorded some. The L2 must be this process's by now.
    pub async fn return_from_retirement(&self) {
        self.rooms.purges.name_heir(None).await;
        for tenant in self.tenants().iter() {
            tenant.forget_what_barriers_are_read();
            self.rooms.purges.deliver_behind(tenant);
            self.rooms.purges.record_behind(tenant);
        }
        self.rooms.peers.retire(false);
    }

    /// Makes a purge as the heir of a process that has made it under the number `sequence`: it gets a higher number
    /// here. Other nodes are told of it if it `is_for_others`.
    pub async fn purge_for(
        &self,
        tenant: &Arc<Tenant>,
        purge: Purge,
        sequence: u64,
        is_for_others: bool,
    ) -> PurgeReport {
        let raised = self.rooms.clock.now();
        tenant.barriers.learn(&Barrier { purge: purge.clone(), sequence, raised });
        if is_for_others {
            return self.purge(tenant, &[purge]).await;
        }
        self.rooms.purges.purge_unheard(tenant, &purge).await;
        PurgeReport { recorded: 1, ..PurgeReport::default() }
    }
}
