//! Leases: one node of the fleet fetches a key, the others wait for it.
//!
//! A lease is a key in Redis with an expiry; each carries a token that is higher than that of every lease before it. The
//! token goes with what its holder stores ([`Terms`](crate::tier::Terms)): a holder that slept through its lease can't
//! overwrite what its successor stored. After winning a lease, look into L2 again before asking the origin: whoever had
//! it before may just have stored the answer.

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

/// What became of the wish for a lease.
#[derive(Debug)]
pub enum Attempt {
    /// It is this node's turn.
    Mine(Lease),
    /// Another node has it.
    Held(Waiter),
    /// Nobody waits for this key: its responses are for one request each, as a node found a moment ago.
    Unshared,
    /// Nobody can say: the node acts as if it were alone.
    Alone(String),
}

/// What a node knows of a key's purges when it wants the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The tenant's purge sequence: what is fetched from now on is not below it.
    pub sequence: u64,
    /// What was begun below this sequence has been purged.
    pub hidden_below: u64,
}

/// Why a waiter waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The lease was given back, or may have been: L2 may have the answer now.
    Released,
    /// The lease has run out: its holder may have died.
    Expired,
    /// The waiter's own deadline has passed.
    Deadline,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeaseStats {
    /// Leases this node got.
    pub acquired: u64,
    /// Times another node had it.
    pub held: u64,
    /// Times nobody could say.
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

    /// Tries to become the one that fetches a key, for `lifetime` at the longest.
    pub async fn try_acquire(&self, key: &CacheKey, lifetime: Duration) -> Attempt {
        self.try_acquire_as(Standing::default(), key, lifetime).await
    }

    /// As [`Self::try_acquire`], and takes the lease over from a holder whose answer has been purged by now: nobody need wait
    /// for that.
    pub async fn try_acquire_as(&self, standing: Standing, key: &CacheKey, lifetime: Duration) -> Attempt {
        let shared = &self.shared;
        // The wait begins before the question: what is given back in between wakes it too.
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
                Attempt::Held(Waiter { waiting, left: Duration::from_millis(left_ms) })
            }
            Err(error) => shared.alone(error.to_string()),
        }
    }

    /// Says that a key's responses are shared after all.
    pub async fn share(&self, key: &CacheKey) {
        let script = scripts::SHARE.key(keys::hashed(key.tenant(), "l", key.hash()));
        // Left unsaid, it is forgotten by itself.
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

/// The duty to fetch a key. Dropping it gives it back, behind the caller's back.
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
    /// Higher than the token of every earlier lease of the tenant. To be stored with.
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// Does the work that it was taken for, and renews it until that is done. One that was lost meanwhile is not taken again:
    /// what the work stores under its token can't replace what a later holder stored.
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

    /// Renews it when a third of it has gone by; false where it was lost.
    async fn renewed(&self) -> bool {
        tokio::time::sleep(self.lifetime / 3).await;
        let mut script = scripts::RENEW.key(keys::hashed(&self.tenant, "l", self.hash));
        script.arg(self.token).arg(millis(self.lifetime).max(1));
        let renewed = self.shared.link.call(|mut to| async move { script.invoke_async::<u8>(&mut to).await }).await;
        renewed.map_or(true, |renewed| renewed == 1)
    }

    /// Gives it back, and wakes those who wait for it: after the answer is stored. One that can't be given back runs out.
    pub async fn release(mut self) {
        self.released = true;
        self.giving_back(Duration::ZERO).await;
    }

    /// Gives it back, and lets nobody wait for this key for so long: its response is not shared.
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
                // Those of this node need not wait for the server's word.
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
pub struct Waiter {
    waiting: Waiting,
    left: Duration,
}

impl Waiter {
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
