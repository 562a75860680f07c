//! Request collapsing: one fetch per key and node, and everybody else waits for it.
//!
//! Whoever finds no flight for a key gets the [`Obligation`] to fetch; all others get to wait. The obligation is a value:
//! dropping it without an outcome wakes the waiters, and the next of them takes it over. So no leader can leak, and the
//! fetch belongs to no client. A waiter that has waited for long enough relieves the leader: it starts a new flight, which
//! the others join.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use parking_lot::Mutex;
use sandbar_http::key::KeyHash;
use sandbar_http::semantics::leave::Joined;
use tokio::sync::watch;

use crate::cached::Began;
use crate::origin::Progress;

/// The flights of a cache, by what they fetch. `T` is what a flight comes to.
#[derive(Debug)]
pub(crate) struct Flights<T> {
    flights: Mutex<HashMap<KeyHash, Flight<T>>>,
}

#[derive(Debug)]
struct Flight<T> {
    state: watch::Receiver<State<T>>,
    began: Began,
    progress: Progress,
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

    /// Joins the flight of a key if `joins` holds for its beginning and for when this request comes to it, or starts one:
    /// then nobody joins the other any more.
    pub(crate) fn board(
        self: &Arc<Self>,
        key: KeyHash,
        now: Began,
        joins: impl FnOnce(&Began, Joined) -> bool,
    ) -> Boarding<T> {
        self.join_or_start(key, now, |flight, joined| joins(&flight.began, joined))
    }

    /// Starts a new flight in place of the one that was waited for in vain; joins the one that another waiter has started.
    pub(crate) fn relieve(
        self: &Arc<Self>,
        key: KeyHash,
        waited: &Waiter<T>,
        now: Began,
        joins: impl FnOnce(&Began, Joined) -> bool,
    ) -> Boarding<T> {
        let another = |flight: &Flight<T>| !flight.state.same_channel(&waited.state);
        self.join_or_start(key, now, |flight, joined| another(flight) && joins(&flight.began, joined))
    }

    fn join_or_start(
        self: &Arc<Self>,
        key: KeyHash,
        now: Began,
        joins: impl FnOnce(&Flight<T>, Joined) -> bool,
    ) -> Boarding<T> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&key) {
            let joined = flight.progress.joined_now();
            if joins(flight, joined) {
                return Boarding::Wait(Waiter { state: flight.state.clone(), joined });
            }
        }
        let ((state, receiver), progress) = (watch::channel(State::Flying), Progress::default());
        flights.insert(key, Flight { state: receiver, began: now, progress: progress.clone() });
        Boarding::Lead(Obligation { flights: Some((Arc::clone(self), key)), state, progress })
    }

    /// Starts a flight that nobody can join.
    pub(crate) fn alone() -> (Obligation<T>, Waiter<T>) {
        let (state, receiver) = watch::channel(State::Flying);
        let obligation = Obligation { flights: None, state, progress: Progress::default() };
        (obligation, Waiter { state: receiver, joined: Joined::BeforeSent })
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
    progress: Progress,
}

impl<T: Clone> Obligation<T> {
    /// Waits like everybody else.
    pub(crate) fn waiter(&self) -> Waiter<T> {
        Waiter { state: self.state.subscribe(), joined: Joined::BeforeSent }
    }

    /// How far the request has come that is sent to the origin: those who come to the flight are told.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
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
        let moved = self.take_from(&mut map, old);
        if let (MapEntry::Vacant(free), Some(flight)) = (map.entry(key), moved) {
            free.insert(flight);
            drop(map);
            self.flights = Some((flights, key));
        }
    }

    /// Nobody joins any more; whoever waits still hears the outcome.
    pub(crate) fn close(&mut self) {
        if let Some((flights, key)) = self.flights.take() {
            self.take_from(&mut flights.flights.lock(), key);
        }
    }

    /// Takes its flight from the map; another one may have its key by now.
    fn take_from(&self, map: &mut HashMap<KeyHash, Flight<T>>, key: KeyHash) -> Option<Flight<T>> {
        let own = map.get(&key)?.state.same_channel(&self.state.subscribe());
        if own { map.remove(&key) } else { None }
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
    joined: Joined,
}

impl<T: Clone> Waiter<T> {
    /// When it came to the flight.
    pub(crate) const fn joined(&self) -> Joined {
        self.joined
    }

