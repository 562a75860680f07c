//! Delivering purges: to where they outlive this node, and to the other nodes; what can't be delivered is tried again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Heir, PurgeReport, Purges};
use crate::barrier::outbox::Parcel;
use crate::barrier::unheard::Pushed;
use crate::barrier::{Barrier, Purge, Scope};
use crate::consistency::Consistency;
use crate::fleet::{Ack, Confirmed, Fleet};
use crate::tenant::Tenant;
use crate::tier::{Recorded, TierError};

/// How long a pending purge waits after a failed delivery before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often deliveries are still tried when the cache is being stopped, for a store that is just coming back.
const LAST_TRIES: u32 = 12;
/// The pause between two of these last tries.
const LAST_PAUSE: Duration = Duration::from_millis(250);

/// How many purges that nobody is told of are recorded at a time.
const RECORDED_AT_ONCE: usize = 32;

/// A purge that is recorded, and told where it is to be told.
pub(super) struct Delivered {
    pub(super) recorded: Recorded,
    /// The other nodes that have confirmed it, where all must.
    pub(super) heard: Vec<String>,
}

/// A purge that could not be delivered: what is left to do of it, why it got no further, and which nodes are missing.
pub(super) struct Stuck {
    /// None where an heir keeps it, and delivers it.
    pub(super) parcel: Option<Parcel>,
    pub(super) reason: String,
    pub(super) missing: Vec<String>,
    pub(super) heard: Vec<String>,
}

impl Stuck {
    const fn new(parcel: Parcel, reason: String) -> Self {
        Self { parcel: Some(parcel), reason, missing: Vec::new(), heard: Vec::new() }
    }
}

