//! Request collapsing: one fetch per key and node, and everybody else waits for it.
//!
//! Whoever finds no flight for a key gets the [`Obligation`] to fetch; all others get to wait. The obligation is a value:
//! dropping it without an outcome wakes the waiters, and the next of them takes it over. So no leader can leak, and the
//! fetch belongs to no client.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::key::KeyHash;

/// The flights of a cache, by what they fetch. `T` is what a flight comes to.
#[derive(Debug)]
pub(crate) struct Flights<T> {
    flights: Mutex<HashMap<KeyHash, watch::Receiver<State<T>>>>,
}

#[derive(Clone, Debug)]
enum State<T> {
    Flying,
    Landed(T),
    Abandoned,
}

/// What a request finds.
pub(crate) enum Boarding<T: Clone> {
    /// Nobody fetches it: you do.
    Lead(Obligation<T>),
    /// Somebody fetches it.
    Wait(Waiter<T>),
}

impl<T: Clone> Flights<T> {
    /// No flight yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { flights: Mutex::default() })
    }

    /// Joins the flight of a key, or starts it.
    pub(crate) fn board(self: &Arc<Self>, key: KeyHash) -> Boarding<T> {
        match self.flights.lock().entry(key) {
            MapEntry::Occupied(flight) => Boarding::Wait(Waiter { state: flight.get().clone() }),
            MapEntry::Vacant(free) => {
                let (state, receiver) = watch::channel(State::Flying);
                free.insert(receiver);
                Boarding::Lead(Obligation { flights: Some((Arc::clone(self), key)), state })
            }
        }
    }

    /// Starts a flight that nobody can join.
    pub(crate) fn alone() -> (Obligation<T>, Waiter<T>) {
        let (state, receiver) = watch::channel(State::Flying);
        (Obligation { flights: None, state }, Waiter { state: receiver })
    }

    /// Flights under way.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.flights.lock().len()
    }
}

/// The duty to fetch. It can be carried into a task; dropped, it passes on.
#[derive(Debug)]
pub(crate) struct Obligation<T: Clone> {
    flights: Option<(Arc<Flights<T>>, KeyHash)>,
    state: watch::Sender<State<T>>,
}

impl<T: Clone> Obligation<T> {
    /// Waits like everybody else.
    pub(crate) fn waiter(&self) -> Waiter<T> {
        Waiter { state: self.state.subscribe() }
    }

    /// Tells the waiters. The flight stays open to late-comers until the obligation is dropped.
    pub(crate) fn land(&self, outcome: T) {
        self.state.send_replace(State::Landed(outcome));
    }

    /// From now on the flight is found under another key; under the old one others may fly. Where another flight has
    /// that key already, nobody joins this one any more.
    pub(crate) fn rekey(&mut self, key: KeyHash) {
        let Some((flights, old)) = self.flights.take_if(|(_, old)| *old != key) else { return };
        let mut map = flights.flights.lock();
        let moved = map.remove(&old);
        if let (MapEntry::Vacant(free), Some(receiver)) = (map.entry(key), moved) {
            free.insert(receiver);
            drop(map);
            self.flights = Some((flights, key));
        }
    }

    /// Nobody joins any more; whoever waits still hears the outcome.
    pub(crate) fn close(&mut self) {
        if let Some((flights, key)) = self.flights.take() {
            flights.flights.lock().remove(&key);
        }
    }
}

impl<T: Clone> Drop for Obligation<T> {
    fn drop(&mut self) {
        self.close();
        self.state.send_if_modified(|state| {
            let lost = matches!(state, State::Flying);
            if lost {
                *state = State::Abandoned;
            }
            lost
        });
    }
}

/// The flight was dropped without an outcome: board again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned;

/// Waits for a flight.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    state: watch::Receiver<State<T>>,
}

impl<T: Clone> Waiter<T> {
    /// Sleeps until the flight has come to something.
    pub(crate) async fn outcome(mut self) -> Result<T, Abandoned> {
        match self.state.wait_for(|state| !matches!(state, State::Flying)).await.as_deref() {
            Ok(State::Landed(outcome)) => Ok(outcome.clone()),
            _ => Err(Abandoned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyHash = KeyHash(7);

    #[tokio::test]
    async fn one_leads_and_all_hear_of_it() {
        let flights = Flights::new();
        let Boarding::Lead(obligation) = flights.board(KEY) else { panic!("nobody was there") };
        let mut waiters = vec![obligation.waiter()];
        for _ in 0..10 {
            let Boarding::Wait(waiter) = flights.board(KEY) else { panic!("a second leader") };
            waiters.push(waiter);
        }
        obligation.land(42);
        let Boarding::Wait(late) = flights.board(KEY) else { panic!("still open") };
        waiters.push(late);
        drop(obligation);
        for waiter in waiters {
            assert_eq!(waiter.outcome().await, Ok(42));
        }
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_dropped_obligation_passes_on() {
        let flights = Flights::<u8>::new();
        let Boarding::Lead(obligation) = flights.board(KEY) else { panic!("nobody was there") };
        let Boarding::Wait(waiter) = flights.board(KEY) else { panic!("a second leader") };
        drop(obligation);
        assert_eq!(waiter.outcome().await, Err(Abandoned));
        assert!(matches!(flights.board(KEY), Boarding::Lead(_)));
    }

    #[tokio::test]
    async fn a_flight_moves_to_another_key() {
        let flights = Flights::new();
        let Boarding::Lead(mut obligation) = flights.board(KEY) else { panic!("nobody was there") };
        let other = KeyHash(8);
        obligation.rekey(other);
        let Boarding::Wait(waiter) = flights.board(other) else { panic!("it is there now") };
        let Boarding::Lead(mut second) = flights.board(KEY) else { panic!("it is not here any more") };
        second.rekey(other);
        obligation.land(1);
        assert_eq!(waiter.outcome().await, Ok(1));
        drop(obligation);
        drop(second);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_closed_flight_takes_no_one_aboard() {
        let flights = Flights::new();
        let Boarding::Lead(mut obligation) = flights.board(KEY) else { panic!("nobody was there") };
        let waiter = obligation.waiter();
        obligation.close();
        assert!(matches!(flights.board(KEY), Boarding::Lead(_)));
        obligation.land(1);
        assert_eq!(waiter.outcome().await, Ok(1));
    }
}
