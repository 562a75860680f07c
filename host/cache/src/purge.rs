//! Purging: raise a barrier here at once, record it where it outlives the node, tell the other nodes, then sweep.

mod heir;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbar_base::clock::Clock;
use sandbar_memory::Removal;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::heir::Heir;
use crate::barrier::outbox::Parcel;
use crate::barrier::{Barrier, Purge, Scope, Verdict};
use crate::consistency::Consistency;
use crate::errand;
use crate::fleet::{Ack, Confirmed, Fleet};
use crate::peers::Peers;
use crate::tenant::Tenant;
use crate::tenant::counters::count;
use crate::tier::BarrierStore;
use crate::tier::TierError;

/// How long a pending purge waits after a failed delivery before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long a sweep waits for more purges: each sweep looks at all entries.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// How often deliveries are still tried when the cache is being stopped, for a store that is just coming back.
const LAST_TRIES: u32 = 12;
/// The pause between two of these last tries.
const LAST_PAUSE: Duration = Duration::from_millis(250);

/// The result of one or several purges. On this node all of them have taken effect, unless `reason` says that the process
/// is being stopped: then how many of them have is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// Purges that are recorded where they outlive this node, and told to the others.
    pub recorded: usize,
    /// Purges that only this node knows of yet; they are delivered as soon as that is possible.
    pub pending: usize,
    /// Pending purges whose consistency promises more than that.
    pub failed: usize,
    /// Nodes that have not confirmed the last pending purge, where all must.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Why the last pending purge could not be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A purge that could not be delivered: what is left to do of it, why it got no further, and which nodes are missing.
struct Stuck {
    /// None where an heir keeps it, and delivers it.
    parcel: Option<Parcel>,
    reason: String,
    missing: Vec<String>,
}

impl Stuck {
    const fn new(parcel: Parcel, reason: String) -> Self {
        Self { parcel: Some(parcel), reason, missing: Vec::new() }
    }
}

/// Makes purges known: on this node, in the store where they outlive it, and on the other nodes.
pub(crate) struct Purges {
    pub(crate) barriers: Option<Arc<dyn BarrierStore>>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// The process that takes this one's place, if there is one. It is read for as long as a purge is under way, so that
    /// each is made either by this process, to its end, or by the heir.
    pub(crate) heir: tokio::sync::RwLock<Option<Arc<dyn Heir>>>,
}

impl Purges {
    /// Says who makes purges from now on, beside this process. Returns once those that were under way before are done.
    pub(crate) async fn name_heir(&self, heir: Option<Arc<dyn Heir>>) {
        *self.heir.write().await = heir;
    }

    /// Has the heir make the purges of a tenant that wait to be delivered.
    ///
    /// # Errors
    /// In words, where it can't be told.
    pub(crate) async fn hand_on(&self, tenant: &Tenant) -> Result<(), String> {
        while let Some(parcel) = tenant.outbox.front() {
            if let Err(stuck @ Stuck { parcel: Some(_), .. }) = self.deliver_waiting(tenant, &parcel).await {
                return Err(stuck.reason);
            }
        }
        Ok(())
    }

    /// See [`Cache::purge`](crate::cache::Cache::purge).
    pub(crate) async fn purge(self: &Arc<Self>, tenant: &Arc<Tenant>, purges: &[Purge]) -> PurgeReport {
        let (room, tenant, several) = (Arc::clone(self), Arc::clone(tenant), purges.to_vec());
        let stopped = || PurgeReport {
            pending: purges.len(),
            failed: purges.len(),
            reason: Some("the process is being stopped".to_owned()),
            ..PurgeReport::default()
        };
        errand::done(&self.tasks, async move { room.purge_whole(&tenant, &several).await }, stopped).await
    }

