//! Purging: raise a barrier, here at once and in the store that outlives the node, then sweep behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use serde::Serialize;

use super::Cache;
use crate::barrier::{Purge, Verdict};
use crate::tenant::Tenant;
use crate::tenant::counters::count;
use crate::tier::TierError;
use crate::tier::memory::Departure;

/// What became of some purges. On this node all of them have taken effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// Purges that are recorded where they outlive this node and where other nodes see them.
    pub recorded: usize,
    /// Purges that only this node knows of yet; they are recorded as soon as the store answers again.
    pub pending: usize,
    /// Why they could not be recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Purges that wait for their store, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    queue: Mutex<VecDeque<(Arc<Tenant>, Purge)>>,
}

impl Pending {
    /// Purges kept one by one; past it the oldest tenant's whole barrier is raised instead.
    const PURGES_MAX: usize = 10_000;

    fn push(&self, tenant: &Arc<Tenant>, purge: Purge) {
        let mut queue = self.queue.lock();
        if queue.len() >= Self::PURGES_MAX {
            queue.retain(|(of, _)| !Arc::ptr_eq(of, tenant));
            let scope = crate::barrier::Scope::Everything;
            queue.push_back((Arc::clone(tenant), Purge { scope, mode: crate::barrier::PurgeMode::Hard }));
            return;
        }
        queue.push_back((Arc::clone(tenant), purge));
    }

    fn front(&self) -> Option<(Arc<Tenant>, Purge)> {
        self.queue.lock().front().cloned()
    }

    fn pop(&self, purge: &Purge) {
        let mut queue = self.queue.lock();
        if queue.front().is_some_and(|(_, front)| front == purge) {
            queue.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.lock().len()
    }
}

impl Cache {
    /// Makes entries of a tenant invisible (hard) or stale (soft): on this node before it returns, elsewhere as the
    /// report says. A fill that has begun before never becomes visible after it.
    pub async fn purge(&self, tenant: &Arc<Tenant>, purges: &[Purge]) -> PurgeReport {
        let mut report = PurgeReport::default();
        for purge in purges {
            count(&tenant.counters.purges);
            match self.raise(tenant, purge).await {
                Ok(()) => report.recorded += 1,
                Err(error) => {
                    count(&tenant.counters.purges_pending);
                    self.inner.pending.push(tenant, purge.clone());
                    report.pending += 1;
                    report.reason = Some(error.to_string());
                }
            }
        }
        if report.pending > 0 {
            self.deliver_behind();
        }
        if !purges.is_empty() {
            self.sweep_behind(tenant);
        }
        report
    }

    /// Purges that wait for their store to answer.
    pub fn purges_pending(&self) -> usize {
        self.inner.pending.len()
    }

    /// Raises a barrier here and in the store. Here it stands even where the store fails.
    async fn raise(&self, tenant: &Arc<Tenant>, purge: &Purge) -> Result<(), TierError> {
        let at = self.inner.clock.now();
        let barrier = tenant.barriers.raise_here(purge, at);
        let Some(store) = &self.inner.barriers else { return Ok(()) };
        let sequence = store.raise(&tenant.name, purge, barrier.sequence.saturating_sub(1), at).await?;
        tenant.barriers.learn(&crate::barrier::Barrier { sequence, ..barrier });
        Ok(())
    }

    /// Records pending purges once their store is back, without anybody waiting for it. One task does it at a time.
    fn deliver_behind(&self) {
        if self.inner.delivering.swap(true, Ordering::AcqRel) {
            return;
        }
        let cache = self.clone();
        self.inner.tasks.spawn(async move {
            while let Some((tenant, purge)) = cache.inner.pending.front() {
                let recorded = cache.raise(&tenant, &purge).await.is_ok();
                if recorded {
                    cache.inner.pending.pop(&purge);
                } else if cache.sleep_or_stopped(super::RETRY_PAUSE).await {
                    break;
                }
            }
            cache.inner.delivering.store(false, Ordering::Release);
        });
    }

    /// Frees the memory of what barriers hide. Visibility does not wait for it. One sweep per tenant at a time; what is
    /// purged while it runs is swept by another round.
    fn sweep_behind(&self, tenant: &Arc<Tenant>) {
        if tenant.sweeps_wanted.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let (tenant, clock) = (Arc::clone(tenant), Arc::clone(&self.inner.clock));
        self.inner.tasks.spawn_blocking(move || {
            loop {
                let wanted = tenant.sweeps_wanted.load(Ordering::Acquire);
                tenant.memory.sweep(clock.now(), |_, cached| cached.verdict(&tenant.barriers) != Verdict::Gone);
                if tenant.sweeps_wanted.compare_exchange(wanted, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    return;
                }
            }
        });
    }

    /// Removes one entry of L1 if barriers hide it.
    pub(crate) fn drop_if_gone(&self, tenant: &Tenant, key: crate::key::KeyHash) {
        tenant.memory.remove_if(key, Departure::Purged, self.inner.clock.now(), |cached| {
            cached.verdict(&tenant.barriers) == Verdict::Gone
        });
    }
}
