//! Purging: raise a barrier here at once, record it where it outlives the node, tell the other nodes, then sweep.

mod delivery;
mod heir;
pub(crate) mod method;
pub(crate) mod preview;
mod report;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbar_base::clock::Clock;
use sandbar_memory::Removal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::delivery::{Delivered, owe_everything};
pub use self::heir::Heir;
pub use self::report::PurgeReport;
use crate::barrier::outbox::Parcel;
use crate::barrier::unheard::Pushed;
use crate::barrier::{Purge, Scope, Verdict};
use crate::errand;
use crate::faults::switched_on;
use crate::peers::Peers;
use crate::tenant::Tenant;
use crate::tenant::counters::count;
use crate::tier::{BarrierStore, Recorded};

/// How long a sweep waits for more purges: each sweep looks at all entries.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// What has become of several purges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purged {
    pub(crate) report: PurgeReport,
    /// Those that are recorded and told, in their order.
    pub(crate) recorded: Vec<Recorded>,
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
    /// See [`Cache::purge`](crate::cache::Cache::purge).
    pub(crate) async fn purge(self: &Arc<Self>, tenant: &Arc<Tenant>, purges: &[Purge]) -> PurgeReport {
        let (room, tenant, several) = (Arc::clone(self), Arc::clone(tenant), purges.to_vec());
        let stopped = || PurgeReport {
            pending: purges.len(),
            failed: purges.len(),
            reason: Some("the process is being stopped".to_owned()),
            ..PurgeReport::default()
        };
        errand::done(&self.tasks, async move { room.purge_whole(&tenant, &several).await.report }, stopped).await
    }

    /// Like [`Self::purge`], in the caller's own task, which must not be cancelled before the end.
    pub(crate) async fn purge_whole(self: &Arc<Self>, tenant: &Arc<Tenant>, purges: &[Purge]) -> Purged {
        let heir = self.heir.read().await;
        let Purged { mut report, recorded: mut all } = Purged::default();
        let elsewhere = purges.iter().find_map(|purge| of_other_keys(tenant, purge));
        for purge in purges.iter().chain(&elsewhere) {
            count(&tenant.counters.purges);
            let recording = tenant.unrecorded.begin(&purge.scope);
            let (raised, before) = tenant.barriers.raise_here(purge, self.clock.now());
            match self.deliver(tenant, Parcel::Raised(raised), heir.as_deref()).await {
                Ok(Delivered { recorded, heard }) => {
                    report.recorded += 1;
                    report.confirmed = heard;
                    all.push(Recorded { before: recorded.before.max(before), ..recorded });
                }
                Err(stuck) => {
                    count(&tenant.counters.purges_pending);
                    if stuck.parcel.as_ref().is_some_and(Parcel::is_unrecorded) {
                        recording.waits();
                    }
                    if let Some(parcel) = stuck.parcel
                        && !switched_on().no_retried_purges
                        && !tenant.outbox.push(parcel)
                    {
                        tenant.unrecorded.become_one(Scope::Everything);
                    }
                    report.pending += 1;
                    let promised = tenant.settings.classes.consistency_reached(&purge.scope).reaches_beyond_the_node();
                    report.failed += usize::from(promised);
                    report.reason = Some(stuck.reason);
                    (report.missing, report.confirmed) = (stuck.missing, stuck.heard);
                }
            }
        }
        if report.pending > 0 {
            self.deliver_behind(tenant);
        }
        if !purges.is_empty() {
            self.sweep_behind(tenant);
        }
        Purged { report, recorded: all }
    }

    /// Purges entries on this node, and tells no other one. It is recorded behind, where it outlives the node: what the L2
    /// has is not found again. Where too many wait for that already, it is recorded before this returns, and so it is by an heir.
    pub(crate) async fn purge_unheard(self: &Arc<Self>, tenant: &Arc<Tenant>, purge: &Purge) {
        let heir = self.heir.read().await;
        let elsewhere = of_other_keys(tenant, purge);
        let purge = elsewhere.as_ref().unwrap_or(purge);
        count(&tenant.counters.purges);
        let recording = tenant.unrecorded.begin(&purge.scope);
        let (raised, _) = tenant.barriers.raise_here(purge, self.clock.now());
        self.sweep_behind(tenant);
        let is_recorded = match heir.as_deref() {
            Some(heir) => self.record_unheard(tenant, &raised, Some(heir)).await.is_ok(),
            None => self.barriers.is_none(),
        };
        if is_recorded {
            return;
        }
        match tenant.unheard.push(raised.clone()) {
            Pushed::Waits => recording.waits(),
            Pushed::WithAnother => {}
            Pushed::NoRoom => {
                if self.record_unheard(tenant, &raised, heir.as_deref()).await.is_err() {
                    owe_everything(tenant, raised);
                }
            }
        }
        self.record_behind(tenant);
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

/// What is to be purged instead where a purge names a target as the key rules of before did: what the target is called by now, nobody who
/// holds that tenant knows, and to purge too much is no fault.
fn of_other_keys(tenant: &Tenant, purge: &Purge) -> Option<Purge> {
    let names_target = matches!(purge.scope, Scope::Target(_));
    (names_target && !tenant.edition.has_present_keys()).then(Purge::everything)
}
