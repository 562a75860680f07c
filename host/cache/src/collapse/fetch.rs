//! The fetches under way: which request leads the fetch of a key, and which ones wait for it.
//!
//! A request that finds no fetch for its key becomes the leader and gets the [`Obligation`] to fetch; all others become
//! waiters. The obligation is a value: dropping it without an outcome wakes the waiters, and the next of them takes it
//! over. So no leader can leak, and the fetch belongs to no client. A waiter that has waited for long enough relieves
//! the leader: it starts a new fetch, which the other waiters join.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use parking_lot::Mutex;
use sandbar_http::key::KeyHash;
use sandbar_http::semantics::leave::Joined;
use tokio::sync::watch;

use crate::cached::Began;
use crate::origin::Progress;

/// The fetches of a cache that are under way, by the key that they fetch. `T` is the outcome of a fetch.
#[derive(Debug)]
pub(crate) struct Fetches<T> {
    fetches: Mutex<HashMap<KeyHash, Fetch<T>>>,
}

#[derive(Debug)]
struct Fetch<T> {
    state: watch::Receiver<State<T>>,
    began: Began,
    progress: Progress,
}

#[derive(Clone, Debug)]
enum State<T> {
    UnderWay,
    Fulfilled(T),
    Abandoned,
}

/// Whether a request leads a fetch or waits for one.
pub(crate) enum LeadOrWait<T: Clone> {
    /// There is no fetch to join: the request leads one.
    Lead(Obligation<T>),
    /// The request waits for a fetch that is under way.
    Wait(Waiter<T>),
}

impl<T: Clone> Fetches<T> {
    /// An empty set of fetches.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { fetches: Mutex::default() })
    }

    /// Joins the fetch of a key if `joins` holds for its beginning and for how far it has come. Otherwise starts one; a
    /// fetch that was not joined can't be joined by others any more.
    pub(crate) fn join_or_lead(
        self: &Arc<Self>,
        key: KeyHash,
        now: Began,
        joins: impl FnOnce(&Began, Joined) -> bool,
    ) -> LeadOrWait<T> {
        self.join_or_start(key, now, |fetch, joined| joins(&fetch.began, joined))
    }

    /// Starts a new fetch in place of the one that `waited` has waited for in vain, or joins the new one that another
    /// waiter has started.
    pub(crate) fn relieve(
        self: &Arc<Self>,
        key: KeyHash,
        waited: &Waiter<T>,
        now: Began,
        joins: impl FnOnce(&Began, Joined) -> bool,
    ) -> LeadOrWait<T> {
        let another = |fetch: &Fetch<T>| !fetch.state.same_channel(&waited.state);
        self.join_or_start(key, now, |fetch, joined| another(fetch) && joins(&fetch.began, joined))
    }

    fn join_or_start(
        self: &Arc<Self>,
        key: KeyHash,
        now: Began,
        joins: impl FnOnce(&Fetch<T>, Joined) -> bool,
    ) -> LeadOrWait<T> {
        let mut fetches = self.fetches.lock();
        if let Some(fetch) = fetches.get(&key) {
            let joined = fetch.progress.joined_now();
            if joins(fetch, joined) {
                return LeadOrWait::Wait(Waiter { state: fetch.state.clone(), joined });
            }
        }
        let ((state, receiver), progress) = (watch::channel(State::UnderWay), Progress::default());
        fetches.insert(key, Fetch { state: receiver, began: now, progress: progress.clone() });
        LeadOrWait::Lead(Obligation { fetches: Some((Arc::clone(self), key)), state, progress })
    }

    /// Starts a fetch that nobody can join.
    pub(crate) fn alone() -> (Obligation<T>, Waiter<T>) {
        let (state, receiver) = watch::channel(State::UnderWay);
        let obligation = Obligation { fetches: None, state, progress: Progress::default() };
        (obligation, Waiter { state: receiver, joined: Joined::BeforeSent })
    }

    /// Fetches under way.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.fetches.lock().len()
    }
}

/// The leader's duty to fetch. It can be moved into a task; dropped without an outcome, it passes to a waiter.
#[derive(Debug)]
pub(crate) struct Obligation<T: Clone> {
    fetches: Option<(Arc<Fetches<T>>, KeyHash)>,
    state: watch::Sender<State<T>>,
    progress: Progress,
}

impl<T: Clone> Obligation<T> {
    /// A waiter for the leader's own request.
    pub(crate) fn waiter(&self) -> Waiter<T> {
        Waiter { state: self.state.subscribe(), joined: Joined::BeforeSent }
    }

