//! A fill's turn among the nodes of a fleet: one of them asks the origin, the others wait for what it stores in L2.

use std::time::Duration;

use sandbar_http::semantics::leave::{Holds, Joined, to_share};
use sandbar_http::semantics::{Reuse, reuse};

use crate::fill::{Fill, Fills};
use crate::fleet::{Attempt, Lease, LeaseWaiter, PurgeState, Woken};
use crate::origin::Progress;
use crate::request::{CacheRequest, Purpose};
use crate::store::found::Found;
use crate::tenant::counters::count;

/// For how long nobody in the fleet waits for a key whose response turned out not to be storable; less where the cache
/// forgets it sooner.
const UNSHARED_FOR_MAX: Duration = Duration::from_secs(30);

/// What a fill does next.
pub(crate) enum Turn {
    /// The fill asks the origin, while the other nodes wait.
    Mine(Lease),
    /// The fill asks the origin without a lease, whatever the other nodes do.
    Alone,
    /// The fill has nothing to ask: L2 has the answer by now.
    Found(Found),
    /// Another node has asked the origin while this one waited: the response in L2 is stale, but as new as can be.
    Confirmed(Found),
    /// The fill ends here: another node refreshes the key, or each of the waiters has to ask for itself.
    Left,
}

/// The result of a fetch under a lease, as the other nodes are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchEnd {
    /// The response is stored, or none came: the next node looks for itself.
    Done,
    /// Responses under this key are for one request each: no node need wait for another node's fetch.
    Unshared,
}

/// The right to store what was written under a key: a lease in a fleet, nothing else.
pub(crate) struct Exclusive(Option<Lease>);

impl Exclusive {
    /// The token of the lease.
    pub(crate) fn token(&self) -> Option<u64> {
        self.0.as_ref().map(Lease::token)
    }

    /// Does work for which the lease has to last.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(lease) => lease.during(work).await,
            None => work.await,
        }
    }

    /// Gives the lease back.
    pub(crate) async fn release(self) {
        if let Some(lease) = self.0 {
            lease.release().await;
        }
    }
}

impl Fills {
    /// Waits for the fill's turn. Once it has the lease, L2 is looked into again: the lease's last holder may just have
    /// stored the answer.
    pub(crate) async fn turn(&self, fill: &mut Fill, progress: &Progress) -> Turn {
        let Some(fleet) = self
            .peers
            .fleet()
            .filter(|_| !fill.alone && fill.purpose != Purpose::Part && !fill.is_validated_each_time())
        else {
            return Turn::Alone;
        };
        let leases = fleet.leases();
        let started = self.clock.monotonic();
        // The requests that wait for this fill have a deadline too: half of it is left for this node's own fetch.
        let patience = fill.request.tenant.settings.waiter_deadline / 2;
        loop {
            let barriers = &fill.request.tenant.barriers;
            let standing =
                PurgeState { sequence: barriers.current(), hidden_below: barriers.height_of_key(fill.key.text()) };
            match leases.try_acquire_as(standing, &fill.key, leases.lifetime()).await {
                Attempt::Mine(lease) => return self.settle_turn(fill, lease).await,
                Attempt::Unshared => {
                    // The requests that wait for this fill learn of it too: each of them asks for itself.
                    self.collapse.learned.note(&fill.request);
                    return if fill.purpose == Purpose::Refresh { Turn::Alone } else { Turn::Left };
                }
                Attempt::Alone(reason) => {
                    tracing::debug!(tenant = &*fill.request.tenant.name, reason, "no lease can be had");
                    return Turn::Alone;
                }
                Attempt::Held(waiter) => {
                    // For all that is known here, the other node's request has been sent to the origin.
                    progress.is_sent();
                    let left = patience.saturating_sub(self.clock.monotonic().saturating_sub(started));
                    if let Some(turn) = self.wait_for(fill, waiter, left).await {
                        return turn;
                    }
                    if fill.is_validated_each_time() {
                        return Turn::Alone;
                    }
                }
            }
        }
    }

    async fn settle_turn(&self, fill: &mut Fill, lease: Lease) -> Turn {
        match self.look(fill).await {
            Some(found) => {
                lease.release().await;
                Turn::Found(found)
            }
            None => Turn::Mine(lease),
        }
    }

