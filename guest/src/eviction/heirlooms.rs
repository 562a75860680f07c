//! What a predecessor of the same kind knew of each entry that it hands over, kept until these entries have arrived.

use super::Arrival;

/// A predecessor's values by slot, kept until the first new entry arrives.
#[derive(Clone, Debug)]
pub struct Heirlooms<T> {
    by_slot: Vec<Option<T>>,
}

impl<T: Copy> Heirlooms<T> {
    /// What the predecessor knew of an entry that arrives. With the first new entry, everything is forgotten.
    #[inline]
    pub fn of(&mut self, arrival: &Arrival) -> Option<T> {
        if self.by_slot.is_empty() {
            return None;
        }
        if arrival.rank == 0 {
            self.by_slot = Vec::new();
        }
        *self.by_slot.get(arrival.slot as usize)?
    }
}

impl<T> Default for Heirlooms<T> {
    fn default() -> Self {
        Self { by_slot: Vec::new() }
    }
}

impl<T> FromIterator<Option<T>> for Heirlooms<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(by_slot: I) -> Self {
        Self { by_slot: by_slot.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_kept_until_a_new_entry_arrives() {
        let mut heirlooms: Heirlooms<char> = [Some('a'), None, Some('c')].into_iter().collect();
        let arrival = |slot, rank| Arrival { slot, rank, ..Arrival::default() };
        assert_eq!([2, 1, 0, 7].map(|slot| heirlooms.of(&arrival(slot, 1))), [Some('c'), None, Some('a'), None]);
        assert_eq!(heirlooms.of(&arrival(0, 0)), None);
        assert_eq!(heirlooms.of(&arrival(2, 1)), None);
    }
}
