//! Where events go: to each reader's channel, as far as that has room.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

use super::{Event, Events};

/// The readers of a cache's events.
#[derive(Default)]
pub(crate) struct Hub {
    /// How many readers there are, so that events without readers are not even made.
    reading: AtomicUsize,
    readers: RwLock<Vec<Reader>>,
    numbers: AtomicU64,
}

struct Reader {
    number: u64,
    /// The number of the one tenant that is listened to; none for all.
    only: Option<u64>,
    channel: mpsc::Sender<Event>,
    lost: Arc<AtomicU64>,
}

/// A reader's place among the others, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    number: u64,
    hub: Weak<Hub>,
}

impl Hub {
    /// A number that nothing else of this hub has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a reader of all events, or of those of one tenant, whose channel has room for `capacity` events, one at least.
    pub(crate) fn listen(self: &Arc<Self>, only: Option<u64>, capacity: usize) -> Events {
        let (channel, receiver) = mpsc::channel(capacity.clamp(1, Semaphore::MAX_PERMITS));
        let (number, lost) = (self.number(), Arc::new(AtomicU64::new(0)));
        self.change(|readers| readers.push(Reader { number, only, channel, lost: Arc::clone(&lost) }));
        Events { receiver, lost, _listening: Listening { number, hub: Arc::downgrade(self) } }
    }

    /// Whether anybody reads.
    pub(super) fn is_heard(&self) -> bool {
        self.reading.load(Ordering::Relaxed) > 0
    }

    /// Tells the readers of an event of the tenant with the number `of`; never waits for one.
    pub(super) fn tell(&self, of: u64, event: &Event) {
        for reader in self.readers.read().iter().filter(|reader| reader.only.is_none_or(|only| only == of)) {
            if reader.channel.try_send(event.clone()).is_err() {
                reader.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends the readers of a tenant that is gone.
    pub(super) fn end(&self, tenant: u64) {
        self.change(|readers| readers.retain(|reader| reader.only != Some(tenant)));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Reader>)) {
        let mut readers = self.readers.write();
        change(&mut readers);
        self.reading.store(readers.len(), Ordering::Relaxed);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.change(|readers| readers.retain(|reader| reader.number != self.number));
        }
    }
}
