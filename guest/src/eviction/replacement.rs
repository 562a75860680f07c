//! The short way to write an eviction policy: what a hit does, where an arrival goes, and which entry is the victim.

use serde::de::DeserializeOwned;

use super::entries::Entries;
use super::{Arrival, Knowledge};

/// A replacement policy: it keeps the resident entries in an order and names the victim. A [`Shard`](super::Shard) makes an
/// [`Eviction`](super::Eviction) of it.
///
/// The shard sees to all that is the same for every policy: it ignores events of entries that are not resident, refuses an
/// arrival that is heavier than the capacity, asks for victims until there is room, and reclaims. The entries are the
/// shard's too, and the policy is handed them with each call: it moves them as it likes, but leaves it to the shard to take
/// them out.
///
/// A policy implements [`Eviction`](super::Eviction) itself where it has to do more than that: to look something up before
/// room is made, to weigh an arrival against its victims, to know the time.
pub trait Replacement: Sized {
    /// The type of the settings; [`NoSettings`](crate::settings::NoSettings) where there is nothing to set.
    type Settings: DeserializeOwned + Default;

    /// The structure that holds the resident entries.
    type Entries: Entries;

    /// The policy of an empty shard, and the structure for its entries. The seed is for everything random.
    ///
    /// # Errors
    /// A sentence that names the setting that is wrong.
    fn configure(settings: Self::Settings, capacity_bytes: u64, seed: u64) -> Result<(Self, Self::Entries), String>;

    /// Takes a new entry in. There is room for it, and its slot is free.
    fn insert(&mut self, entries: &mut Self::Entries, arrival: &Arrival);

    /// A resident entry was read.
    #[inline]
    fn hit(&mut self, _entries: &mut Self::Entries, _slot: u32) {}

    /// The resident entry that leaves next. The shard always evicts it, so the policy may take this call for the
    /// eviction. Where there is none, or it is not resident, the shard stays as full as it is and the host makes room
    /// itself.
    fn victim(&mut self, entries: &mut Self::Entries) -> Option<u32>;

    /// A resident entry is about to be taken out: as a victim, by the host, or for another entry that arrives in its
    /// slot.
    #[inline]
    fn leaving(&mut self, _entries: &mut Self::Entries, _slot: u32) {}

    /// A resident entry has got another weight, which is set in `entries` already, and this expiry, in milliseconds
    /// since 1970 or [`NEVER_MS`](super::NEVER_MS).
    #[inline]
    fn changed(&mut self, _entries: &mut Self::Entries, _slot: u32, _expires_ms: u64) {}

    /// As [`Eviction::order`](super::Eviction::order). The default is the order of `entries`; a policy that finds its
    /// victims in another order gives that one.
    fn order(&self, entries: &Self::Entries, after: Option<u32>, limit: u32) -> Vec<u32> {
        entries.order(after, limit)
    }

    /// As [`Eviction::hand_over`](super::Eviction::hand_over). By default nothing is handed over.
    fn hand_over(&self, _entries: &Self::Entries) -> Knowledge {
        Knowledge::default()
    }

    /// As [`Eviction::take_over`](super::Eviction::take_over). By default nothing is taken over.
    fn take_over(&mut self, _knowledge: &Knowledge) {}
}
