//! Entries in no order of their own, of which the nth is found at once.

use sandbar_guest::eviction::Entries;

const NIL: u32 = u32::MAX;

/// Resident entries without gaps between them.
#[derive(Debug, Default)]
pub struct Bag {
    /// Slots and weights.
    entries: Vec<(u32, u64)>,
    /// Where in `entries` a slot is.
    places: Vec<u32>,
    total_bytes: u64,
}

impl Bag {
    /// Takes a new entry in, in a slot that is free.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, weight_bytes: u64) {
        if slot as usize >= self.places.len() {
            self.places.resize(slot as usize + 1, NIL);
        }
        self.places[slot as usize] = self.entries.len() as u32;
        self.entries.push((slot, weight_bytes));
        self.total_bytes += weight_bytes;
    }

    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The entry at a place; none where there are not so many entries.
    #[inline]
    pub(crate) fn slot_at(&self, place: usize) -> Option<u32> {
        self.entries.get(place).map(|(slot, _)| *slot)
    }

    #[inline]
    fn place(&self, slot: u32) -> Option<usize> {
        let place = *self.places.get(slot as usize)?;
        (place != NIL).then_some(place as usize)
    }
}

/// The order is that of the places: any order is as good as another.
impl Entries for Bag {
    #[inline]
    fn contains(&self, slot: u32) -> bool {
        self.place(slot).is_some()
    }

    #[inline]
    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn set_weight(&mut self, slot: u32, weight_bytes: u64) {
        let Some(place) = self.place(slot) else { return };
        let weight = &mut self.entries[place].1;
        self.total_bytes = self.total_bytes - *weight + weight_bytes;
        *weight = weight_bytes;
    }

    #[inline]
    fn remove(&mut self, slot: u32) -> bool {
        let Some(place) = self.place(slot) else { return false };
        let (_, weight_bytes) = self.entries.swap_remove(place);
        self.total_bytes -= weight_bytes;
        self.places[slot as usize] = NIL;
        if let Some((moved, _)) = self.entries.get(place) {
            self.places[*moved as usize] = place as u32;
        }
        true
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        let start = match after.map(|slot| self.place(slot)) {
            None => 0,
            Some(Some(place)) => place + 1,
            Some(None) => return vec![],
        };
        self.entries[start..].iter().take(limit as usize).map(|(slot, _)| *slot).collect()
    }
}