    /// Like [`Self::purge`], in the caller's own task, which must not be cancelled before the end.
    pub(crate) async fn purge_whole(self: &Arc<Self>, tenant: &Arc<Tenant>, purges: &[Purge]) -> PurgeReport {
        let heir = self.heir.read().await;
        let mut report = PurgeReport::default();
        for purge in purges {
            count(&tenant.counters.purges);
            let recording = tenant.unrecorded.begin(&purge.scope);
            let raised = tenant.barriers.raise_here(purge, self.clock.now());
            match self.deliver(tenant, Parcel::Raised(raised), heir.as_deref()).await {
                Ok(()) => report.recorded += 1,
                Err(stuck) => {
                    count(&tenant.counters.purges_pending);
                    if matches!(stuck.parcel, Some(Parcel::Raised(_))) {
                        recording.waits();
                    }
                    if let Some(parcel) = stuck.parcel
                        && !tenant.outbox.push(parcel)
                    {
                        tenant.unrecorded.become_one(Scope::Everything);
                    }
                    report.pending += 1;
                    let promised = tenant.settings.classes.consistency_reached(&purge.scope).reaches_beyond_the_node();
                    report.failed += usize::from(promised);
                    report.reason = Some(stuck.reason);
                    report.missing = stuck.missing;
                }
            }
        }
        if report.pending > 0 {
            self.deliver_behind(tenant);
        }
        if !purges.is_empty() {
            self.sweep_behind(tenant);
        }
        report
    }

    /// Records a barrier and tells the other nodes; a barrier that is recorded already is only told. Where there is an
    /// heir, it does both.
    async fn deliver(&self, tenant: &Tenant, parcel: Parcel, heir: Option<&dyn Heir>) -> Result<(), Stuck> {
        if let Some(heir) = heir {
            return Self::bequeath(tenant, parcel, heir).await;
        }
        let is_recorded = matches!(parcel, Parcel::Recorded(_));
        let barrier = parcel.into_barrier();
        let to_all = tenant.settings.classes.consistency_reached(&barrier.purge.scope) == Consistency::WriteAll;
        if is_recorded {
            return self.tell(tenant, barrier, None, to_all).await;
        }
        match self.record(tenant, &barrier, to_all).await {
            Ok((recorded, told)) => self.tell(tenant, recorded, told, to_all).await,
            Err(error) => Err(Stuck::new(Parcel::Raised(barrier), error.to_string())),
        }
    }

    /// Has the heir make a purge.
    async fn bequeath(tenant: &Tenant, parcel: Parcel, heir: &dyn Heir) -> Result<(), Stuck> {
        let barrier = parcel.clone().into_barrier();
        match heir.purge(&tenant.name, &barrier.purge, barrier.sequence).await {
            Ok(report) if report.pending == 0 => Ok(()),
            Ok(report) => {
                Err(Stuck { parcel: None, reason: report.reason.unwrap_or_default(), missing: report.missing })
            }
            Err(reason) => Err(Stuck::new(parcel, reason)),
        }
    }

    /// Records a barrier where it outlives this node, under the number that it gets there. The same step may tell the
    /// other nodes, which confirm it at once where it goes `to_all`.
    async fn record(
        &self,
        tenant: &Tenant,
        barrier: &Barrier,
        to_all: bool,
    ) -> Result<(Barrier, Option<Result<Ack, TierError>>), TierError> {
        let Some(store) = &self.barriers else { return Ok((barrier.clone(), None)) };
        // Not the barrier's own number: others may have been raised here meanwhile, and the recorded number must be
        // above what they hide.
        let above = tenant.barriers.current().saturating_sub(1);
        let (name, purge, at) = (&tenant.name, &barrier.purge, barrier.raised);
        if let Some(bus) = self.peers.fleet().map(Fleet::bus)
            && let Some(raising) = store.raising(name, purge, above, at)
            && bus.can_raise(name, &raising)
        {
            match bus.raise(name, &raising, barrier, to_all).await {
                Ok((recorded, told)) => {
                    tenant.barriers.learn(&recorded);
                    return Ok((recorded, Some(told)));
                }
                // A Cluster of one server behind a plain URL runs no script over two hash tags.
                Err(error @ TierError::Failed { .. }) => tracing::debug!(%error, "recorded first and told after it"),
                Err(error) => return Err(error),
            }
        }
        let sequence = store.raise(name, purge, above, at).await?;
        let recorded = Barrier { sequence, ..barrier.clone() };
        tenant.barriers.learn(&recorded);
        Ok((recorded, None))
    }

