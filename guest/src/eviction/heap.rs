//! Resident entries by a key, smallest first: an indexed binary heap.
//!
//! For policies whose order isn't that of a queue. O(log n) per change; 4 bytes for a slot, and for each entry 4 and
//! the key.

const NIL: u32 = u32::MAX;

/// Slots with their keys. Keys that differ for all entries (a sequence number in them, say) make the order a total one.
#[derive(Clone, Debug)]
pub struct Heap<K> {
    entries: Vec<(K, u32)>,
    /// Where in `entries` a slot is.
    places: Vec<u32>,
}

impl<K: Ord + Copy> Default for Heap<K> {
    fn default() -> Self {
        Self { entries: vec![], places: vec![] }
    }
}

impl<K: Ord + Copy> Heap<K> {
    /// Takes a slot in, or gives it another key.
    pub fn set(&mut self, slot: u32, key: K) {
        if slot as usize >= self.places.len() {
            self.places.resize(slot as usize + 1, NIL);
        }
        let place = match self.places[slot as usize] {
            NIL => {
                self.entries.push((key, slot));
                self.entries.len() - 1
            }
            place => {
                self.entries[place as usize].0 = key;
                place as usize
            }
        };
        let place = self.sift_up(place);
        self.sift_down(place);
    }

    /// Takes a slot out and answers with its key; none where it is not resident.
    pub fn remove(&mut self, slot: u32) -> Option<K> {
        let place = self.place(slot)?;
        let (key, _) = self.entries.swap_remove(place);
        self.places[slot as usize] = NIL;
        if place < self.entries.len() {
            let place = self.sift_up(place);
            self.sift_down(place);
        }
        Some(key)
    }

    /// The slot with the smallest key.
    #[inline]
    pub fn min(&self) -> Option<(u32, K)> {
        self.entries.first().map(|&(key, slot)| (slot, key))
    }

    /// Whether the slot is resident.
    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.place(slot).is_some()
    }

    /// A slot's key; none where it is not resident.
    #[inline]
    pub fn key(&self, slot: u32) -> Option<K> {
        self.place(slot).map(|place| self.entries[place].0)
    }

    /// The number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Up to `limit` slots, smallest keys first, from behind `after` or from the smallest. O(n + limit log limit).
    pub fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        let behind = match after.map(|slot| (self.key(slot), slot)) {
            None => None,
            Some((Some(key), slot)) => Some((key, slot)),
            Some((None, _)) => return vec![],
        };
        let mut rest: Vec<(K, u32)> =
            self.entries.iter().copied().filter(|entry| behind.is_none_or(|behind| *entry > behind)).collect();
        let limit = limit as usize;
        if limit < rest.len() {
            rest.select_nth_unstable(limit);
            rest.truncate(limit);
        }
        rest.sort_unstable();
        rest.into_iter().map(|(_, slot)| slot).collect()
    }

    #[inline]
    fn place(&self, slot: u32) -> Option<usize> {
        let place = *self.places.get(slot as usize)?;
        (place != NIL).then_some(place as usize)
    }

    fn sift_up(&mut self, mut place: usize) -> usize {
        let entry = self.entries[place];
        while place > 0 && entry < self.entries[(place - 1) / 2] {
            self.put(place, self.entries[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        self.put(place, entry);
        place
    }

    fn sift_down(&mut self, mut place: usize) {
        let entry = self.entries[place];
        loop {
            let mut child = 2 * place + 1;
            if child + 1 < self.entries.len() && self.entries[child + 1] < self.entries[child] {
                child += 1;
            }
            if child >= self.entries.len() || entry <= self.entries[child] {
                break;
            }
            self.put(place, self.entries[child]);
            place = child;
        }
        self.put(place, entry);
    }

    #[inline]
    fn put(&mut self, place: usize, entry: (K, u32)) {
        self.entries[place] = entry;
        self.places[entry.1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_does_what_a_sorted_set_does() {
        let (mut heap, mut plain) = (Heap::default(), BTreeSet::new());
        let mut state = 1u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (slot, key) = ((state >> 58) as u32, state >> 40 & 0xff);
            let old = heap.key(slot);
            old.map(|old| plain.remove(&(old, slot)));
            if state >> 33 & 3 == 0 {
                assert_eq!(heap.remove(slot), old);
            } else {
                heap.set(slot, key);
                plain.insert((key, slot));
            }
            assert_eq!(heap.min(), plain.first().map(|&(key, slot)| (slot, key)));
            assert_eq!(heap.len(), plain.len());
        }
        let sorted: Vec<u32> = plain.iter().map(|entry| entry.1).collect();
        assert_eq!(heap.order(None, 5), sorted[..5]);
        assert_eq!(heap.order(Some(sorted[4]), 1000), sorted[5..]);
    }
}