    /// How far the request to the origin has come; requests that join the fetch learn this.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Gives the outcome to all waiters. Later requests can still join the fetch until the obligation is dropped.
    pub(crate) fn fulfil(&self, outcome: T) {
        self.state.send_replace(State::Fulfilled(outcome));
    }

    /// Moves the fetch to another key, and frees the old one for other fetches. Where another fetch has the new key
    /// already, this one can't be joined any more.
    pub(crate) fn rekey(&mut self, key: KeyHash) {
        let Some((fetches, old)) = self.fetches.take_if(|(_, old)| *old != key) else { return };
        let mut map = fetches.fetches.lock();
        let moved = self.take_from(&mut map, old);
        if let (MapEntry::Vacant(free), Some(fetch)) = (map.entry(key), moved) {
            free.insert(fetch);
            drop(map);
            self.fetches = Some((fetches, key));
        }
    }

    /// Lets no more requests join the fetch. Those that wait for it already still get the outcome.
    pub(crate) fn close(&mut self) {
        if let Some((fetches, key)) = self.fetches.take() {
            self.take_from(&mut fetches.fetches.lock(), key);
        }
    }

    /// Takes this obligation's fetch from the map; another fetch may have its key by now.
    fn take_from(&self, map: &mut HashMap<KeyHash, Fetch<T>>, key: KeyHash) -> Option<Fetch<T>> {
        let own = map.get(&key)?.state.same_channel(&self.state.subscribe());
        if own { map.remove(&key) } else { None }
    }
}

impl<T: Clone> Drop for Obligation<T> {
    fn drop(&mut self) {
        self.close();
        self.state.send_if_modified(|state| {
            let lost = matches!(state, State::UnderWay);
            if lost {
                *state = State::Abandoned;
            }
            lost
        });
    }
}

/// The obligation was dropped without an outcome: the waiter has to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned;

/// A request that waits for a fetch.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    state: watch::Receiver<State<T>>,
    joined: Joined,
}

impl<T: Clone> Waiter<T> {
    /// How far the fetch had come when the request joined it.
    pub(crate) const fn joined(&self) -> Joined {
        self.joined
    }

