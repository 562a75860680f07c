//! Where entries were in the lists of the policy that leaves, for a successor that has the same lists.
//!
//! As the entries are handed over in the order of [`Lists::order`], each list gets its old order by pushing them.

use super::Arrival;
use super::knowledge::{Reader, Writer};
use super::list::Lists;

/// The list and the mark of each slot: two bytes, until the first entry arrives that is new.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By slot, a list's number plus one (0 where the slot is unknown) and a mark.
    places: Vec<(u8, u8)>,
}

impl Places {
    /// Writes down where entries are. Those in very high slots are left out.
    pub fn write<T: Copy + Default>(lists: &Lists<T>, own: &mut Writer) {
        let len = (lists.slots() as usize).min(Self::SLOTS_MAX);
        own.number(len as u64);
        for slot in 0..len as u32 {
            let list = lists.list(slot);
            own.byte(list.map_or(0, |list| list + 1));
            own.byte(list.map_or(0, |_| lists.mark(slot)));
        }
    }

    /// A quarter of what is handed on.
    const SLOTS_MAX: usize = super::knowledge::KNOWLEDGE_BYTES_MAX / 8;

    /// Reads it again. A place in a list that does not exist is none.
    pub fn read(own: &mut Reader<'_>, lists: u8) -> Option<Self> {
        let count = own.count()?;
        let place = |own: &mut Reader<'_>| {
            let (list, mark) = (own.byte()?, own.byte()?);
            Some((if list <= lists { list } else { 0 }, mark))
        };
        let places = (0..count).map(|_| place(own)).collect::<Option<_>>()?;
        Some(Self { places })
    }

    /// The list and the mark that an entry had. With the first one that is new, all are forgotten.
    #[inline]
    pub fn of(&mut self, arrival: &Arrival) -> Option<(u8, u8)> {
        if self.places.is_empty() {
            return None;
        }
        if arrival.rank == 0 {
            self.places = Vec::new();
        }
        let (list, mark) = *self.places.get(arrival.slot as usize)?;
        Some((list.checked_sub(1)?, mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_get_their_places_again_until_a_new_one_comes() {
        let mut lists = Lists::new(2);
        (0..3).for_each(|slot| lists.push((slot % 2) as u8, slot * 2, 1, ()));
        lists.set_mark(2, 9);
        let mut own = Writer::new("form");
        Places::write(&lists, &mut own);
        let own = own.finish();
        let mut places = Places::read(&mut Reader::new(&own, "form").unwrap(), 2).unwrap();
        let arrival = |slot, rank| Arrival { slot, rank, ..Arrival::default() };
        let found: Vec<_> = (0..6).map(|slot| places.of(&arrival(slot, 1))).collect();
        assert_eq!(found, [Some((0, 0)), None, Some((1, 9)), None, Some((0, 0)), None]);
        assert_eq!(places.of(&arrival(2, 0)), None);
        assert_eq!(places.of(&arrival(2, 1)), None);
        let mut fewer = Places::read(&mut Reader::new(&own, "form").unwrap(), 1).unwrap();
        assert_eq!(fewer.of(&arrival(2, 1)), None, "no such list");
    }
}
