//! Tenants come, change and go while requests run: all that one change names at once, or nothing of it.

use std::sync::Arc;

use sandbar_http::purge::Purge;
use sandbar_policy::TenantPolicies;

use super::Cache;
use super::roster::{Roster, RosterError};
use crate::commons::COMMONS_BYTES;
use crate::origin::behind::ServiceBehind;
use crate::tenant::config::TenantConfig;
use crate::tenant::{NotHandedOver, Tenant, part};

/// What becomes of the tenants of a cache.
#[derive(Debug, Default)]
pub struct TenantChange {
    /// Tenants that are new, and tenants with other settings: [`Tenant::with`] makes one of those.
    pub put: Vec<Arc<Tenant>>,
    /// Names of tenants that go; a name that no tenant has changes nothing.
    pub removed: Vec<Arc<str>>,
}

/// What all of L1 may have.
#[derive(Debug)]
pub(super) struct Bound {
    /// In bytes; none where nobody said.
    pub(super) l1_bytes: Option<u64>,
}

impl Bound {
    /// What is left for the tenants without a share, where all keep so many per cent of what is theirs.
    pub(super) fn commons_bytes(&self, tenants: &Roster, kept_percent: u64) -> u64 {
        let left = self.l1_bytes.map_or(COMMONS_BYTES, |bytes| bytes.saturating_sub(tenants.shares_bytes()));
        part(left, kept_percent)
    }
}

/// Why the tenants were not changed.
#[derive(Debug, thiserror::Error)]
pub enum TenantChangeError {
    /// They can't be in one roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The eviction policy of a tenant could not take over its entries.
    #[error(transparent)]
    NotHandedOver(#[from] NotHandedOver),
}

impl Cache {
    /// Adds, changes and removes tenants: all of it at once, or nothing. Requests under way end as they began. What is
    /// removed gives its memory back once its last request has ended.
    ///
    /// A tenant whose key rules have changed is purged: purges would not reach what is stored under the old ones. Where a
    /// class promises more than before, what this node has in memory is not trusted any more.
    ///
    /// Blocks while an eviction policy takes over the entries of another one.
    ///
    /// # Errors
    /// When the tenants can't be in one roster, or an eviction policy can't take over; nothing has changed then.
    pub fn change_tenants(&self, change: &TenantChange) -> Result<(), TenantChangeError> {
        let one_at_a_time = self.rooms.changing.lock();
        let before = self.tenants();
        let after = Arc::new(before.with(&change.put, &change.removed)?);
        let now = self.clock().now();
        let mut handed_over: Vec<(&Arc<Tenant>, &Arc<Tenant>)> = Vec::new();
        for tenant in &change.put {
            let Some(old) = before.named(&tenant.name) else { continue };
            if let Err(error) = tenant.take_over(old, now) {
                for (old, tenant) in handed_over {
                    old.take_back(tenant, now);
                }
                return Err(error.into());
            }
            handed_over.push((old, tenant));
        }
        for tenant in &change.put {
            tenant.events.join(&self.rooms.events, &self.rooms.budget);
            if let Some(old) = before.named(&tenant.name).filter(|old| !tenant.is_succession_of(old)) {
                // Nothing that was bound for the one is for the other, and nothing is bound for that before it is found.
                old.policies.forget();
            }
        }
        self.rooms.tenants.store(Arc::clone(&after));
        self.settle(&before, &after, change, &one_at_a_time);
        Ok(())
    }

    /// Whether the tenants could be changed so: the hosts are free.
    ///
    /// # Errors
    /// When the tenants can't be in one roster.
    #[doc(hidden)]
    pub fn could_change(&self, change: &TenantChange) -> Result<(), RosterError> {
        self.tenants().with(&change.put, &change.removed).map(drop)
    }

    /// Purges, in a task of the cache, what may be stored for a tenant that this cache does not have: one that has gone while
    /// the process did not run.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[doc(hidden)]
    pub fn purge_gone(&self, name: &str) {
        let (config, policies) = (TenantConfig::named(name), TenantPolicies::native(name));
        match Tenant::new(&config, policies, Arc::new(ServiceBehind), Arc::clone(self.clock())) {
            Ok(gone) => self.forget_behind(&gone),
            Err(error) => tracing::warn!(tenant = name, %error, "what is stored for it can't be purged"),
        }
    }

    /// What follows once nothing new begins with the tenants as they were.
    fn settle(&self, before: &Roster, after: &Roster, change: &TenantChange, bound: &Bound) {
        let (kept_percent, commons) = (self.memory_budget().stats().l1_kept_percent, &self.rooms.commons);
        for tenant in change.put.iter().filter(|tenant| tenant.settings.l1_bytes > 0) {
            commons.seat(tenant);
        }
        for tenant in &change.put {
            match before.named(&tenant.name) {
                Some(old) if tenant.is_succession_of(old) => {
                    tenant.settle_after(old, kept_percent, self.clock().now());
                    if old.settings.key != tenant.settings.key {
                        self.purge_behind(tenant);
                    }
                }
                other => {
                    if let Some(old) = other {
                        old.clear_memory();
                    }
                    tenant.shrink_to(kept_percent, self.clock().now());
                }
            }
        }
        for name in &change.removed {
            if let Some(old) = before.named(name).filter(|_| after.named(name).is_none()) {
                commons.unseat(old);
                old.clear_memory();
                old.policies.forget();
                // Other nodes need not have counted how often there was a tenant of this name: so that none of them finds what
                // was stored for this one.
                self.forget_behind(old);
            }
        }
        commons.bound(bound.commons_bytes(after, kept_percent));
        for tenant in &change.put {
            commons.seat(tenant);
        }
    }

    /// Sets what all of L1 may have, in bytes: what the shares leave of it is for the tenants without one. Blocks while these give
    /// back what is too much.
    #[doc(hidden)]
    pub fn bound_l1(&self, bytes: u64) {
        let mut bound = self.rooms.changing.lock();
        bound.l1_bytes = Some(bytes);
        let kept_percent = self.memory_budget().stats().l1_kept_percent;
        self.rooms.commons.bound(bound.commons_bytes(&self.tenants(), kept_percent));
    }

    /// Lets each L1 have so much of its share.
    pub(crate) fn shrink_l1(&self, percent: u64) {
        let bound = self.rooms.changing.lock();
        let tenants = self.tenants();
        for tenant in tenants.iter() {
            tenant.shrink_to(percent, self.clock().now());
        }
        self.rooms.commons.bound(bound.commons_bytes(&tenants, percent));
    }

    /// Purges all that is stored for a tenant that has gone, in a task of the cache, and has the records of its purges go in time.
    fn forget_behind(&self, gone: &Arc<Tenant>) {
        let (cache, gone) = (self.clone(), Arc::clone(gone));
        self.rooms.tasks.spawn(async move {
            let purged = cache.rooms.purges.purge_whole(&gone, &[Purge::everything()]).await;
            // One of its name may be there again, and what is pending is recorded later.
            if purged.report.pending == 0 && cache.tenant(&gone.name).is_none() {
                cache.rooms.purges.forget_later(&gone).await;
            }
        });
    }

    /// Purges all that is stored for a tenant, in a task of the cache.
    fn purge_behind(&self, tenant: &Arc<Tenant>) {
        let (purges, tenant) = (Arc::clone(&self.rooms.purges), Arc::clone(tenant));
        self.rooms.tasks.spawn(async move {
            purges.purge_whole(&tenant, &[Purge::everything()]).await;
        });
    }
}