    /// Waits until the fetch has an outcome, or is abandoned.
    pub(crate) async fn outcome(&mut self) -> Result<T, Abandoned> {
        match self.state.wait_for(|state| !matches!(state, State::UnderWay)).await.as_deref() {
            Ok(State::Fulfilled(outcome)) => Ok(outcome.clone()),
            _ => Err(Abandoned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyHash = KeyHash(7);

    fn join_or_lead<T: Clone>(fetches: &Arc<Fetches<T>>, key: KeyHash) -> LeadOrWait<T> {
        fetches.join_or_lead(key, Began::default(), |_, _| true)
    }

    #[tokio::test]
    async fn one_leads_and_all_hear_of_it() {
        let fetches = Fetches::new();
        let LeadOrWait::Lead(obligation) = join_or_lead(&fetches, KEY) else { panic!("nobody was there") };
        let mut waiters = vec![obligation.waiter()];
        for _ in 0..10 {
            let LeadOrWait::Wait(waiter) = join_or_lead(&fetches, KEY) else { panic!("a second leader") };
            waiters.push(waiter);
        }
        obligation.fulfil(42);
        let LeadOrWait::Wait(late) = join_or_lead(&fetches, KEY) else { panic!("still open") };
        waiters.push(late);
        drop(obligation);
        for mut waiter in waiters {
            assert_eq!(waiter.outcome().await, Ok(42));
        }
        assert_eq!(fetches.len(), 0);
    }

    #[tokio::test]
    async fn a_dropped_obligation_passes_on() {
        let fetches = Fetches::<u8>::new();
        let LeadOrWait::Lead(obligation) = join_or_lead(&fetches, KEY) else { panic!("nobody was there") };
        let LeadOrWait::Wait(mut waiter) = join_or_lead(&fetches, KEY) else { panic!("a second leader") };
        drop(obligation);
        assert_eq!(waiter.outcome().await, Err(Abandoned));
        assert!(matches!(join_or_lead(&fetches, KEY), LeadOrWait::Lead(_)));
    }

    #[tokio::test]
    async fn a_fetch_moves_to_another_key() {
        let fetches = Fetches::new();
        let LeadOrWait::Lead(mut obligation) = join_or_lead(&fetches, KEY) else { panic!("nobody was there") };
        let other = KeyHash(8);
        obligation.rekey(other);
        let LeadOrWait::Wait(mut waiter) = join_or_lead(&fetches, other) else { panic!("it is there now") };
        let LeadOrWait::Lead(mut second) = join_or_lead(&fetches, KEY) else { panic!("it is not here any more") };
        second.rekey(other);
        obligation.fulfil(1);
        assert_eq!(waiter.outcome().await, Ok(1));
        drop(obligation);
        drop(second);
        assert_eq!(fetches.len(), 0);
    }

    #[tokio::test]
    async fn a_closed_fetch_takes_no_one_in() {
        let fetches = Fetches::new();
        let LeadOrWait::Lead(mut obligation) = join_or_lead(&fetches, KEY) else { panic!("nobody was there") };
        let mut waiter = obligation.waiter();
        obligation.close();
        assert!(matches!(join_or_lead(&fetches, KEY), LeadOrWait::Lead(_)));
        obligation.fulfil(1);
        assert_eq!(waiter.outcome().await, Ok(1));
    }

    #[tokio::test]
    async fn fetch_that_may_not_be_joined_makes_room_for_a_newer_one() {
        let fetches = Fetches::new();
        let at = |sequence| Began { sequence, ..Began::default() };
        let LeadOrWait::Lead(old) = fetches.join_or_lead(KEY, at(1), |_, _| true) else { panic!("nobody was there") };
        let LeadOrWait::Lead(new) = fetches.join_or_lead(KEY, at(2), |began, _| began.sequence > 1) else {
            panic!("it is too old")
        };
        let mut old_waiter = old.waiter();
        old.fulfil(1);
        drop(old);
        let LeadOrWait::Wait(mut waiter) = fetches.join_or_lead(KEY, at(3), |began, _| began.sequence == 2) else {
            panic!("the old one took the new one along")
        };
        new.fulfil(2);
        drop(new);
        assert_eq!((old_waiter.outcome().await, waiter.outcome().await), (Ok(1), Ok(2)));
        assert_eq!(fetches.len(), 0);
    }

    #[tokio::test]
    async fn one_waiter_relieves_the_leader_and_the_others_join_it() {
        let fetches = Fetches::new();
        let LeadOrWait::Lead(slow) = join_or_lead(&fetches, KEY) else { panic!("nobody was there") };
        let waiting = || match join_or_lead(&fetches, KEY) {
            LeadOrWait::Wait(waiter) => waiter,
            LeadOrWait::Lead(_) => panic!("a second leader"),
        };
        let relieve = |waited: &Waiter<_>| fetches.relieve(KEY, waited, Began::default(), |_, _| true);
        let (mut first, second) = (waiting(), waiting());
        let LeadOrWait::Lead(new) = relieve(&first) else { panic!("somebody must lead") };
        let LeadOrWait::Wait(mut joined) = relieve(&second) else { panic!("two new leaders") };
        // The end of the old leader's fetch does not remove the new one.
        slow.fulfil(1);
        drop(slow);
        assert_eq!(first.outcome().await, Ok(1));
        assert!(matches!(join_or_lead(&fetches, KEY), LeadOrWait::Wait(_)));
        new.fulfil(2);
        drop(new);
        assert_eq!(joined.outcome().await, Ok(2));
        assert_eq!(fetches.len(), 0);
    }

    #[tokio::test]
    async fn whoever_comes_is_told_how_far_the_request_has_come() {
        let fetches = Fetches::<u8>::new();
        let LeadOrWait::Lead(obligation) = join_or_lead(&fetches, KEY) else { panic!("nobody was there") };
        let LeadOrWait::Wait(early) = join_or_lead(&fetches, KEY) else { panic!("a second leader") };
        obligation.progress().is_sent();
        let LeadOrWait::Wait(late) = join_or_lead(&fetches, KEY) else { panic!("a second leader") };
        obligation.progress().is_answered();
        let LeadOrWait::Wait(later) = join_or_lead(&fetches, KEY) else { panic!("a second leader") };
        let joined = [early.joined(), late.joined(), later.joined()];
        assert_eq!(joined, [Joined::BeforeSent, Joined::WhileAsked, Joined::AfterAnswered]);
        let unsent = |fetches: &Arc<Fetches<u8>>| {
            fetches.join_or_lead(KEY, Began::default(), |_, joined| joined == Joined::BeforeSent)
        };
        let LeadOrWait::Lead(_second) = unsent(&fetches) else { panic!("it may not join what was sent") };
        assert!(
            matches!(unsent(&fetches), LeadOrWait::Wait(_)),
            "and shares its own with all who come before it is sent"
        );
    }
}
