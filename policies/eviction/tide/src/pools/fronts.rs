//! The coldest entry of each pool that has entries, side by side: whoever looks for a victim goes over all of them.

use super::ByPool;

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
        if self.places[usize::from(pool)] == NOWHERE {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fronts(haste: &[(u8, f32)]) -> Fronts {
        let mut of_pool = Box::new([1.0; 256]);
        haste.iter().for_each(|(pool, haste)| of_pool[usize::from(*pool)] = *haste);
        Fronts::new(of_pool)
    }

    #[test]
    fn age_and_haste_decide() {
        let mut fronts = fronts(&[(3, 0.5), (9, 4.0)]);
        assert_eq!(fronts.most_overdue(100), None);
        fronts.set(3, 30, 10);
        fronts.set(5, 50, 60);
        fronts.set(9, 90, 95);
        // 45.5, 41 and 24.
        assert_eq!(fronts.most_overdue(100), Some(30));
        fronts.set(3, 31, 20);
        assert_eq!(fronts.most_overdue(100), Some(50));
        fronts.clear(5);
        assert_eq!(fronts.most_overdue(100), Some(31));
        fronts.set_haste(Box::new([1.0; 256]));
        fronts.set(9, 90, 5);
        assert_eq!(fronts.most_overdue(100), Some(90));
        assert_eq!(fronts.pools().collect::<Vec<_>>(), [3, 9]);
    }

    #[test]
    fn a_place_that_is_kept_for_a_pool_has_no_entry() {
        let mut fronts = fronts(&[]);
        [4, 2, 4].into_iter().for_each(|pool| fronts.reserve(pool));
        assert_eq!((fronts.pools().len(), fronts.iter().count(), fronts.most_overdue(9)), (2, 0, None));
        fronts.set_haste(Box::new([2.0; 256]));
        assert_eq!(fronts.most_overdue(9), None);
        fronts.set(2, 7, 1);
        assert_eq!((fronts.pools().collect::<Vec<_>>(), fronts.most_overdue(9)), (vec![4, 2], Some(7)));
        fronts.clear(4);
        fronts.clear(4);
        assert_eq!((fronts.pools().len(), fronts.most_overdue(9)), (1, Some(7)));
    }
}
