//! The waiters for other nodes' leases on this node, and the task that listens for released leases and wakes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::PubSub;
use sandbar_http::key::KeyHash;
use tokio::sync::watch;

use super::FleetConfig;
use crate::tier::redis::keys;
use crate::tier::redis::target::Target;

/// The channel on which a node says that it has given a lease back.
pub(super) const CHANNEL: &str = "sandbar:wake";
/// After so long without a message the server is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(2);

/// A lease, by its tenant and key.
pub(super) type LeaseKey = (Box<str>, KeyHash);

/// The waiters of a node.
#[derive(Debug)]
pub(super) struct Wakeups {
    waiting: Mutex<HashMap<LeaseKey, watch::Sender<()>>>,
    waiters_max: usize,
}

/// A waiter for a lease. It counts from the moment it is made, so that it misses no wake-up.
#[derive(Debug)]
pub(super) struct Waiting {
    place: LeaseKey,
    woken: Option<watch::Receiver<()>>,
    wakeups: Arc<Wakeups>,
}

impl Wakeups {
    pub(super) fn new(waiters_max: usize) -> Self {
        Self { waiting: Mutex::default(), waiters_max }
    }

    /// Begins to wait; `None` where too many leases are waited for.
    pub(super) fn begin(self: &Arc<Self>, tenant: &str, hash: KeyHash) -> Option<Waiting> {
        let place: LeaseKey = (tenant.into(), hash);
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.waiters_max && !waiting.contains_key(&place) {
            return None;
        }
        let woken = waiting.entry(place.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        drop(waiting);
        Some(Waiting { place, woken: Some(woken), wakeups: Arc::clone(self) })
    }

    /// Wakes those who wait for one lease.
    pub(super) fn wake(&self, tenant: &str, hash: KeyHash) {
        if let Some(sender) = self.waiting.lock().get(&(tenant.into(), hash)) {
            sender.send_replace(());
        }
    }

    /// Wakes all waiters: a message may have been missed.
    fn wake_all(&self) {
        self.waiting.lock().values().for_each(|sender| sender.send_replace(()));
    }

    /// Leases that are waited for.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    fn wake_by_message(&self, message: &[u8]) {
        let said = std::str::from_utf8(message).ok().and_then(|text| text.split_once(' '));
        let Some((escaped, hash)) = said else { return };
        let tenant = percent_encoding::percent_decode_str(escaped).decode_utf8();
        if let (Ok(tenant), Ok(hash)) = (tenant, u128::from_str_radix(hash, 16)) {
            self.wake(&tenant, KeyHash(hash));
        }
    }
}

/// The message on the channel that a lease was given back.
pub(super) fn message(tenant: &str, hash: KeyHash) -> String {
    format!("{} {:032x}", keys::escaped(tenant), hash.0)
}

impl Waiting {
    /// Waits until the lease is given back.
    pub(super) async fn woken(&mut self) {
        if let Some(woken) = &mut self.woken {
            let _ = woken.changed().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.woken = None;
        let mut waiting = self.wakeups.waiting.lock();
        if waiting.get(&self.place).is_some_and(|sender| sender.receiver_count() == 0) {
            waiting.remove(&self.place);
        }
    }
}

/// Listens until the task is aborted. If a wake-up is lost, its waiters wait until the lease expires at the longest.
pub(super) async fn listen(wakeups: Arc<Wakeups>, target: Target, config: FleetConfig) {
    let mut pause = config.breaker.backoff_min;
    loop {
        let subscribing = tokio::time::timeout(config.connect_deadline * 2, target.subscribe(CHANNEL));
        if let Ok(Ok(listening)) = subscribing.await {
            pause = config.breaker.backoff_min;
            // Messages from before the subscription can't be heard any more.
            wakeups.wake_all();
            hear(&wakeups, listening, config.deadline * 4).await;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(config.breaker.backoff_max);
    }
}

/// Wakes waiters for each message, until the connection ends or does not answer any more.
async fn hear(wakeups: &Wakeups, listening: PubSub, patience: Duration) {
    let (mut sink, mut messages) = listening.split();
    loop {
        match tokio::time::timeout(PING_EVERY, messages.next()).await {
            Ok(Some(message)) => wakeups.wake_by_message(message.get_payload_bytes()),
            Ok(None) => return,
            Err(_) => {
                if !matches!(tokio::time::timeout(patience, sink.ping::<redis::Value>()).await, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_woken(waiting: &mut Waiting) -> bool {
        waiting.woken.as_mut().is_some_and(|woken| woken.has_changed().unwrap_or(true))
    }

    #[test]
    fn waiters_of_one_lease_are_woken_and_forgotten() {
        let wakeups = Arc::new(Wakeups::new(10));
        let mut waiting: Vec<_> = (0..3).map(|_| wakeups.begin("a b", KeyHash(7)).unwrap()).collect();
        let mut other = wakeups.begin("a", KeyHash(7)).unwrap();
        wakeups.wake_by_message(b"nonsense");
        wakeups.wake_by_message(b"a b");
        assert!(!waiting.iter_mut().any(is_woken));
        wakeups.wake_by_message(message("a b", KeyHash(7)).as_bytes());
        assert!(waiting.iter_mut().all(is_woken) && !is_woken(&mut other), "another tenant's is not");
        assert_eq!(wakeups.len(), 2);
        drop((waiting, other));
        assert_eq!(wakeups.len(), 0);
    }

    #[test]
    fn number_of_leases_waited_for_is_bounded() {
        let wakeups = Arc::new(Wakeups::new(2));
        let held: Vec<_> = (0..2).map(|n| wakeups.begin("shop", KeyHash(n)).unwrap()).collect();
        assert!(wakeups.begin("shop", KeyHash(2)).is_none());
        assert!(wakeups.begin("shop", KeyHash(1)).is_some(), "a second waiter for the same lease takes no room");
        drop(held);
        assert!(wakeups.begin("shop", KeyHash(2)).is_some());
    }
}