    /// Tells the other nodes of a recorded barrier, unless they have been `told`, and waits for their confirmation
    /// where it goes `to_all`.
    async fn tell(
        &self,
        tenant: &Tenant,
        recorded: Barrier,
        told: Option<Result<Ack, TierError>>,
        to_all: bool,
    ) -> Result<(), Stuck> {
        let Some(fleet) = self.peers.fleet() else { return Ok(()) };
        let (bus, name) = (fleet.bus(), &tenant.name);
        let confirmed = match told {
            Some(Err(error)) => Err(error),
            Some(Ok(ack)) if to_all => bus.confirmed_by_all(&ack).await,
            Some(Ok(_)) => Ok(Confirmed::All),
            None if to_all => bus.publish_to_all(name, &recorded).await,
            None => bus.publish(name, &recorded).await.map(|_| Confirmed::All),
        };
        match confirmed {
            Ok(Confirmed::All) => Ok(()),
            Ok(unconfirmed) => {
                let reason = unconfirmed.reason(fleet.confirm_deadline());
                Err(Stuck { missing: unconfirmed.into_missing(), ..Stuck::new(Parcel::Recorded(recorded), reason) })
            }
            Err(error) => Err(Stuck::new(Parcel::Recorded(recorded), error.to_string())),
        }
    }

    /// Delivers the purge that has waited longest, `parcel`, and notes what is left to do of it.
    async fn deliver_waiting(&self, tenant: &Tenant, parcel: &Parcel) -> Result<(), Stuck> {
        let heir = self.heir.read().await;
        let delivered = self.deliver(tenant, parcel.clone(), heir.as_deref()).await;
        let left = delivered.as_ref().err().and_then(|stuck| stuck.parcel.clone());
        if let Parcel::Raised(barrier) = parcel
            && !matches!(left, Some(Parcel::Raised(_)))
        {
            tenant.unrecorded.settle(&barrier.purge.scope);
        }
        tenant.outbox.settle(parcel, left);
        delivered
    }

    /// Delivers pending purges in the background, once that is possible. One task per tenant does it.
    pub(crate) fn deliver_behind(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        if !tenant.outbox.take_duty() {
            return;
        }
        let (room, tenant) = (Arc::clone(self), Arc::clone(tenant));
        self.tasks.spawn(async move {
            let mut last_tries = LAST_TRIES;
            loop {
                while let Some(parcel) = tenant.outbox.front() {
                    if let Err(Stuck { parcel: Some(_), .. }) = room.deliver_waiting(&tenant, &parcel).await
                        && !room.may_try_again(&mut last_tries).await
                    {
                        return;
                    }
                }
                if tenant.outbox.give_back_duty() {
                    return;
                }
            }
        });
    }

    /// Pauses before a delivery is tried again; false where the cache is being stopped and no last try is left.
    async fn may_try_again(&self, last_tries: &mut u32) -> bool {
        if !self.is_stopped_within(RETRY_PAUSE).await {
            return true;
        }
        if *last_tries == 0 {
            return false;
        }
        if *last_tries < LAST_TRIES {
            tokio::time::sleep(LAST_PAUSE).await;
        }
        *last_tries -= 1;
        true
    }

    /// Waits for `pause`; returns early, and true, if the cache is being stopped.
    async fn is_stopped_within(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.stopping.cancelled()).await.is_ok()
    }

    /// Frees the memory of entries that barriers hide. They are invisible already, so a sweep waits a moment for more
    /// purges: those that come together need only one. One sweep per tenant at a time; what is purged while it runs is
    /// swept by another round.
    pub(crate) fn sweep_behind(&self, tenant: &Arc<Tenant>) {
        if tenant.sweeps_wanted.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let (tenant, clock) = (Arc::clone(tenant), Arc::clone(&self.clock));
        self.tasks.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_PAUSE).await;
                let wanted = tenant.sweeps_wanted.load(Ordering::Acquire);
                let (of, now) = (Arc::clone(&tenant), clock.now());
                let sweep = move || {
                    of.memory.sweep(Removal::Purged, now, |_, cached| cached.verdict(&of.barriers) != Verdict::Gone)
                };
                let _ = tokio::task::spawn_blocking(sweep).await;
                if tenant.sweeps_wanted.compare_exchange(wanted, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    return;
                }
            }
        });
    }
}
