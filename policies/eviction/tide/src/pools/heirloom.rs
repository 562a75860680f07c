//! What is handed on of a cache's pools to a policy that takes over.

use sandbar_guest::eviction::knowledge::{Reader, Writer};

use super::{POOLS, Pools};
use crate::view::View;

/// Where an entry was and what was known of it. A pool's entries are handed on in its order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heirloom {
    pool: u8,
    reads: u8,
    /// As in `Kept`.
    read: u32,
    read_request: u32,
}

/// More has not been evicted by anyone, in bytes.
const EVICTED_BYTES_MAX: u64 = 1 << 60;

impl<K: Copy + Default> Pools<K> {
    /// Writes down all but the entries.
    pub(crate) fn write(&self, own: &mut Writer) {
        [self.clock, self.requests, self.haste_len].into_iter().for_each(|number| own.number(number));
        own.number(self.evicted_bytes);
        own.number(self.fronts.pools().len() as u64);
        self.fronts.pools().for_each(|pool| own.byte(pool));
    }

    /// Pools without entries, as far as they were written.
    pub(crate) fn read_under(view: &View, own: &mut Reader<'_>) -> Option<Self> {
        let mut pools = Self::new(view);
        (pools.clock, pools.requests) = (own.short()?, own.short()?);
        pools.take_view_for(view, own.short()?);
        pools.evicted_bytes = own.number()?.min(EVICTED_BYTES_MAX);
        for _ in 0..own.count()? {
            let pool = own.byte().filter(|pool| *pool < POOLS)?;
            pools.fronts.reserve(pool);
        }
        Some(pools)
    }

    /// Writes down what is known of a slot's entry, or that there is none.
    pub(crate) fn write_entry(&self, slot: u32, own: &mut Writer) {
        let Some(pool) = self.lists.list(slot) else { return own.byte(POOLS) };
        own.byte(pool);
        own.byte(self.lists.mark(slot));
        let kept = self.lists.value(slot);
        own.number(self.clock.wrapping_sub(kept.read));
        own.number(self.requests.wrapping_sub(kept.read_request));
    }

    /// What was known of an entry; none where there was none.
    pub(crate) fn read_entry(&self, own: &mut Reader<'_>) -> Option<Option<Heirloom>> {
        let pool = own.byte()?;
        if pool >= POOLS {
            return Some(None);
        }
        let reads = own.byte()?;
        let read = self.clock.wrapping_sub(own.short()?);
        let read_request = self.requests.wrapping_sub(own.short()?);
        Some(Some(Heirloom { pool, reads, read, read_request }))
    }

    /// Takes an entry in that is handed on, as the hottest of its pool.
    pub(crate) fn inherit(&mut self, slot: u32, weight_bytes: u64, heirloom: Heirloom, key: K) {
        let Heirloom { pool, reads, read, read_request } = heirloom;
        self.unread.count_in(pool, weight_bytes);
        self.lists.push(pool, slot, weight_bytes, super::Kept { key, read, read_request });
        self.lists.set_mark(slot, reads);
        self.note_pool(pool, slot);
    }

    /// All entries, each pool's from its cold end.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        let pool = |pool| std::iter::successors(self.lists.coldest(pool), |slot| self.lists.hotter(*slot));
        (0..POOLS).flat_map(pool)
    }

    /// One more than the highest slot that was ever used.
    pub(crate) fn slots_used(&self) -> u32 {
        self.lists.slots()
    }

    /// An entry's weight.
    pub(crate) fn weight(&self, slot: u32) -> u64 {
        self.lists.weight(slot)
    }

    /// How often each entry was read, by slot.
    pub(crate) fn all_reads(&self) -> Vec<u8> {
        self.lists.marks()
    }

    /// What [`Self::ages`] was made from.
    pub(crate) fn at_age(&self, age: u32, bytes: u64) -> (u32, u64) {
        (self.clock.wrapping_sub(age), self.evicted_bytes.saturating_sub(bytes))
    }

    /// How long ago a ghost was read, in evictions, and left, in bytes that were evicted.
    pub(crate) fn ages(&self, read: u32, evicted_bytes: u64) -> (u32, u64) {
        (self.clock.wrapping_sub(read), self.evicted_bytes.saturating_sub(evicted_bytes))
    }
}
