//! Loading: one load per key and node, for which all who want the value wait, each for as long as it may.

use std::sync::Arc;
use std::time::Duration;

use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::leave::Leave;

use super::shelf::{NoHit, Shelf};
use crate::cached::Began;
use crate::collapse::Joins;
use crate::collapse::fetch::{Abandoned, Fetches, LeadOrWait, Obligation, Waiter};
use crate::collapse::load::{LoadFailure, LoadOutcome, NoValue, stale_value};
use crate::collapse::patience::{Awaited, awaited};
use crate::fill::Fill;
use crate::fill::load::Load;
use crate::request::{CacheRequest, Purpose};
use crate::store::found::{Found, L1};
use crate::tenant::counters::Source;

/// How many loads a caller may wait for, as one may be abandoned, or bring what was purged meanwhile. The last one it makes
/// alone.
pub(super) const ROUNDS_MAX: usize = 4;

/// Why a caller gets no value.
pub(super) enum NotLoaded {
    Failed(LoadFailure),
    /// The caller has waited for so long.
    Overdue(Duration),
    Stopped,
}

/// What a caller gets, and how that is counted.
pub(super) struct Given {
    pub(super) leave: Leave<Found>,
    pub(super) source: Source,
}

/// One caller's wait for a value.
pub(super) struct Wait {
    pub(super) request: Arc<CacheRequest>,
    /// What is there and may not be given as it is.
    pub(super) basis: Option<Found>,
    pub(super) asked: Began,
    /// When the caller has to be answered at the latest, on the monotonic clock.
    pub(super) until: Duration,
    pub(super) joins: Joins,
    pub(super) alone: bool,
}

/// The result of waiting for one load.
pub(super) enum Waited {
    Given(Given),
    Failed(NotLoaded),
    /// Another load has to be begun, or joined.
    Again,
    /// The deadline of waiters has passed: this caller or another has to begin a new load.
    InVain,
}

impl Shelf {
    /// Begins to wait for a value that is not there.
    pub(super) fn wait(&self, request: Arc<CacheRequest>, basis: Option<Found>) -> Wait {
        let until = self.monotonic() + request.tenant.settings.fetch_hard_deadline;
        let (asked, joins) = (self.store().begin(&request), Joins::default());
        let alone = self.writer().store.peers.is_cut_off(&request);
        Wait { request, basis, asked, until, joins, alone }
    }

    /// Leads the load of a value, or joins one.
    pub(super) fn join_or_lead(&self, wait: &Wait) -> LeadOrWait<LoadOutcome> {
        if wait.alone {
            return LeadOrWait::Lead(Fetches::alone().0);
        }
        let now = self.store().begin(&wait.request);
        wait.joins.join_or_lead(&self.writer().fills.collapse.loads, &wait.request, &wait.request.key, now)
    }

    /// Has a value loaded, or waits for another caller's load of it.
    pub(super) async fn load(
        &self,
        request: Arc<CacheRequest>,
        basis: Option<Found>,
        load: Load,
    ) -> Result<Given, NotLoaded> {
        let fills = &self.writer().fills;
        let mut wait = self.wait(request, basis);
        let room = fills.exchanges.room_to_wait(&wait.request);
        let _room = match room {
            Ok(room) => room,
            Err(error) => return self.without_load(&wait, NotLoaded::Failed(LoadFailure::NotLoaded(Arc::new(error)))),
        };
        let mut load = Some(load);
        for round in 1..=ROUNDS_MAX {
            wait.alone |= round == ROUNDS_MAX;
            let mut lead_or_wait = self.join_or_lead(&wait);
            loop {
                let (leads, mut waiter) = match lead_or_wait {
                    LeadOrWait::Wait(waiter) => (false, waiter),
                    LeadOrWait::Lead(obligation) => {
                        let Some(load) = load.take() else { return Err(NotLoaded::Stopped) };
                        (true, self.lead(&wait, Purpose::Answer, load, obligation))
                    }
                };
                match self.await_load(&mut wait, leads, &mut waiter).await {
                    Waited::Given(given) => return Ok(given),
                    Waited::Failed(failed) => return self.without_load(&wait, failed),
                    Waited::Again => break,
                    Waited::InVain => {
                        wait.alone = true;
                        let now = self.store().begin(&wait.request);
                        let (loads, key) = (&fills.collapse.loads, &wait.request.key);
                        lead_or_wait = wait.joins.relieve(loads, &wait.request, key, &waiter, now);
                    }
                }
            }
            if let Some(given) = self.there_by_now(&mut wait) {
                return Ok(given);
            }
        }
        self.without_load(&wait, NotLoaded::Stopped)
    }

    /// Loads a value anew behind an answer, unless a load of it is under way.
    pub(super) fn refresh_behind(&self, request: Arc<CacheRequest>, basis: Found, load: Load) {
        let wait = self.wait(request, Some(basis));
        if let LeadOrWait::Lead(obligation) = self.join_or_lead(&wait) {
            self.lead(&wait, Purpose::Refresh, load, obligation);
        }
    }