impl Purges {
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
        self.hand_on_unheard(tenant).await
    }

    /// Records a barrier and tells the other nodes; a barrier that is recorded already is only told. Where there is an
    /// heir, it does both.
    pub(super) async fn deliver(
        &self,
        tenant: &Tenant,
        parcel: Parcel,
        heir: Option<&dyn Heir>,
    ) -> Result<Delivered, Stuck> {
        if let Some(heir) = heir {
            return bequeath(tenant, parcel, heir).await;
        }
        let to_all = |barrier: &Barrier| {
            tenant.settings.classes.consistency_reached(&barrier.purge.scope) == Consistency::WriteAll
        };
        match parcel {
            Parcel::Recorded(barrier) => {
                let (to_all, recorded) = (to_all(&barrier), Recorded { sequence: barrier.sequence, before: 0 });
                let heard = self.tell(tenant, barrier, None, to_all).await?;
                Ok(Delivered { recorded, heard })
            }
            Parcel::Raised(barrier) => {
                let to_all = to_all(&barrier);
                match self.record(tenant, &barrier, to_all).await {
                    Ok((recorded, told)) => {
                        let barrier = Barrier { sequence: recorded.sequence, ..barrier };
                        let heard = self.tell(tenant, barrier, told, to_all).await?;
                        Ok(Delivered { recorded, heard })
                    }
                    Err(error) => Err(Stuck::new(Parcel::Raised(barrier), error.to_string())),
                }
            }
        }
    }

    /// Records a barrier where it outlives this node, under the number that it gets there. The same step may tell the
    /// other nodes, which confirm it at once where it goes `to_all`.
    async fn record(
        &self,
        tenant: &Tenant,
        barrier: &Barrier,
        to_all: bool,
    ) -> Result<(Recorded, Option<Result<Ack, TierError>>), TierError> {
        let (name, purge, at) = (&tenant.name, &barrier.purge, barrier.raised);
        if let Some(store) = &self.barriers
            && let Some(bus) = self.peers.fleet().map(Fleet::bus)
            && let Some(raising) = store.raising(name, purge, above(tenant), at)
            && bus.can_raise(name, &raising)
        {
            match bus.raise(name, &raising, barrier, to_all).await {
                Ok((recorded, told)) => {
                    tenant.barriers.learn(&Barrier { sequence: recorded.sequence, ..barrier.clone() });
                    return Ok((recorded, Some(told)));
                }
                // A Cluster of one server behind a plain URL runs no script over two hash tags.
                Err(error @ TierError::Failed { .. }) => tracing::debug!(%error, "recorded first and told after it"),
                Err(error) => return Err(error),
            }
        }
        Ok((self.record_alone(tenant, barrier).await?, None))
    }

    /// Records a barrier where it outlives this node, and tells nobody.
    pub(super) async fn record_alone(&self, tenant: &Tenant, barrier: &Barrier) -> Result<Recorded, TierError> {
        let Some(store) = &self.barriers else { return Ok(Recorded { sequence: barrier.sequence, before: 0 }) };
        let recorded = store.raise(&tenant.name, &barrier.purge, above(tenant), barrier.raised).await?;
        tenant.barriers.learn(&Barrier { sequence: recorded.sequence, ..barrier.clone() });
        Ok(recorded)
    }

    /// Tells the other nodes of a recorded barrier, unless they have been `told`, and waits for their confirmation
    /// where it goes `to_all`. Returns the names of those that have confirmed it.
    async fn tell(
        &self,
        tenant: &Tenant,
        recorded: Barrier,
        told: Option<Result<Ack, TierError>>,
        to_all: bool,
    ) -> Result<Vec<String>, Stuck> {
        let Some(fleet) = self.peers.fleet() else { return Ok(Vec::new()) };
        let (bus, name) = (fleet.bus(), &tenant.name);
        let confirmed = match told {
            Some(Err(error)) => Err(error),
            Some(Ok(ack)) if to_all => bus.confirmed_by_all(&ack).await,
            Some(Ok(_)) => Ok(Confirmed::All(Vec::new())),
            None if to_all => bus.publish_to_all(name, &recorded).await,
            None => bus.publish(name, &recorded).await.map(|_| Confirmed::All(Vec::new())),
        };
        match confirmed {
            Ok(Confirmed::All(heard)) => Ok(heard),
            Ok(unconfirmed) => {
                let reason = unconfirmed.reason(fleet.confirm_deadline());
                let (heard, missing) = unconfirmed.into_nodes();
                Err(Stuck { heard, missing, ..Stuck::new(Parcel::Recorded(recorded), reason) })
            }
            Err(error) => Err(Stuck::new(Parcel::Recorded(recorded), error.to_string())),
        }
    }

    /// Delivers the purge that has waited longest, `parcel`, and notes what is left to do of it.
    async fn deliver_waiting(&self, tenant: &Tenant, parcel: &Parcel) -> Result<(), Stuck> {
        let heir = self.heir.read().await;
        let delivered = self.deliver(tenant, parcel.clone(), heir.as_deref()).await;
        let left = delivered.as_ref().err().and_then(|stuck| stuck.parcel.clone());
        if parcel.is_unrecorded() && !left.as_ref().is_some_and(Parcel::is_unrecorded) {
            tenant.unrecorded.settle(&parcel.barrier().purge.scope);
        }
        tenant.outbox.settle(parcel, left);
        delivered.map(drop)
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

    /// Records a purge that nobody is told of; an heir does it where there is one.
    pub(super) async fn record_unheard(
        &self,
        tenant: &Tenant,
        barrier: &Barrier,
        heir: Option<&dyn Heir>,
    ) -> Result<(), String> {
        match heir {
            Some(heir) => heir.purge(&tenant.name, &barrier.purge, barrier.sequence, false).await.map(drop),
            None => self.record_alone(tenant, barrier).await.map(drop).map_err(|error| error.to_string()),
        }
    }

    /// Records several such purges at a time; those for which that fails wait again.
    async fn record_several(&self, tenant: &Tenant, some: &[Barrier]) -> Result<(), String> {
        let heir = self.heir.read().await;
        let recording = some.iter().map(|barrier| self.record_unheard(tenant, barrier, heir.as_deref()));
        let mut all = Ok(());
        for (recorded, barrier) in join_all(recording).await.into_iter().zip(some) {
            match recorded {
                Ok(()) => tenant.unrecorded.settle(&barrier.purge.scope),
                Err(reason) => {
                    wait_again(tenant, barrier);
                    all = Err(reason);
                }
            }
        }
        all
    }

    /// Has an heir record the purges of a tenant that wait for that.
    ///
    /// # Errors
    /// In words, where it can't be told.
    async fn hand_on_unheard(&self, tenant: &Tenant) -> Result<(), String> {
        loop {
            let some = tenant.unheard.take(RECORDED_AT_ONCE);
            if some.is_empty() {
                return Ok(());
            }
            self.record_several(tenant, &some).await?;
        }
    }

    /// Records purges in the background that nobody is told of, several at a time. One task per tenant does it.
    pub(crate) fn record_behind(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        if tenant.unheard.len() == 0 || !tenant.unheard.take_duty() {
            return;
        }
        let (room, tenant) = (Arc::clone(self), Arc::clone(tenant));
        self.tasks.spawn(async move {
            let mut last_tries = LAST_TRIES;
            loop {
                let some = tenant.unheard.take(RECORDED_AT_ONCE);
                if some.is_empty() {
                    if tenant.unheard.give_back_duty() {
                        return;
                    }
                    continue;
                }
                if room.record_several(&tenant, &some).await.is_err() && !room.may_try_again(&mut last_tries).await {
                    return;
                }
            }
        });
    }

    /// Has the store forget a tenant's barriers, once nothing that they hide can be there any more.
    pub(crate) async fn forget_later(&self, tenant: &Tenant) {
        let Some(store) = &self.barriers else { return };
        if let Err(error) = store.forget_later(&tenant.name).await {
            tracing::warn!(tenant = &*tenant.name, %error, "records of its purges stay, though it is gone");
        }
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
}

/// Has a purge wait again that could not be recorded.
fn wait_again(tenant: &Tenant, barrier: &Barrier) {
    match tenant.unheard.push(barrier.clone()) {
        Pushed::Waits => {}
        Pushed::WithAnother => tenant.unrecorded.settle(&barrier.purge.scope),
        Pushed::NoRoom => {
            owe_everything(tenant, barrier.clone());
            tenant.unrecorded.settle(&barrier.purge.scope);
        }
    }
}

/// Has a purge of everything stand for one that can neither be recorded nor wait: for what is in L2 that is too much rather
/// than too little.
pub(super) fn owe_everything(tenant: &Tenant, instead_of: Barrier) {
    let recording = tenant.unrecorded.begin(&Scope::Everything);
    if tenant.unheard.push(Barrier { purge: Purge::everything(), ..instead_of }) == Pushed::Waits {
        recording.waits();
    }
}

/// Has the heir make a purge. Which others it has recorded in between nobody here knows: no write counts as the only one.
async fn bequeath(tenant: &Tenant, parcel: Parcel, heir: &dyn Heir) -> Result<Delivered, Stuck> {
    let Barrier { purge, sequence, .. } = parcel.barrier();
    let recorded = Recorded { sequence: *sequence, before: u64::MAX };
    match heir.purge(&tenant.name, purge, *sequence, true).await {
        Ok(PurgeReport { pending: 0, confirmed: heard, .. }) => Ok(Delivered { recorded, heard }),
        Ok(PurgeReport { reason, missing, confirmed: heard, .. }) => {
            Err(Stuck { parcel: None, reason: reason.unwrap_or_default(), missing, heard })
        }
        Err(reason) => Err(Stuck::new(parcel, reason)),
    }
}

/// The number that a purge's recorded sequence has to be above. Not the barrier's own: others may have been raised here
/// meanwhile, and the recorded number must be above what they hide.
fn above(tenant: &Tenant) -> u64 {
    tenant.barriers.current().saturating_sub(1)
}
