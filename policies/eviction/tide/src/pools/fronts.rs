//! The coldest entry of each pool that has entries, side by side: whoever looks for a victim goes over all of them.

use super::{ByPool, POOLS};

/// No front: the pool is empty.
const NOWHERE: u8 = u8::MAX;

/// The fronts of all pools in use, in the order in which they came into use but for gaps that were filled.
#[derive(Debug)]
pub(super) struct Fronts {
    fronts: Vec<Front>,
    /// Where each pool's is.
    places: ByPool<u8>,
    haste: ByPool<f32>,
}

/// A pool and its coldest entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    /// When the entry was read, on the clock of evictions.
    pub read: u32,
    /// 0 as long as there is no entry.
    haste: f32,
    pub slot: u32,
    pub pool: u8,
}

impl Fronts {
    /// Of empty pools.
    pub(super) fn new(haste: ByPool<f32>) -> Self {
        Self { fronts: vec![], places: Box::new([NOWHERE; 256]), haste }
    }

    /// One over the reach of each pool.
    pub(super) fn set_haste(&mut self, haste: ByPool<f32>) {
        self.haste = haste;
        let with_entries = self.fronts.iter_mut().filter(|front| front.haste > 0.0);
        with_entries.for_each(|front| front.haste = self.haste[usize::from(front.pool)]);
    }

    /// Keeps a place for a pool that has no entries yet.
    pub(super) fn reserve(&mut self, pool: u8) {
        if pool < POOLS && self.places[usize::from(pool)] == NOWHERE {
            self.add(Front { read: 0, haste: 0.0, slot: 0, pool });
        }
    }

    /// A pool has another coldest entry.
    #[inline]
    pub(super) fn set(&mut self, pool: u8, slot: u32, read: u32) {
        let front = Front { read, haste: self.haste[usize::from(pool)], slot, pool };
        match self.fronts.get_mut(usize::from(self.places[usize::from(pool)])) {
            Some(place) => *place = front,
            None => self.add(front),
        }
    }

    fn add(&mut self, front: Front) {
        self.places[usize::from(front.pool)] = self.fronts.len() as u8;
        self.fronts.push(front);
    }

    /// A pool has become empty.
    pub(super) fn clear(&mut self, pool: u8) {
        let place = std::mem::replace(&mut self.places[usize::from(pool)], NOWHERE);
        if usize::from(place) < self.fronts.len() {
            self.fronts.swap_remove(usize::from(place));
            if let Some(moved) = self.fronts.get(usize::from(place)) {
                self.places[usize::from(moved.pool)] = place;
            }
        }
    }

    /// The entry that has waited longest for its pool.
    #[inline]
    pub(super) fn most_overdue(&self, clock: u32) -> Option<u32> {
        let (mut most, mut found) = (0.0, None);
        for front in &self.fronts {
            let overdue = overdue(clock, front.read, front.haste);
            if overdue > most {
                (most, found) = (overdue, Some(front.slot));
            }
        }
        found
    }

    /// How overdue an entry of a pool is that was read at that time.
    #[inline]
    pub(super) fn overdue(&self, clock: u32, read: u32, pool: u8) -> f32 {
        overdue(clock, read, self.haste[usize::from(pool)])
    }

    /// Those of pools with entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Front> {
        self.fronts.iter().filter(|front| front.haste > 0.0)
    }

    /// All pools that have a place, in their order.
    pub(super) fn pools(&self) -> impl ExactSizeIterator<Item = u8> {
        self.fronts.iter().map(|front| front.pool)
    }
}

#[inline]
fn overdue(clock: u32, read: u32, haste: f32) -> f32 {
    (clock.wrapping_sub(read) as f32 + 1.0) * haste
}
