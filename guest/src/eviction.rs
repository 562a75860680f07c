//! The role `eviction`: these entries were read, these arrived, these left; which should leave to make room?
//!
//! The short way is a [`Replacement`] policy: it says what a hit does, where an arrival goes and which entry is the
//! victim, and a [`Shard`] does the rest. This policy is complete:
//!
//! ```
//! use sandbar_guest::eviction::list::Lists;
//! use sandbar_guest::eviction::{Arrival, Replacement, Shard};
//! use sandbar_guest::settings::NoSettings;
//!
//! /// Evicts the entry that was read longest ago.
//! struct Lru;
//!
//! impl Replacement for Lru {
//!     type Settings = NoSettings;
//!     type Entries = Lists;
//!
//!     fn configure(_: NoSettings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, Lists), String> {
//!         Ok((Self, Lists::new(1)))
//!     }
//!     fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
//!         lists.push(0, arrival.slot, arrival.weight_bytes, ());
//!     }
//!     fn hit(&mut self, lists: &mut Lists, slot: u32) {
//!         lists.move_to(0, slot);
//!     }
//!     fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
//!         lists.coldest(0)
//!     }
//! }
//!
//! sandbar_guest::export_eviction!(Shard<Lru>);
//! # use sandbar_guest::eviction::Eviction;
//! # let mut shard = Shard::<Lru>::configure("", 2, 0).unwrap();
//! # let mut victims = vec![];
//! # for slot in 0..3 {
//! #     shard.arrived(0, Arrival { slot, weight_bytes: 1, ..Default::default() }, &mut victims);
//! #     shard.touched(0, 0);
//! # }
//! # assert_eq!(victims, [1]);
//! # assert_eq!(shard.order(None, 9), [2, 0]);
//! ```
//!
//! The entries are in a structure that suits the policy: in [`list::Lists`], that is queues, in a
//! [`priority::PriorityQueue`], or in one of the author's own ([`Entries`]). Of the stock policies `fifo`, `clock`,
//! `lfu`, `ttl` and `random` are written in this way.
//!
//! The long way is [`Eviction`] itself, for a policy that makes room in its own way. It, too, is told of one event at a
//! time; [`pack`], [`unpack`] and [`advance`] see to the batches of packed words in which events cross the boundary. A
//! policy of either kind may use what is in this module: [`ghosts`], a [`sketch`], [`random`] numbers, and
//! [`knowledge`], [`heirlooms`] and [`places`] for what it hands over to the policy that replaces it.

#[doc(hidden)]
pub mod entries;
pub mod ghosts;
pub mod heap;
pub mod heirlooms;
pub mod knowledge;
pub mod list;
#[doc(hidden)]
pub mod packed;
pub mod places;
pub mod priority;
pub mod random;
mod replacement;
mod shard;
pub mod sketch;
pub mod table;

pub use entries::Entries;
#[doc(hidden)]
pub use knowledge::Knowledge;
pub use packed::{Event, pack, unpack};
pub use replacement::Replacement;
pub use shard::Shard;

/// The expiry of an entry that never expires.
pub const NEVER_MS: u64 = u64::MAX;

/// A policy of one shard: it orders the resident entries and says which are to leave.
///
/// Most policies are shorter as a [`Replacement`], of which a [`Shard`] makes an `Eviction`. A policy that implements
/// this trait itself keeps the weights and the bound on its own.
///
/// Entries are named by slot. A policy ignores events of slots that it doesn't hold (it evicted them earlier in the
/// same batch), and takes an arrival in a slot that it does hold as the replacement of the slot's entry.
pub trait Eviction: Sized {
    /// Takes the settings (JSON, or an empty text), the shard's capacity and a seed for everything random.
    ///
    /// # Errors
    /// A sentence that names the setting that is wrong.
    fn configure(settings: &str, capacity_bytes: u64, seed: u64) -> Result<Self, String>;

    /// The entry was read.
    fn touched(&mut self, now_ms: u64, slot: u32);

    /// The entries were read one after the other. The same as [`Eviction::touched`] for each, for a policy that saves
    /// work where it is told of several reads at once.
    #[inline]
    fn touched_in_turn(&mut self, now_ms: u64, slots: impl ExactSizeIterator<Item = u32>) {
        slots.for_each(|slot| self.touched(now_ms, slot));
    }

    /// The entry is new. The policy makes room before it takes the entry in, so that the sum of weights never exceeds
    /// the capacity. The arrival itself may be among the victims: it is not admitted then.
    fn arrived(&mut self, now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>);

