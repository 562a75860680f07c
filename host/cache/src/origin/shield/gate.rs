//! The limit of requests under way at the origin, and the queue in front of it, which is bounded in length.
//!
//! No client is limited while there is room. Where there is none, the next place goes to the client that holds the
//! fewest (among equals to the request that came first). Where the queue is full, the newest request of the client that
//! has most in it is refused. A place whose client makes no progress goes to one that waits and holds fewer
//! ([`reclaim`](super::reclaim)). Requests that nobody waits for never queue.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use sandbar_base::clock::Clock;
use sandbar_http::client::ShareKey;
use tokio::sync::oneshot;

use super::Refusal;
use super::place::Place;
use super::queue::{Queue, Ticket};
use super::reclaim::Stalled;
use crate::holdings::Holdings;
use crate::origin::Urgency;

/// Places are searched for those that have to yield no more often than this, however many requests wait.
pub(super) const RECLAIMED_EVERY: Duration = Duration::from_millis(50);

/// How often within the deadline for progress it is checked which clients have missed it.
const SWEEPS: u32 = 8;

/// The progress that a client has to make while it holds a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long a client is waited for, at most, until it has moved `bytes_min` more.
    pub(super) deadline: Duration,
    /// Bytes that count as progress.
    pub(super) bytes_min: u64,
}

/// Lets requests through, so many at a time.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    queue_max: usize,
    patience: Patience,
}

#[derive(Debug)]
struct State {
    limit: usize,
    places: HashMap<u64, Arc<Place>>,
    holdings: Holdings,
    queue: Queue<oneshot::Sender<Result<Permit, Refusal>>>,
    next_number: u64,
    /// Places that were taken away since the start.
    lost: u64,
    reclaimed_at: Option<Duration>,
    /// Whether a task looks for clients that miss the deadline for progress.
    is_watched: bool,
}

/// Whether a request is let through at once or has to wait.
#[derive(Debug)]
pub(super) enum Entered {
    Now(Permit),
    Queued(Waiting),
}

/// The right of a request to be under way. When it is dropped, the next request gets it.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    number: u64,
    pub(super) place: Arc<Place>,
}

/// A request in the queue. It resolves to a permit once its turn has come, or to a refusal if it has to yield. Dropping
/// it takes the request out of the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    gate: Arc<Gate>,
    number: u64,
    client: Option<ShareKey>,
    called: oneshot::Receiver<Result<Permit, Refusal>>,
}

/// The gate at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) limit: usize,
    pub(super) running: usize,
    pub(super) queued: usize,
    /// Places that were taken away from clients that did not move, since the start.
    pub(super) lost: u64,
}

impl Gate {
    pub(super) fn new(limit: usize, queue_max: usize, patience: Patience) -> Arc<Self> {
        let state = State {
            limit,
            places: HashMap::new(),
            holdings: Holdings::default(),
            queue: Queue::default(),
            next_number: 0,
            lost: 0,
            reclaimed_at: None,
            is_watched: false,
        };
        Arc::new(Self { state: Mutex::new(state), queue_max, patience })
    }

    /// Lets a request through, or puts it into the queue.
    pub(super) fn enter(
        self: &Arc<Self>,
        urgency: Urgency,
        client: Option<ShareKey>,
        now: Duration,
    ) -> Result<Entered, Refusal> {
        let mut state = self.state.lock();
        if state.has_room() && state.queue.is_empty() {
            return Ok(Entered::Now(state.seat(self, client)));
        }
        if urgency == Urgency::Background {
            return Err(Refusal::Background);
        }
        let (called, calls) = oneshot::channel();
        let number = state.number();
        let held = state.holdings.of(client);
        state.queue.push(Ticket { number, client, called }, held);
        let waiting = Waiting { gate: Arc::clone(self), number, client, called: calls };
        let lost = state.reclaim(self, now);
        let refused = if state.queue.len() > self.queue_max { state.queue.pop_last() } else { None };
        drop(state);
        end(lost);
        match refused {
            Some(ticket) if ticket.number == number => return Err(Refusal::QueueFull),
            Some(ticket) => drop(ticket.called.send(Err(Refusal::QueueFull))),
            None => {}
        }
        Ok(Entered::Queued(waiting))
    }

    /// Takes places from clients that make no progress, for requests that wait; these call it now and then.
    pub(super) fn reclaim(self: &Arc<Self>, now: Duration) {
        let lost = self.state.lock().reclaim(self, now);
        end(lost);
    }

    /// Changes the limit. A lower one is reached as requests end.
    pub(super) fn set_limit(self: &Arc<Self>, limit: usize) {
        let mut state = self.state.lock();
        state.limit = limit;
        state.call_next(self);
    }

