//! What happens to entries, told to the program that embeds the cache: what was stored and why not, and why a response left
//! memory.
//!
//! Nothing waits for a reader. Each reader has a bounded channel of its own; what comes while that is full is counted
//! ([`Events::lost`]) and dropped. The last events of each tenant are noted beside that, in little room, to explain what became
//! of a response ([`explain`](crate::explain)); hits have no events at all.
//!
//! ```
//! # use sandbar::Sandbar;
//! # use sandbar::events::What;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbar = Sandbar::builder().build()?;
//! let mut events = sandbar.events(4096);
//! tokio::spawn(async move {
//!     while let Some(event) = events.next().await {
//!         if let What::Left(why) = event.what {
//!             println!("{}: {}{} left: {}", event.tenant, event.key.site(), event.key.target(), why.as_str());
//!         }
//!     }
//! });
//! # Ok(())
//! # }
//! ```

mod hub;
mod recent;
mod teller;
mod why;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sandbar_base::clock::Timestamp;
pub use sandbar_http::key::{CacheKey, KeyHash};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

pub(crate) use self::hub::Hub;
use self::hub::Listening;
pub(crate) use self::recent::Past;
pub(crate) use self::teller::Teller;
pub use self::why::{Left, Unstored};

/// Something that happened to an entry. Lists of variants have no events, only responses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When it happened, by the cache's clock.
    pub at: Timestamp,
    /// The tenant whose entry it is.
    pub tenant: Arc<str>,
    /// The key: that of the variant where the response has selecting fields, the primary one of the request where nothing was
    /// stored.
    pub key: CacheKey,
    /// What the entry weighs in bytes, without the overhead of a tier; `None` where nothing was made that could be stored.
    pub weight_bytes: Option<u64>,
    /// What happened.
    pub what: What,
}

/// What happened to an entry. Events of one key are in the order in which they happened, unless two threads see to that key
/// at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// A response was stored, as the origin sent or confirmed it, or as it was put.
    Stored {
        /// The tier, as `Cache-Status` calls it: `l1`, or the name of the L2.
        tier: &'static str,
    },
    /// A response that was stored already was put into memory: it was found in the L2, or planned anew.
    Promoted,
    /// A response of the origin was not stored. Responses that bypass the cache have no event.
    NotStored(Unstored),
    /// A stored response left memory. What an L2 drops has no event, nor what is there when a tenant or the cache ends.
    Left(Left),
}

/// A reader of events, made by [`Sandbar::events`](crate::Sandbar::events). When it is dropped, it costs nothing any more.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    lost: Arc<AtomicU64>,
    _listening: Listening,
}

impl Events {
    /// The next event, as soon as there is one; `None` when the cache, or the one tenant that is listened to, is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event, if there is one already.
    ///
    /// # Errors
    /// When no more will come.
    pub fn try_next(&mut self) -> Result<Option<Event>, Ended> {
        match self.receiver.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Ended),
        }
    }

    /// How many events this reader has missed since it was made, as its channel was full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// No more events will come: the cache, or the tenant that is listened to, is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cache or its tenant is gone: no more events will come")]
pub struct Ended;