    /// The entry has another weight or expiry now. Where the weights then exceed the capacity, entries have to leave.
    fn changed(&mut self, now_ms: u64, slot: u32, weight_bytes: u64, expires_ms: u64, victims: &mut Vec<u32>);

    /// The host removed the entry.
    fn departed(&mut self, slot: u32, reason: Departure);

    /// Evicts entries worth at least `bytes` together, or all entries.
    fn reclaim(&mut self, now_ms: u64, bytes: u64, victims: &mut Vec<u32>);

    /// Up to `limit` slots in the order in which they would be evicted, coldest first, from behind `after` or from the
    /// coldest. An approximation is good enough where the true order depends on what happens next.
    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32>;

    /// What the policy has learnt beside the order of its entries, for the policy that replaces it: often another
    /// instance of itself, with other settings or another capacity. Changes nothing. What exceeds the bound of a
    /// hand-over is cut off, first of all the ghosts that left first.
    fn hand_over(&self) -> Knowledge {
        Knowledge::default()
    }

    /// Takes in what the replaced policy has learnt. Called before the first event, if at all. Nobody vouches for the
    /// content of `knowledge`. The entries follow as arrivals with their ranks.
    fn take_over(&mut self, _knowledge: &Knowledge) {}
}

/// A new entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The number that names the entry for as long as it is resident.
    pub slot: u32,
    /// Hash of the cache key: the same each time the same key arrives.
    pub key_hash: u64,
    /// The entry's weight, the host's overhead included.
    pub weight_bytes: u64,
    /// How long the fetch took, in microseconds.
    pub fetch_cost_us: u64,
    /// The end of the freshness lifetime in milliseconds since 1970, or [`NEVER_MS`].
    pub expires_ms: u64,
    /// 0 for a new entry. For an entry that another policy hands over, its place in that policy's order: from 1, the
    /// coldest, to 255.
    pub rank: u8,
    /// How often that policy knew the entry to have been read, up to 255; 0 where it did not count, or the entry is
    /// new.
    pub reads: u8,
}

impl Arrival {
    /// The share of the entries handed over by another policy, the coldest ones, that still have to prove their worth:
    /// for a policy that has no share of its own for newcomers.
    pub const COLD_SHARE: f64 = 0.1;

    /// Whether another policy hands the entry over, and at least this share of all entries that it hands over is
    /// colder: the entry was worth keeping, so it need not prove that again.
    #[inline]
    pub fn is_hotter_than(&self, share: f64) -> bool {
        self.rank > 0 && f64::from(self.rank - 1) >= share * 254.0
    }
}

/// Why the host removed an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Its lifetime was over.
    Expired,
    /// It was purged, or replaced by a newer response.
    Purged,
    /// The host needed the room before the policy could answer.
    Evicted,
}

/// Tells a policy of a batch of packed events and then has it reclaim. A component and a policy that is compiled in
/// both run through this function.
pub fn advance<E: Eviction>(policy: &mut E, now_ms: u64, events: &[u64], reclaim_bytes: u64, victims: &mut Vec<u32>) {
    let mut events = unpack(events);
    loop {
        if events.is_next_touched() {
            events = touch(policy, now_ms, events);
        }
        let Some(event) = events.next() else { break };
        match event {
            Event::Touched { slot } => policy.touched(now_ms, slot),
            Event::Arrived(arrival) => policy.arrived(now_ms, arrival, victims),
            Event::Changed { slot, weight_bytes, expires_ms } => {
                policy.changed(now_ms, slot, weight_bytes, expires_ms, victims);
            }
            Event::Departed { slot, reason } => policy.departed(slot, reason),
        }
    }
    if reclaim_bytes > 0 {
        policy.reclaim(now_ms, reclaim_bytes, victims);
    }
}

/// Takes in the reads up to the next event of another kind. Most events are reads; in a function of its own their loop
/// has the registers to itself, and by eights WebAssembly checks eight times less often whether its time is up.
#[inline(never)]
fn touch<'a, E: Eviction>(policy: &mut E, now_ms: u64, mut events: packed::Events<'a>) -> packed::Events<'a> {
    while let Some(heads) = events.next_if_touched::<8>() {
        policy.touched_in_turn(now_ms, heads.iter().map(|head| packed::slot_of(*head)));
    }
    while let Some([head]) = events.next_if_touched::<1>() {
        policy.touched(now_ms, packed::slot_of(*head));
    }
    events
}