    pub(super) fn load(&self) -> Load {
        let state = self.state.lock();
        Load { limit: state.limit, running: state.places.len(), queued: state.queue.len(), lost: state.lost }
    }

    /// Starts a task, if there is none, that takes away places whose clients have missed the deadline for progress. It
    /// ends when no place is in use.
    pub(super) fn watch(self: &Arc<Self>, clock: &Arc<dyn Clock>) {
        if std::mem::replace(&mut self.state.lock().is_watched, true) {
            return;
        }
        let (gate, clock) = (Arc::clone(self), Arc::clone(clock));
        let every = self.patience.deadline / SWEEPS;
        tokio::spawn(async move {
            loop {
                clock.sleep(every).await;
                if !gate.sweep(clock.monotonic()) {
                    return;
                }
            }
        });
    }

    /// Takes away the places of clients that have missed the deadline. False where no place is in use any more.
    fn sweep(self: &Arc<Self>, now: Duration) -> bool {
        let mut state = self.state.lock();
        let lags = |place: &Place| Some(place.lag(now)).filter(|(lag, _)| *lag >= self.patience.deadline);
        let late: Vec<_> = state.places.iter().filter_map(|(number, place)| Some((*number, lags(place)?.1))).collect();
        let mut lost = Vec::with_capacity(late.len());
        for (number, fault) in late {
            lost.extend(state.take_away(number, fault));
            state.call_next(self);
        }
        state.is_watched = !state.places.is_empty();
        let goes_on = state.is_watched;
        drop(state);
        end(lost);
        goes_on
    }

    fn leave(self: &Arc<Self>, number: u64) {
        let mut state = self.state.lock();
        let left = state.remove(number);
        state.call_next(self);
        drop(state);
        drop(left);
    }
}

/// Must not be called under the gate's lock: what is dropped here may call the gate again.
fn end(lost: Vec<Arc<Place>>) {
    lost.iter().for_each(|place| place.end());
}

impl State {
    fn has_room(&self) -> bool {
        self.places.len() < self.limit
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Gives a place to a client.
    fn seat(&mut self, gate: &Arc<Gate>, client: Option<ShareKey>) -> Permit {
        let number = self.number();
        let place = Arc::new(Place::new(client, gate.patience.bytes_min));
        self.places.insert(number, Arc::clone(&place));
        self.holdings.take(client, 1);
        self.queue.holds(client, self.holdings.of(client));
        Permit { gate: Arc::clone(gate), number, place }
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Place>> {
        let place = self.places.remove(&number)?;
        self.holdings.give_back(place.client, 1);
        self.queue.holds(place.client, self.holdings.of(place.client));
        Some(place)
    }

    fn take_away(&mut self, number: u64, fault: crate::origin::ClientFault) -> Option<Arc<Place>> {
        let place = self.remove(number)?;
        place.lose(fault);
        self.lost += 1;
        Some(place)
    }

    /// Calls requests from the queue while there is room. They count as running from here on, whether they have noticed
    /// or not.
    fn call_next(&mut self, gate: &Arc<Gate>) {
        while self.has_room()
            && let Some(ticket) = self.queue.pop()
        {
            let permit = self.seat(gate, ticket.client);
            // The request can't have been dropped: it would have left the queue first, under this lock.
            let _ = ticket.called.send(Ok(permit));
        }
    }

    /// Takes places away from clients that make no progress, as long as the next client in the queue holds fewer than
    /// they do.
    fn reclaim(&mut self, gate: &Arc<Gate>, now: Duration) -> Vec<Arc<Place>> {
        let is_too_soon = self.reclaimed_at.is_some_and(|at| now.saturating_sub(at) < RECLAIMED_EVERY);
        if self.has_room() || self.queue.is_empty() || is_too_soon {
            return Vec::new();
        }
        self.reclaimed_at = Some(now);
        let mut stalled = Stalled::among(&self.places, &self.holdings, now);
        let mut lost = Vec::new();
        while let Some((client, held)) = self.queue.next()
            && let Some((number, fault)) = stalled.yields_to(client, held)
        {
            let place = self.take_away(number, fault);
            stalled.holds(place.as_ref().and_then(|place| place.client), &self.holdings);
            lost.extend(place);
            self.call_next(gate);
            stalled.holds(client, &self.holdings);
        }
        lost
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave(self.number);
    }
}

impl Future for Waiting {
    type Output = Result<Permit, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The gate holds the sender until it calls.
        let called = ready!(Pin::new(&mut self.called).poll(context));
        Poll::Ready(called.unwrap_or(Err(Refusal::QueueFull)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // If the request has been called and has not noticed, its permit is dropped with the channel.
        let mut state = self.gate.state.lock();
        state.queue.remove(self.client, self.number);
    }
}

#[cfg(test)]
mod tests;
