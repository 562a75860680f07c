//! Who may go to the origin now: a limit of requests under way, and a queue in front of it that is bounded in length. The
//! first to come is the first to go; what nobody waits for never queues.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Refusal;
use crate::origin::Urgency;

/// Lets requests through, so many at a time.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    queue_max: usize,
}

#[derive(Debug)]
struct State {
    limit: usize,
    running: usize,
    queue: VecDeque<Ticket>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Ticket {
    number: u64,
    called: oneshot::Sender<()>,
}

/// What a request finds at the gate.
#[derive(Debug)]
pub(super) enum Entered {
    Now(Permit),
    Queued(Waiting),
}

/// The right to be under way. Dropped, it goes to the next.
#[derive(Debug)]
pub(super) struct Permit(Arc<Gate>);

/// A place in the queue; it becomes a permit. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Waiting {
    gate: Option<Arc<Gate>>,
    number: u64,
    called: oneshot::Receiver<()>,
}

/// The gate at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) limit: usize,
    pub(super) running: usize,
    pub(super) queued: usize,
}

impl Gate {
    pub(super) fn new(limit: usize, queue_max: usize) -> Arc<Self> {
        let state = State { limit, running: 0, queue: VecDeque::new(), next_ticket: 0 };
        Arc::new(Self { state: Mutex::new(state), queue_max })
    }

    /// Goes through, or takes a place in the queue.
    pub(super) fn enter(self: &Arc<Self>, urgency: Urgency) -> Result<Entered, Refusal> {
        let mut state = self.state.lock();
        if state.running < state.limit && state.queue.is_empty() {
            state.running += 1;
            return Ok(Entered::Now(Permit(Arc::clone(self))));
        }
        if urgency == Urgency::Background {
            return Err(Refusal::Background);
        }
        if state.queue.len() >= self.queue_max {
            return Err(Refusal::QueueFull);
        }
        let (sender, called) = oneshot::channel();
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(Ticket { number, called: sender });
        Ok(Entered::Queued(Waiting { gate: Some(Arc::clone(self)), number, called }))
    }

    /// Changes the limit. A lower one is reached as requests end.
    pub(super) fn set_limit(&self, limit: usize) {
        let mut state = self.state.lock();
        state.limit = limit;
        state.call_next();
    }

    pub(super) fn load(&self) -> Load {
        let state = self.state.lock();
        Load { limit: state.limit, running: state.running, queued: state.queue.len() }
    }

    fn leave(&self) {
        let mut state = self.state.lock();
        state.running -= 1;
        state.call_next();
    }
}

impl State {
    /// Whoever is called counts as running from here on, whether it has noticed or not.
    fn call_next(&mut self) {
        while self.running < self.limit
            && let Some(ticket) = self.queue.pop_front()
        {
            self.running += 1;
            // It can't be gone: it leaves the queue, under this lock, before it goes.
            let _ = ticket.called.send(());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Future for Waiting {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        // The gate holds the sender until it calls.
        let _ = std::task::ready!(Pin::new(&mut self.called).poll(context));
        let gate = self.gate.take().expect("a future is not polled after it was ready");
        Poll::Ready(Permit(gate))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        let mut state = gate.state.lock();
        match state.queue.iter().position(|ticket| ticket.number == self.number) {
            Some(place) => drop(state.queue.remove(place)),
            // It was called and has not noticed: the next may go.
            None => {
                state.running -= 1;
                state.call_next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn now(gate: &Arc<Gate>) -> Permit {
        match gate.enter(Urgency::Awaited) {
            Ok(Entered::Now(permit)) => permit,
            other => panic!("it had to wait: {other:?}"),
        }
    }

    fn queued(gate: &Arc<Gate>) -> Waiting {
        match gate.enter(Urgency::Awaited) {
            Ok(Entered::Queued(waiting)) => waiting,
            other => panic!("it did not queue: {other:?}"),
        }
    }

    fn check(gate: &Gate, running: usize, queued: usize) {
        let load = gate.load();
        assert_eq!((load.running, load.queued), (running, queued));
    }

    #[test]
    fn the_first_to_come_is_the_first_to_go() {
        let gate = Gate::new(1, 2);
        let first = now(&gate);
        let (mut second, mut third) = (queued(&gate), queued(&gate));
        assert_eq!(gate.enter(Urgency::Awaited).unwrap_err(), Refusal::QueueFull);
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "it is the second's turn");
        let second = (&mut second).now_or_never().expect("its turn");
        check(&gate, 1, 1);
        drop(second);
        drop((&mut third).now_or_never().expect("its turn"));
        check(&gate, 0, 0);
    }

    #[test]
    fn whoever_goes_away_hands_its_turn_on() {
        let gate = Gate::new(1, 10);
        let first = now(&gate);
        let (left, called, mut last) = (queued(&gate), queued(&gate), queued(&gate));
        drop(left);
        check(&gate, 1, 2);
        drop(first);
        // `called` has been called and never looked.
        drop(called);
        drop((&mut last).now_or_never().expect("its turn"));
        check(&gate, 0, 0);
    }

    #[test]
    fn what_nobody_waits_for_goes_only_where_nobody_waits() {
        let gate = Gate::new(2, 10);
        let refresh = gate.enter(Urgency::Background);
        assert!(matches!(refresh, Ok(Entered::Now(_))));
        let _client = now(&gate);
        assert_eq!(gate.enter(Urgency::Background).unwrap_err(), Refusal::Background);
        let _queued = queued(&gate);
        assert_eq!(gate.enter(Urgency::Background).unwrap_err(), Refusal::Background);
    }

    #[test]
    fn a_limit_moves_both_ways() {
        let gate = Gate::new(1, 10);
        let first = now(&gate);
        let mut second = queued(&gate);
        gate.set_limit(2);
        let second = (&mut second).now_or_never().expect("room");
        gate.set_limit(1);
        let mut third = queued(&gate);
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "one is still under way");
        drop(second);
        assert!((&mut third).now_or_never().is_some());
    }
}
