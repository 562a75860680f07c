//! Several values in one call: L2 is read in one round, and what is missing is loaded by one call of the loader.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use sandbar_base::memory_budget::Reserved;

use super::load::{Given, NotLoaded, ROUNDS_MAX, Wait, Waited};
use super::shelf::{NoHit, Shelf};
use crate::collapse::fetch::LeadOrWait;
use crate::collapse::load::LoadFailure;
use crate::fill::load::Loaded;
use crate::origin::OriginError;
use crate::request::{CacheRequest, Purpose};
use crate::tenant::counters::Source;

/// Keys that are charged as one caller that waits.
const KEYS_CHARGED_AS_ONE: usize = 16;

/// The program's code that brings the values of these places among the keys of the call, in their order.
pub(super) type BatchLoad =
    Arc<dyn Fn(Vec<usize>) -> BoxFuture<'static, Result<Vec<Loaded>, LoadFailure>> + Send + Sync>;

/// A value that is wanted, by its place among the keys of the call.
pub(super) struct Wanted {
    pub(super) place: usize,
    pub(super) wait: Wait,
}

/// What became of it.
pub(super) struct Settled {
    pub(super) place: usize,
    pub(super) request: Arc<CacheRequest>,
    pub(super) given: Result<Given, NotLoaded>,
}

impl Shelf {
    /// Looks for values in L2, and has those loaded that are not there.
    pub(super) async fn load_many(&self, mut wanted: Vec<Wanted>, load: &BatchLoad) -> Vec<Settled> {
        let _room = match self.room_for(&wanted) {
            Ok(room) => room,
            Err(error) => return self.all_refused(wanted, &Arc::new(error)),
        };
        let requests: Vec<_> = wanted.iter().map(|wanted| Arc::clone(&wanted.wait.request)).collect();
        let (mut settled, mut open) = (Vec::with_capacity(wanted.len()), Vec::new());
        let below = self.below(&requests).await;
        for (Wanted { place, mut wait }, below) in wanted.drain(..).zip(below) {
            match below {
                Ok(leave) => {
                    let given = Ok(Given { leave, source: Source::L2 });
                    settled.push(Settled { place, request: wait.request, given });
                }
                Err(NoHit { basis }) => {
                    wait.basis = basis.or(wait.basis);
                    open.push(Wanted { place, wait });
                }
            }
        }
        for round in 1..=ROUNDS_MAX {
            if open.is_empty() {
                break;
            }
            open = self.load_round(open, round == ROUNDS_MAX, load, &mut settled).await;
        }
        let stopped = |Wanted { place, wait }| {
            let given = self.without_load(&wait, NotLoaded::Stopped);
            Settled { place, request: wait.request, given }
        };
        settled.extend(open.into_iter().map(stopped));
        settled
    }

    /// Waits for a load of each value; returns those for which another has to be begun.
    async fn load_round(
        &self,
        open: Vec<Wanted>,
        is_last: bool,
        load: &BatchLoad,
        settled: &mut Vec<Settled>,
    ) -> Vec<Wanted> {
        let (mut places, mut led, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for mut wanted in open {
            wanted.wait.alone |= is_last;
            match self.join_or_lead(&wanted.wait) {
                LeadOrWait::Wait(waiter) => waiting.push((wanted, false, waiter)),
                LeadOrWait::Lead(obligation) => {
                    let (place, request) = (wanted.place, Arc::clone(&wanted.wait.request));
                    waiting.push((wanted, true, obligation.waiter()));
                    places.push(place);
                    led.push((request, obligation));
                }
            }
        }
        if !led.is_empty() {
            self.writer().fills.start_batch(led, Purpose::Answer, load(places));
        }
        let waits = waiting.into_iter().map(|(mut wanted, leads, mut waiter)| async move {
            let waited = self.await_load(&mut wanted.wait, leads, &mut waiter).await;
            (wanted, waited)
        });
        let mut again = Vec::new();
        for (Wanted { place, mut wait }, waited) in join_all(waits).await {
            let given = match waited {
                Waited::Given(given) => Ok(given),
                Waited::Failed(failed) => self.without_load(&wait, failed),
                Waited::Again | Waited::InVain => {
                    wait.alone |= matches!(waited, Waited::InVain);
                    match self.there_by_now(&mut wait) {
                        Some(given) => Ok(given),
                        None => {
                            again.push(Wanted { place, wait });
                            continue;
                        }
                    }
                }
            };
            settled.push(Settled { place, request: wait.request, given });
        }
        again
    }

    /// Loads values anew behind an answer, those of which no load is under way.
    pub(super) fn refresh_many_behind(&self, wanted: Vec<Wanted>, load: &BatchLoad) {
        let (mut places, mut led) = (Vec::new(), Vec::new());
        for Wanted { place, wait } in wanted {
            if let LeadOrWait::Lead(obligation) = self.join_or_lead(&wait) {
                places.push(place);
                led.push((wait.request, obligation));
            }
        }
        if !led.is_empty() {
            self.writer().fills.start_batch(led, Purpose::Refresh, load(places));
        }
    }

    fn room_for(&self, wanted: &[Wanted]) -> Result<Vec<Reserved>, OriginError> {
        let charged = wanted.chunks(KEYS_CHARGED_AS_ONE);
        charged.map(|some| self.writer().fills.exchanges.room_to_wait(&some[0].wait.request)).collect()
    }

    fn all_refused(&self, wanted: Vec<Wanted>, error: &Arc<OriginError>) -> Vec<Settled> {
        let refused = |Wanted { place, wait }: Wanted| {
            let failed = NotLoaded::Failed(LoadFailure::NotLoaded(Arc::clone(error)));
            let given = self.without_load(&wait, failed);
            Settled { place, request: wait.request, given }
        };
        wanted.into_iter().map(refused).collect()
    }
}
