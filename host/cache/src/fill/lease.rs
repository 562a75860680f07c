//! A fill's turn among the nodes of a fleet: one of them asks the origin, the others wait for what it stores in L2.

use std::time::Duration;

use sandbar_http::semantics::leave::{Holds, Joined, to_share};
use sandbar_http::semantics::{Reuse, reuse};

use crate::fill::{Fill, Fills};
use crate::fleet::{Attempt, Lease, Standing, Waiter, Woken};
use crate::origin::Progress;
use crate::request::Purpose;
use crate::store::found::Found;
use crate::tenant::counters::count;

/// For how long nobody in the fleet waits for a key whose response turned out not to be storable; less where the cache
/// forgets it sooner.
const UNSHARED_FOR_MAX: Duration = Duration::from_secs(30);

/// What a fill does next.
pub(crate) enum Turn {
    /// It asks the origin, while the other nodes wait.
    Mine(Lease),
    /// It asks the origin, whatever the others do.
    Alone,
    /// It has nothing to ask: L2 has the answer by now.
    Found(Found),
    /// Another node has asked while this one waited: what L2 has is stale already, and as new as can be.
    Confirmed(Found),
    /// It ends here: another node refreshes the key, or those who wait are to ask one by one.
    Left,
}

/// What a fetch under a lease came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is stored, or nothing came: the next one looks for itself.
    ToAnEnd,
    /// Responses to this key are for one request each.
    Unshared,
}

impl Fills {
    /// Waits for the fill's turn. After winning it L2 is looked into once more: whoever had it before may just have stored
    /// the answer.
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
        // Those who wait for this fill have a deadline too: half of it is left for a fetch of this node's own.
        let patience = fill.request.tenant.settings.waiter_deadline / 2;
        loop {
            let barriers = &fill.request.tenant.barriers;
            let standing =
                Standing { sequence: barriers.current(), hidden_below: barriers.height_of_key(fill.key.text()) };
            match leases.try_acquire_as(standing, &fill.key, leases.lifetime()).await {
                Attempt::Mine(lease) => return self.settle_turn(fill, lease).await,
                Attempt::Unshared => {
                    // Those who wait for this fill learn of it too: each of them asks for itself.
                    self.collapse.learned.note(&fill.request);
                    return if fill.purpose == Purpose::Refresh { Turn::Alone } else { Turn::Left };
                }
                Attempt::Alone(reason) => {
                    tracing::debug!(tenant = &*fill.request.tenant.name, reason, "no lease can be had");
                    return Turn::Alone;
                }
                Attempt::Held(waiter) => {
                    // The other node's request is at the origin, for all that is known here.
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

    /// Waits for another node's lease; none where it is worth trying again.
    async fn wait_for(&self, fill: &mut Fill, waiter: Waiter, left: Duration) -> Option<Turn> {
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

    /// Looks into L2. What answers the fill is taken into L1; anything else is what the origin is asked about.
    pub(crate) async fn look(&self, fill: &mut Fill) -> Option<Found> {
        let found = self.store.look_in_l2(&fill.request).await?;
        if self.answers(fill, &found) {
            self.store.promote(&fill.request, &found);
            return Some(found);
        }
        fill.basis = newer(fill.basis.take(), found);
        None
    }

    /// Whether there is nothing left to fetch. A refresh wants something fresh, and fresher than what there was; so does who
    /// has something doubtful.
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

    /// Gives a lease back, and says what came of it.
    pub(crate) async fn give_back(&self, lease: Lease, came: Came) {
        match came {
            Came::ToAnEnd => lease.release().await,
            Came::Unshared => lease.release_unshared(self.learned_for.min(UNSHARED_FOR_MAX)).await,
        }
    }
}

/// What another node has stored since `before`, where it would answer those who wait but for its lifetime: the origin has
/// confirmed it while they waited. Not what has to be validated once it is stale: it may have been fetched with somebody's
/// credentials, which the origin has to see from each (RFC 9111 section 5.2.2.2).
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
