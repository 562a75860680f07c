//! Leases: one node of the fleet fetches a key, the others wait for it.
//!
//! A lease is a key in Redis with an expiry; each carries a token that is higher than that of every lease before it.
//! The token goes with the entry that its holder stores ([`Terms`](crate::tier::Terms)): a holder whose lease has run
//! out can't overwrite what a later holder stored. After getting a lease, look into L2 again before asking the origin:
//! the holder before may just have stored the response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbar_http::key::{CacheKey, KeyHash};
use serde::Serialize;
use tokio::task::AbortHandle;

use super::wakeups::{self, CHANNEL, Waiting, Wakeups};
use super::{FleetConfig, millis, scripts};
use crate::tier::redis::keys;
use crate::tier::redis::link::Link;
use crate::tier::redis::target::Target;

/// The result of trying to get a lease.
#[derive(Debug)]
pub enum Attempt {
    /// This node has the lease.
    Mine(Lease),
    /// Another node has the lease.
    Held(LeaseWaiter),
    /// There are no leases for this key: its responses are for one request each, as a node saw a moment ago.
    Unshared,
    /// It is not known who has the lease, for this reason: the node acts as if it were alone.
    Alone(String),
}

/// What a node knows of a key's purges when it asks for the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeState {
    /// The tenant's purge sequence: a fetch that begins now is not below it.
    pub sequence: u64,
    /// The responses of fetches that began below this sequence have been purged.
    pub hidden_below: u64,
}

/// Why a waiter waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The lease was given back, or may have been: L2 may have the response now.
    Released,
    /// The lease has run out: its holder may have died.
    Expired,
    /// The waiter's own deadline has passed.
    Deadline,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeaseStats {
    /// Leases this node got.
    pub acquired: u64,
    /// Times that another node had the lease.
    pub held: u64,
    /// Times that it was not known who had the lease.
    pub alone: u64,
    /// Leases that this node waits for now.
    pub waited_for: usize,
}

/// The leases of a fleet, as one node sees them.
#[derive(Debug)]
pub struct Leases {
    shared: Arc<Shared>,
    lifetime: Duration,
    listener: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    link: Arc<Link>,
    wakeups: Arc<Wakeups>,
    acquired: AtomicU64,
    held: AtomicU64,
    alone: AtomicU64,
}

