//! The read path: a lookup in L1, then one fetch per key for all requests that want it.

mod answer;
mod head;
mod held;
mod hit;
mod kept;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::RANGE;
use sandbar_base::clock::Clock;
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::leave::{Holds, Joined, insists};

pub(crate) use self::hit::Miss;
use self::wait::Waited;
use crate::barrier::Verdict;
use crate::body;
use crate::collapse::Joins;
use crate::collapse::fetch::{Abandoned, Fetches, LeadOrWait, Obligation, Waiter};
use crate::collapse::outcome::{FetchOutcome, Retry};
use crate::exchange::Exchanges;
use crate::fill::{Fill, Fills};
use crate::owed::Owed;
use crate::peers::Peers;
use crate::purge::Purges;
use crate::request::{CacheRequest, Purpose};
use crate::respond::{self, Answer, Answered};
use crate::store::Store;
use crate::store::found::Found;
use crate::tenant::counters::{Source, count};

/// How many fetches a request may try, as one may be abandoned or bring a response for others only. The last one it
/// makes alone.
const ROUNDS_MAX: usize = 4;

/// Answers requests that a stored response may answer.
pub(crate) struct Reader {
    pub(crate) store: Arc<Store>,
    pub(crate) fills: Arc<Fills>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) purges: Arc<Purges>,
    pub(crate) owed: Arc<Owed>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// How a request fetches.
#[derive(Clone, Copy)]
struct How {
    /// Whether the request fetches for itself, without waiting for other requests or nodes.
    alone: bool,
    /// Whether only the range that was asked for is fetched.
    ranged: bool,
    /// Which fetches the request may join.
    joins: Joins,
    /// When the request has to be answered at the latest, on the monotonic clock.
    until: Duration,
}

impl Reader {
    /// Answers a GET that a stored response may answer.
    pub(crate) async fn read(&self, request: Arc<CacheRequest>) -> Answer {
        let (mut alone, mut joins, mut room) = (false, Joins::default(), None);
        if insists(&request.head()) {
            joins.latest = Joined::BeforeSent;
        }
        let until = self.clock.monotonic() + request.tenant.settings.fetch_hard_deadline;
        let mut known: Option<Found> = None;
        for round in 1..=ROUNDS_MAX {
            let mut miss = match self.hit(&request) {
                Ok(answer) => return answer,
                Err(miss) => miss,
            };
            // What was found in an earlier round can still be confirmed by the origin, even if it is stored no more.
            known = miss.basis.take().or(known).filter(|found| is_visible(&request, found));
            miss.basis.clone_from(&known);
            if round == 1 {
                count(&request.tenant.counters.misses_l1);
            }
            if request.directives.only_if_cached {
                return self.only_if_cached(&request, miss.basis.as_ref()).await;
            }
            if room.is_none() {
                match self.exchanges.room_to_wait(&request) {
                    Ok(reserved) => room = Some(reserved),
                    Err(error) => return self.without_origin(&request, &miss, &error),
                }
            }
            let of_parts = |found: &Found| found.stored().status == StatusCode::PARTIAL_CONTENT;
            let ranged = request.fields.contains_key(RANGE) && miss.basis.as_ref().is_none_or(of_parts);
            // RFC 9111 section 5.2.2.4: what is marked no-cache answers no request that was not forwarded for
            // validation.
            if miss.basis.as_ref().is_some_and(|found| found.stored().directives.no_cache) {
                joins.latest = Joined::BeforeSent;
            }
            alone |= ranged
                || round == ROUNDS_MAX
                || self.fills.collapse.learned.has(&request)
                || self.peers.is_cut_off(&request);
            // On the heap, so that the state of a request that is answered from memory stays small.
            match Box::pin(self.fetch(&request, &miss, How { alone, ranged, joins, until })).await {
                Ok(answer) => return answer,
                Err(Retry::Alone) => alone = true,
                Err(Retry::Again) => {}
                Err(Retry::Unsent) => joins.latest = Joined::BeforeSent,
                Err(Retry::Unanswered) => joins.latest = joins.latest.min(Joined::WhileAsked),
                Err(Retry::Newer) => joins.not_before = request.tenant.barriers.revision(),
            }
        }
        let now = self.clock.now();
        respond::synthesized(&request, StatusCode::SERVICE_UNAVAILABLE, Outcome::Refused, "abandoned", now)
    }

    /// Forwards a GET or HEAD that no stored response may answer.
    pub(crate) async fn forward(&self, request: &CacheRequest) -> Answer {
        if request.directives.only_if_cached {
            return respond::not_cached(request, self.clock.now());
        }
        let answer = self.exchanges.forward(request, body::empty()).await;
        let (why, now) = (FwdReason::Request, self.clock.now());
        match answer {
            Ok(response) => {
                let answered = Answered::forwarded(why);
                respond::forwarded(request, response.into_response(), answered, Source::Bypassed, now)
            }
            Err(error) => respond::origin_failed(request, why, &error, now),
        }
    }

    /// Leads the fetch of a key or waits for one, until `how.until` at the latest, and answers with the outcome.
    async fn fetch(&self, request: &Arc<CacheRequest>, miss: &Miss, mut how: How) -> Result<Answer, Retry> {
        let mut lead_or_wait = match how.alone {
            true => LeadOrWait::Lead(Fetches::alone().0),
            false => self.fills.join_or_lead(request, &miss.key, how.joins),
        };
        loop {
            let (leads, mut waiter) = match lead_or_wait {
                LeadOrWait::Lead(obligation) => (true, self.lead(request, miss, how, obligation)),
                LeadOrWait::Wait(waiter) => (false, waiter),
            };
            match self.await_fetch(request, miss.basis.as_ref(), leads, &mut waiter, how.until).await {
                Waited::Fulfilled(Ok(outcome)) => {
                    let now = self.clock.now();
                    return self.answer(request, miss, outcome.for_request(request, waiter.joined(), now), now);
                }
                Waited::Fulfilled(Err(Abandoned)) => return Err(Retry::Again),
                Waited::Answered(answer) => return Ok(answer),
                Waited::InVain => {
                    // The old leader may still hold the fleet's lease: the new fetch does not wait for that.
                    how.alone = true;
                    lead_or_wait = self.fills.relieve(request, &miss.key, how.joins, &waiter);
                }
            }
        }
    }

    /// Starts a fill; the leader waits for it like all other requests.
    fn lead(
        &self,
        request: &Arc<CacheRequest>,
        miss: &Miss,
        how: How,
        obligation: Obligation<FetchOutcome>,
    ) -> Waiter<FetchOutcome> {
        let waiter = obligation.waiter();
        let fill = Fill {
            request: Arc::clone(request),
            key: miss.key.clone(),
            basis: miss.basis.clone(),
            validates: true,
            purpose: if how.ranged { Purpose::Part } else { Purpose::Answer },
            alone: how.alone || how.joins.latest == Joined::BeforeSent,
        };
        self.fills.start(fill, obligation);
        waiter
    }
}

fn is_visible(request: &CacheRequest, found: &Found) -> bool {
    found.cached().verdict(&request.tenant.barriers) != Verdict::Gone
}