    /// Waits for the end of another node's lease; `None` where the fill should try again to get the lease.
    async fn wait_for(&self, fill: &mut Fill, waiter: LeaseWaiter, left: Duration) -> Option<Turn> {
        count(&fill.request.tenant.counters.leases_waited_for);
        let woken = if left.is_zero() { Woken::Deadline } else { waiter.wait(left).await };
        let before = fill.basis.clone();
        if woken != Woken::Deadline {
            if let Some(found) = self.look(fill).await {
                return Some(Turn::Found(found));
            }
            if let Some(found) = confirmed_since(before, fill) {
                return Some(Turn::Confirmed(found));
            }
        }
        match (fill.purpose, woken) {
            (Purpose::Refresh, _) => Some(Turn::Left),
            (_, Woken::Deadline) => Some(Turn::Alone),
            (_, Woken::Released | Woken::Expired) => None,
        }
    }

    /// Looks into L2. A response that answers the fill is promoted to L1; another becomes its basis, if it is newer.
    pub(crate) async fn look(&self, fill: &mut Fill) -> Option<Found> {
        let found = self.store.look_in_l2(&fill.request).await?;
        if self.answers(fill, &found) {
            self.store.promote(&fill.request, &found);
            return Some(found);
        }
        fill.basis = newer(fill.basis.take(), found);
        None
    }

    /// Whether a response from L2 leaves nothing to fetch. For a refresh it has to be fresh, and newer than the basis;
    /// where the basis is doubtful, it has to be newer as well.
    fn answers(&self, fill: &Fill, found: &Found) -> bool {
        let basis = fill.basis.as_ref();
        if !found.is_not_in_doubt_with(basis) {
            return false;
        }
        if fill.purpose != Purpose::Refresh {
            return self.store.is_reusable(&fill.request, found);
        }
        let now = self.clock.now();
        basis.is_none_or(|basis| found.is_newer_than(basis))
            && reuse(found.stored(), &fill.request.head_of_get(), now, found.soft_purged()) == Reuse::Fresh
    }

    /// The lease on a request's key, without which no node of the fleet may store what was written; `None` where it can't be
    /// had, as another node or task has it or Redis is in trouble.
    pub(crate) async fn exclusive(&self, request: &CacheRequest) -> Option<Exclusive> {
        let Some(fleet) = self.peers.fleet() else { return Some(Exclusive(None)) };
        let (leases, barriers) = (fleet.leases(), &request.tenant.barriers);
        let standing =
            PurgeState { sequence: barriers.current(), hidden_below: barriers.height_of_key(request.key.text()) };
        match leases.try_acquire_as(standing, &request.key, leases.lifetime()).await {
            Attempt::Mine(lease) => Some(Exclusive(Some(lease))),
            Attempt::Unshared | Attempt::Alone(_) | Attempt::Held(_) => None,
        }
    }

    /// Gives a lease back, and tells the other nodes what came of the fetch.
    pub(crate) async fn give_back(&self, lease: Lease, came: FetchEnd) {
        match came {
            FetchEnd::Done => lease.release().await,
            FetchEnd::Unshared => lease.release_unshared(self.learned_for.min(UNSHARED_FOR_MAX)).await,
        }
    }
}

/// The response that another node has stored since `before`, if it would answer the waiters but for its lifetime: the
/// origin has sent or confirmed it while they waited. A response that has to be validated once it is stale is left out:
/// it may have been fetched with one client's credentials, and the origin has to see those of each (RFC 9111 section
/// 5.2.2.2).
fn confirmed_since(before: Option<Found>, fill: &Fill) -> Option<Found> {
    let news = fill.basis.as_ref()?;
    let is_news = before.is_none_or(|before| news.is_newer_than(&before)) && fill.purpose == Purpose::Answer;
    let leave =
        to_share(news.clone(), &fill.request.head(), Joined::WhileAsked, news.stored().received, news.soft_purged());
    (is_news && leave.is_ok() && !news.stored().directives.must_revalidate).then(|| news.clone())
}

pub(crate) fn newer(a: Option<Found>, b: Found) -> Option<Found> {
    match a {
        Some(a) if !b.is_newer_than(&a) => Some(a),
        _ => Some(b),
    }
}