impl Leases {
    pub(super) fn start(config: &FleetConfig, link: Arc<Link>, waking: Target) -> Self {
        let wakeups = Arc::new(Wakeups::new(config.waiters_max));
        let listener = tokio::spawn(wakeups::listen(Arc::clone(&wakeups), waking, config.clone()));
        let shared =
            Shared { link, wakeups, acquired: AtomicU64::new(0), held: AtomicU64::new(0), alone: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), lifetime: config.lease, listener: listener.abort_handle() }
    }

    /// How long a lease lasts unless it is renewed.
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Tries to get the lease on a key, for `lifetime` unless it is renewed.
    pub async fn try_acquire(&self, key: &CacheKey, lifetime: Duration) -> Attempt {
        self.try_acquire_as(PurgeState::default(), key, lifetime).await
    }

    /// Like [`Self::try_acquire`], but takes the lease over from a holder whose response has been purged by now: nobody
    /// need wait for that.
    pub async fn try_acquire_as(&self, standing: PurgeState, key: &CacheKey, lifetime: Duration) -> Attempt {
        let shared = &self.shared;
        // The wait begins before the lease is asked for: if it is given back in between, that wakes the waiter too.
        let Some(waiting) = shared.wakeups.begin(key.tenant(), key.hash()) else {
            return shared.alone("too many leases are waited for".to_owned());
        };
        let mut script = scripts::ACQUIRE.key(keys::hashed(key.tenant(), "l", key.hash()));
        script.key(keys::control(key.tenant(), "fence"));
        script.arg(millis(lifetime).max(1)).arg(standing.sequence).arg(standing.hidden_below);
        let answer = shared.link.call(|mut to| async move { script.invoke_async::<(u8, u64)>(&mut to).await }).await;
        match answer {
            Ok((1, token)) => {
                shared.acquired.fetch_add(1, Ordering::Relaxed);
                let (tenant, hash) = (key.tenant().into(), key.hash());
                Attempt::Mine(Lease { tenant, hash, token, lifetime, released: false, shared: Arc::clone(shared) })
            }
            Ok((2, _)) => Attempt::Unshared,
            Ok((_, left_ms)) => {
                shared.held.fetch_add(1, Ordering::Relaxed);
                Attempt::Held(LeaseWaiter { waiting, left: Duration::from_millis(left_ms) })
            }
            Err(error) => shared.alone(error.to_string()),
        }
    }

    /// Tells the fleet that a key's responses are not for one request each after all.
    pub async fn clear_unshared(&self, key: &CacheKey) {
        let script = scripts::CLEAR_UNSHARED.key(keys::hashed(key.tenant(), "l", key.hash()));
        // If that fails, the note that they are expires by itself.
        let _ = self.shared.link.call(|mut to| async move { script.invoke_async::<u8>(&mut to).await }).await;
    }

    /// Counts since the start.
    pub fn stats(&self) -> LeaseStats {
        LeaseStats {
            acquired: self.shared.acquired.load(Ordering::Relaxed),
            held: self.shared.held.load(Ordering::Relaxed),
            alone: self.shared.alone.load(Ordering::Relaxed),
            waited_for: self.shared.wakeups.len(),
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Shared {
    fn alone(&self, why: String) -> Attempt {
        self.alone.fetch_add(1, Ordering::Relaxed);
        Attempt::Alone(why)
    }
}

/// A lease that this node has: the duty to fetch a key. Dropping it gives the lease back, in the background.
#[derive(Debug)]
pub struct Lease {
    tenant: Box<str>,
    hash: KeyHash,
    token: u64,
    lifetime: Duration,
    released: bool,
    shared: Arc<Shared>,
}

impl Lease {
    /// The token to store the response with: higher than that of every earlier lease of the tenant.
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// Does the work that the lease was taken for, and renews the lease until that is done. A lease that was lost
    /// meanwhile is not taken again: what the work stores under its token can't replace what a later holder stored.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let renewing = async {
            while self.renewed().await {}
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            done = work => done,
            never = renewing => match never {},
        }
    }

    /// Renews the lease when a third of its lifetime has gone by; false where it was lost.
    async fn renewed(&self) -> bool {
        tokio::time::sleep(self.lifetime / 3).await;
        let mut script = scripts::RENEW.key(keys::hashed(&self.tenant, "l", self.hash));
        script.arg(self.token).arg(millis(self.lifetime).max(1));
        let renewed = self.shared.link.call(|mut to| async move { script.invoke_async::<u8>(&mut to).await }).await;
        renewed.map_or(true, |renewed| renewed == 1)
    }

    /// Gives the lease back, and wakes those who wait for it: to be called when the response is stored. A lease that
    /// can't be given back runs out.
    pub async fn release(mut self) {
        self.released = true;
        self.giving_back(Duration::ZERO).await;
    }

    /// Gives the lease back, and has nobody wait for this key for so long: its responses are for one request each.
    pub async fn release_unshared(mut self, unshared: Duration) {
        self.released = true;
        self.giving_back(unshared).await;
    }

    fn giving_back(&self, unshared: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut script = scripts::RELEASE.key(keys::hashed(&self.tenant, "l", self.hash));
        script.arg(self.token).arg(CHANNEL).arg(wakeups::message(&self.tenant, self.hash)).arg(millis(unshared));
        let shared = Arc::clone(&self.shared);
        let (tenant, hash) = (self.tenant.clone(), self.hash);
        async move {
            let given = shared.link.call(|mut to| async move { script.invoke_async::<u8>(&mut to).await }).await;
            if given.is_ok_and(|given| given == 1) {
                // Waiters on this node need not wait for the server's message.
                shared.wakeups.wake(&tenant, hash);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.released
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(self.giving_back(Duration::ZERO));
        }
    }
}

/// Waits for another node's lease.
#[derive(Debug)]
pub struct LeaseWaiter {
    waiting: Waiting,
    left: Duration,
}

impl LeaseWaiter {
    /// Waits until the lease is given back or has run out, at most for `deadline`.
    pub async fn wait(mut self, deadline: Duration) -> Woken {
        let patience = self.left.min(deadline);
        match tokio::time::timeout(patience, self.waiting.woken()).await {
            Ok(()) => Woken::Released,
            Err(_) if self.left <= deadline => Woken::Expired,
            Err(_) => Woken::Deadline,
        }
    }

    /// How long the lease has left.
    pub const fn left(&self) -> Duration {
        self.left
    }
}
