//! The bounds of the connections of one side, that of clients or that of operators, whichever of its listeners they
//! come to. They may change while it runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sandbar_http::client::TrustedProxies;
use tokio::sync::Semaphore;

use super::config::{LimitsConfig, ListenConfig};
use super::opening::Terms;
use super::room::Rooms;
use super::speech::Speech;

/// The limits of a side's connections, and how they begin.
pub(super) struct Bounds {
    connections_max: usize,
    pub(super) rooms: Rooms,
    pub(super) terms: Terms,
    pub(super) speech: Speech,
}

impl Bounds {
    /// The limits that the settings give; connections take memory from `rooms`, and those of `proxies` begin with a
    /// PROXY header.
    pub(super) fn new(gateway: &ListenConfig, limits: &LimitsConfig, rooms: Rooms, proxies: TrustedProxies) -> Self {
        Self {
            connections_max: limits.connections_max.as_usize().min(Semaphore::MAX_PERMITS),
            rooms,
            terms: Terms { proxies, deadline: limits.head_deadline.get() },
            speech: Speech::new(gateway, limits),
        }
    }
}

/// The bounds of a side, which may change while it runs: new connections have those of the moment.
pub(super) struct Bounded {
    present: ArcSwap<Bounds>,
    slots: Arc<Semaphore>,
}

impl Bounded {
    /// Begins with these bounds.
    pub(super) fn new(bounds: Bounds) -> Self {
        let slots = Arc::new(Semaphore::new(bounds.connections_max));
        Self { present: ArcSwap::from_pointee(bounds), slots }
    }

    /// The bounds of the moment.
    pub(super) fn present(&self) -> Arc<Bounds> {
        self.present.load_full()
    }

    /// A place for each connection that there may be.
    pub(super) const fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    /// Gives connections that come from now on other bounds.
    pub(super) fn change(&self, to: Bounds) {
        let (before, after) = (self.present.load().connections_max, to.connections_max);
        self.present.store(Arc::new(to));
        if after > before {
            self.slots.add_permits(after - before);
        }
        let too_many = u32::try_from(before.saturating_sub(after)).unwrap_or(u32::MAX);
        if too_many > 0 {
            // In the queue before whoever wants a place next: nobody gets one, until so many connections have ended.
            let slots = Arc::clone(&self.slots);
            tokio::spawn(async move {
                if let Ok(gone) = slots.acquire_many_owned(too_many).await {
                    gone.forget();
                }
            });
        }
    }
}