    /// Sleeps until the flight has come to something.
    pub(crate) async fn landing(&mut self) -> Result<T, Abandoned> {
        match self.state.wait_for(|state| !matches!(state, State::Flying)).await.as_deref() {
            Ok(State::Landed(landing)) => Ok(landing.clone()),
            _ => Err(Abandoned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyHash = KeyHash(7);

    fn board<T: Clone>(flights: &Arc<Flights<T>>, key: KeyHash) -> Boarding<T> {
        flights.board(key, Began::default(), |_, _| true)
    }

    #[tokio::test]
    async fn one_leads_and_all_hear_of_it() {
        let flights = Flights::new();
        let Boarding::Lead(obligation) = board(&flights, KEY) else { panic!("nobody was there") };
        let mut waiters = vec![obligation.waiter()];
        for _ in 0..10 {
            let Boarding::Wait(waiter) = board(&flights, KEY) else { panic!("a second leader") };
            waiters.push(waiter);
        }
        obligation.land(42);
        let Boarding::Wait(late) = board(&flights, KEY) else { panic!("still open") };
        waiters.push(late);
        drop(obligation);
        for mut waiter in waiters {
            assert_eq!(waiter.landing().await, Ok(42));
        }
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_dropped_obligation_passes_on() {
        let flights = Flights::<u8>::new();
        let Boarding::Lead(obligation) = board(&flights, KEY) else { panic!("nobody was there") };
        let Boarding::Wait(mut waiter) = board(&flights, KEY) else { panic!("a second leader") };
        drop(obligation);
        assert_eq!(waiter.landing().await, Err(Abandoned));
        assert!(matches!(board(&flights, KEY), Boarding::Lead(_)));
    }

    #[tokio::test]
    async fn a_flight_moves_to_another_key() {
        let flights = Flights::new();
        let Boarding::Lead(mut obligation) = board(&flights, KEY) else { panic!("nobody was there") };
        let other = KeyHash(8);
        obligation.rekey(other);
        let Boarding::Wait(mut waiter) = board(&flights, other) else { panic!("it is there now") };
        let Boarding::Lead(mut second) = board(&flights, KEY) else { panic!("it is not here any more") };
        second.rekey(other);
        obligation.land(1);
        assert_eq!(waiter.landing().await, Ok(1));
        drop(obligation);
        drop(second);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_closed_flight_takes_no_one_aboard() {
        let flights = Flights::new();
        let Boarding::Lead(mut obligation) = board(&flights, KEY) else { panic!("nobody was there") };
        let mut waiter = obligation.waiter();
        obligation.close();
        assert!(matches!(board(&flights, KEY), Boarding::Lead(_)));
        obligation.land(1);
        assert_eq!(waiter.landing().await, Ok(1));
    }

    #[tokio::test]
    async fn flight_that_may_not_be_joined_makes_room_for_a_newer_one() {
        let flights = Flights::new();
        let at = |sequence| Began { sequence, ..Began::default() };
        let Boarding::Lead(old) = flights.board(KEY, at(1), |_, _| true) else { panic!("nobody was there") };
        let Boarding::Lead(new) = flights.board(KEY, at(2), |began, _| began.sequence > 1) else {
            panic!("it is too old")
        };
        let mut old_waiter = old.waiter();
        old.land(1);
        drop(old);
        let Boarding::Wait(mut waiter) = flights.board(KEY, at(3), |began, _| began.sequence == 2) else {
            panic!("the old one took the new one along")
        };
        new.land(2);
        drop(new);
        assert_eq!((old_waiter.landing().await, waiter.landing().await), (Ok(1), Ok(2)));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn one_waiter_relieves_the_leader_and_the_others_join_it() {
        let flights = Flights::new();
        let Boarding::Lead(slow) = board(&flights, KEY) else { panic!("nobody was there") };
        let waiting = || match board(&flights, KEY) {
            Boarding::Wait(waiter) => waiter,
            Boarding::Lead(_) => panic!("a second leader"),
        };
        let relieve = |waited: &Waiter<_>| flights.relieve(KEY, waited, Began::default(), |_, _| true);
        let (mut first, second) = (waiting(), waiting());
        let Boarding::Lead(new) = relieve(&first) else { panic!("somebody must lead") };
        let Boarding::Wait(mut joined) = relieve(&second) else { panic!("two new leaders") };
        // The one who was relieved ends in peace: the new flight stays.
        slow.land(1);
        drop(slow);
        assert_eq!(first.landing().await, Ok(1));
        assert!(matches!(board(&flights, KEY), Boarding::Wait(_)));
        new.land(2);
        drop(new);
        assert_eq!(joined.landing().await, Ok(2));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn whoever_comes_is_told_how_far_the_request_has_come() {
        let flights = Flights::<u8>::new();
        let Boarding::Lead(obligation) = board(&flights, KEY) else { panic!("nobody was there") };
        let Boarding::Wait(early) = board(&flights, KEY) else { panic!("a second leader") };
        obligation.progress().is_sent();
        let Boarding::Wait(late) = board(&flights, KEY) else { panic!("a second leader") };
        obligation.progress().is_answered();
        let Boarding::Wait(later) = board(&flights, KEY) else { panic!("a second leader") };
        let joined = [early.joined(), late.joined(), later.joined()];
        assert_eq!(joined, [Joined::BeforeSent, Joined::WhileAsked, Joined::AfterAnswered]);
        let unsent =
            |flights: &Arc<Flights<u8>>| flights.board(KEY, Began::default(), |_, joined| joined == Joined::BeforeSent);
        let Boarding::Lead(_second) = unsent(&flights) else { panic!("it may not join what was sent") };
        assert!(
            matches!(unsent(&flights), Boarding::Wait(_)),
            "and shares its own with all who come before it is sent"
        );
    }
}
