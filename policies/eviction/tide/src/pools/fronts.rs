//! The coldest entry of each pool that has entries, side by side: whoever looks for a victim goes over all of them.

use super::ByPool;

/// No front: the pool is empty.
const NOWHERE: u8 = u8::MAX;

/// Fronts that are compared at once, where the processor can.
const LANES: usize = 4;

/// The fronts of all pools in use, in the order in which they came into use but for gaps that were filled.
#[derive(Debug)]
pub(super) struct Fronts {
    /// Places in use: the first ones of the tables by place.
    len: u8,
    tables: Box<Tables>,
}

/// A place is below 250 as a pool is.
#[derive(Debug)]
struct Tables {
    /// By place: when the entry was read, on the clock of evictions.
    reads: ByPool<u32>,
    /// By place: one over the reach of its pool; 0 as long as there is no entry, and where no place is in use.
    hastes: ByPool<f32>,
    /// By place: the entry.
    slots: ByPool<u32>,
    /// By place: the pool.
    pools: ByPool<u8>,
    /// By pool: its place.
    place_of: ByPool<u8>,
    /// By pool: one over its reach.
    haste_of: ByPool<f32>,
}

/// A pool that has entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    /// When the coldest one was read, on the clock of evictions.
    pub read: u32,
    pub pool: u8,
}

impl Fronts {
    /// Of empty pools.
    pub(super) fn new(haste: &ByPool<f32>) -> Self {
        let tables = Tables {
            reads: [0; 256],
            hastes: [0.0; 256],
            slots: [0; 256],
            pools: [0; 256],
            place_of: [NOWHERE; 256],
            haste_of: *haste,
        };
        Self { len: 0, tables: Box::new(tables) }
    }

    /// One over the reach of each pool.
    pub(super) fn set_haste(&mut self, haste: &ByPool<f32>) {
        let tables = &mut *self.tables;
        tables.haste_of = *haste;
        for (pool, haste) in tables.pools.iter().zip(&mut tables.hastes).filter(|(_, haste)| **haste > 0.0) {
            *haste = tables.haste_of[usize::from(*pool)];
        }
    }

    /// Keeps a place for a pool that has no entries yet.
    pub(super) fn reserve(&mut self, pool: u8) {
        if self.tables.place_of[usize::from(pool)] == NOWHERE {
            self.add(pool);
        }
    }

    /// A pool has another coldest entry.
    #[inline]
    pub(super) fn set(&mut self, pool: u8, slot: u32, read: u32) {
        let mut place = self.tables.place_of[usize::from(pool)];
        if place == NOWHERE {
            place = self.add(pool);
        }
        let (tables, place) = (&mut *self.tables, usize::from(place));
        tables.reads[place] = read;
        tables.hastes[place] = tables.haste_of[usize::from(pool)];
        tables.slots[place] = slot;
    }

    /// There are no more than 250 pools.
    #[inline]
    fn add(&mut self, pool: u8) -> u8 {
        let place = self.len;
        self.tables.place_of[usize::from(pool)] = place;
        self.tables.pools[usize::from(place)] = pool;
        self.len += 1;
        place
    }

    /// A pool has become empty.
    #[inline]
    pub(super) fn clear(&mut self, pool: u8) {
        let tables = &mut *self.tables;
        let place = std::mem::replace(&mut tables.place_of[usize::from(pool)], NOWHERE);
        if place == NOWHERE {
            return;
        }
        self.len -= 1;
        let (to, last) = (usize::from(place), usize::from(self.len));
        if to != last {
            tables.place_of[usize::from(tables.pools[last])] = place;
            tables.pools[to] = tables.pools[last];
            tables.slots[to] = tables.slots[last];
            tables.reads[to] = tables.reads[last];
            tables.hastes[to] = tables.hastes[last];
        }
        tables.hastes[last] = 0.0;
    }

    /// The entry that has waited longest for its pool; of several, the one of the first place.
    #[inline]
    pub(super) fn most_overdue(&self, clock: u32) -> Option<u32> {
        let (mut most, mut at) = ([0.0; LANES], [0; LANES]);
        let in_use = usize::from(self.len).div_ceil(LANES);
        let (reads, hastes) = (self.tables.reads.as_chunks::<LANES>().0, self.tables.hastes.as_chunks::<LANES>().0);
        for (number, (reads, hastes)) in (0_u32..).zip(reads[..in_use].iter().zip(&hastes[..in_use])) {
            for lane in 0..LANES {
                let overdue = overdue(clock, reads[lane], hastes[lane]);
                let is_more = overdue > most[lane];
                most[lane] = if is_more { overdue } else { most[lane] };
                at[lane] = if is_more { number } else { at[lane] };
            }
        }
        let (mut most_of_all, mut first) = (0.0, u32::MAX);
        for lane in 0..LANES {
            let place = at[lane] * LANES as u32 + lane as u32;
            if most[lane] > most_of_all || most[lane] == most_of_all && place < first {
                (most_of_all, first) = (most[lane], place);
            }
        }
        (most_of_all > 0.0).then(|| self.tables.slots[first as usize % 256])
    }