    /// Starts a load; who leads it waits for it like all others.
    fn lead(
        &self,
        wait: &Wait,
        purpose: Purpose,
        load: Load,
        obligation: Obligation<LoadOutcome>,
    ) -> Waiter<LoadOutcome> {
        let waiter = obligation.waiter();
        let (request, basis) = (Arc::clone(&wait.request), wait.basis.clone());
        let key = request.key.clone();
        let fill = Fill { request, key, basis, validates: true, purpose, alone: wait.alone };
        self.writer().fills.start_load(fill, load, obligation);
        waiter
    }

    /// A value that has come into L1 meanwhile.
    pub(super) fn there_by_now(&self, wait: &mut Wait) -> Option<Given> {
        match self.hit(&wait.request.tenant, &wait.request.key) {
            Ok(hit) => Some(Given { leave: hit.leave, source: Source::Collapsed }),
            Err(NoHit { basis }) => {
                wait.basis = basis.or(wait.basis.take());
                None
            }
        }
    }

    /// Waits for a load. Past the soft deadline a stale value is given where that is allowed; past that of waiters another
    /// load is begun; past the hard one the caller goes away with an error.
    pub(super) async fn await_load(&self, wait: &mut Wait, leads: bool, waiter: &mut Waiter<LoadOutcome>) -> Waited {
        let stale = || self.stale(wait);
        let waiting = awaited(&*self.writer().clock, &wait.request.tenant, (leads, wait.until), waiter, stale).await;
        match waiting {
            Awaited::Outcome(outcome) => self.settled(wait, leads, waiter, outcome),
            Awaited::Stale(leave) => Waited::Given(Given { leave, source: Source::StaleInTime }),
            Awaited::InVain => Waited::InVain,
            Awaited::Overdue => Waited::Failed(NotLoaded::Overdue(wait.request.tenant.settings.fetch_hard_deadline)),
        }
    }

    /// What the outcome of a load means for a caller.
    fn settled(
        &self,
        wait: &mut Wait,
        leads: bool,
        waiter: &Waiter<LoadOutcome>,
        outcome: Result<LoadOutcome, Abandoned>,
    ) -> Waited {
        let Ok(outcome) = outcome else {
            return if leads { Waited::Failed(NotLoaded::Stopped) } else { Waited::Again };
        };
        let source = match (leads, outcome.is_from_l2()) {
            (false, _) => Source::Collapsed,
            (true, true) => Source::L2,
            (true, false) => Source::Fetched,
        };
        match outcome.for_request(&wait.request, &wait.asked, waiter.joined(), self.now()) {
            Ok(leave) if self.is_own(leave.what()) => Waited::Given(Given { leave, source }),
            Ok(_of_another_type) => {
                wait.alone = true;
                Waited::Again
            }
            Err(NoValue::Failed(failure)) => Waited::Failed(NotLoaded::Failed(failure)),
            Err(NoValue::Retry) => {
                wait.joins.not_before = wait.request.tenant.barriers.revision();
                Waited::Again
            }
        }
    }

    /// The answer where nothing could be loaded: a stale value if that may be given, else why not.
    pub(super) fn without_load(&self, wait: &Wait, failed: NotLoaded) -> Result<Given, NotLoaded> {
        match self.stale(wait) {
            Some(leave) => Ok(Given { leave, source: Source::StaleIfError }),
            None => Err(failed),
        }
    }

    /// A stale value that may be given although it could not be loaded: the basis, or what was promoted from L2 meanwhile.
    fn stale(&self, wait: &Wait) -> Option<Leave<Found>> {
        let (request, now) = (&wait.request, self.now());
        let in_l1 = || {
            let cached = self.store().visible_in_l1(&request.tenant, &request.key, now)?;
            Found::under(&request.key, cached, L1)
        };
        let found = wait.basis.clone().or_else(in_l1).filter(|found| self.is_own(found))?;
        stale_value(request, found, now)
    }

    /// Counts the end of a caller's wait.
    pub(super) fn counted_load(&self, request: &CacheRequest, given: &Result<Given, NotLoaded>, started: Duration) {
        let (outcome, source) = match given {
            Ok(Given { source: source @ Source::L2, .. }) => (Outcome::Hit, *source),
            Ok(Given { source, .. }) => {
                let collapsed = *source == Source::Collapsed;
                (Outcome::Fwd { reason: FwdReason::UriMiss, status: None, stored: true, collapsed }, *source)
            }
            Err(_) => (Outcome::fwd(FwdReason::UriMiss), Source::Synthesized),
        };
        if let Ok(given) = given {
            request.record(given.leave.what().cached(), self.now());
        }
        let bytes = given.as_ref().map_or(0, |given| given.leave.what().cached().content_bytes());
        let class = (outcome != Outcome::Hit).then(|| request.class().place);
        self.counted(&request.tenant, (outcome, class), source, bytes, started);
    }
}