    /// How overdue an entry of a pool is that was read at that time.
    #[inline]
    pub(super) fn overdue(&self, clock: u32, read: u32, pool: u8) -> f32 {
        overdue(clock, read, self.tables.haste_of[usize::from(pool)])
    }

    /// Those of pools with entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = Front> {
        let Tables { reads, hastes, .. } = &*self.tables;
        let with_entries = self.pools().zip(reads.iter().zip(hastes)).filter(|(_, (_, haste))| **haste > 0.0);
        with_entries.map(|(pool, (read, _))| Front { read: *read, pool })
    }

    /// All pools that have a place, in their order.
    pub(super) fn pools(&self) -> impl ExactSizeIterator<Item = u8> {
        self.tables.pools[..usize::from(self.len)].iter().copied()
    }
}

/// Ages wrap at 2^31: processors turn signed numbers into floats, four at once.
#[inline]
fn overdue(clock: u32, read: u32, haste: f32) -> f32 {
    let age = clock.wrapping_sub(read) & i32::MAX as u32;
    (age as i32 as f32 + 1.0) * haste
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fronts(haste: &[(u8, f32)]) -> Fronts {
        let mut of_pool = [1.0; 256];
        haste.iter().for_each(|(pool, haste)| of_pool[usize::from(*pool)] = *haste);
        Fronts::new(&of_pool)
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
        fronts.set_haste(&[1.0; 256]);
        fronts.set(9, 90, 5);
        assert_eq!(fronts.most_overdue(100), Some(90));
        assert_eq!(fronts.pools().collect::<Vec<_>>(), [3, 9]);
    }

    #[test]
    fn of_many_pools_the_most_overdue_in_the_first_place_is_found() {
        let haste: Vec<(u8, f32)> = (0..250).map(|pool| (pool, f32::from(1 + pool % 3))).collect();
        let mut fronts = fronts(&haste);
        let mut plain: Vec<(u8, u32)> = vec![];
        let mut state = 1_u64;
        for turn in 0..20_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few pools now and then, and many ties.
            let pools = if turn / 1_000 % 2 == 0 { 250 } else { 12 };
            let (pool, read) = ((state >> 40) as u32 % pools, 900 + (state >> 33) as u32 % 7);
            let found = plain.iter().position(|front| u32::from(front.0) == pool);
            match (found, state >> 60) {
                (Some(at), 0..9) => {
                    plain.swap_remove(at);
                    fronts.clear(pool as u8);
                }
                (Some(at), _) => plain[at].1 = read,
                (None, _) => plain.push((pool as u8, read)),
            }
            plain
                .iter()
                .filter(|front| u32::from(front.0) == pool)
                .for_each(|front| fronts.set(front.0, pool, front.1));
            let overdue = |front: &(u8, u32)| (1_000 - front.1 + 1) as f32 * haste[usize::from(front.0)].1;
            let first = plain.iter().rev().max_by(|a, b| overdue(a).total_cmp(&overdue(b)));
            assert_eq!(fronts.most_overdue(1_000), first.map(|front| u32::from(front.0)), "{turn}");
            assert_eq!(fronts.iter().map(|front| (front.pool, front.read)).collect::<Vec<_>>(), plain);
        }
    }

    #[test]
    fn a_place_that_is_kept_for_a_pool_has_no_entry() {
        let mut fronts = fronts(&[]);
        [4, 2, 4].into_iter().for_each(|pool| fronts.reserve(pool));
        assert_eq!((fronts.pools().len(), fronts.iter().count(), fronts.most_overdue(9)), (2, 0, None));
        fronts.set_haste(&[2.0; 256]);
        assert_eq!(fronts.most_overdue(9), None);
        fronts.set(2, 7, 1);
        assert_eq!((fronts.pools().collect::<Vec<_>>(), fronts.most_overdue(9)), (vec![4, 2], Some(7)));
        fronts.clear(4);
        fronts.clear(4);
        assert_eq!((fronts.pools().len(), fronts.most_overdue(9)), (1, Some(7)));
    }
}
