//! Where entries were in the lists of the replaced policy, for a successor that has the same lists.
//!
//! The entries are handed over in the order of [`Lists::order`]; pushed one by one, they give each list its old order.

use super::heirlooms::Heirlooms;
use super::knowledge::{Knowledge, Reader, Writer};
use super::list::Lists;

/// The list and the mark of an entry.
pub type Place = (u8, u8);

/// The places of the entries that are handed over.
pub type Places = Heirlooms<Place>;

/// Slots whose places are written: with two bytes each, a quarter of what may be handed on.
const SLOTS_MAX: usize = super::knowledge::KNOWLEDGE_BYTES_MAX / 8;

impl Places {
    /// The places in private knowledge that begins with them, behind the name of the `form`; empty where that is of
    /// another form or can't be read.
    pub fn handed_over(knowledge: &Knowledge, form: &str, lists: u8) -> Self {
        let places = Reader::new(&knowledge.private, form).and_then(|mut own| Self::read(&mut own, lists));
        places.unwrap_or_default()
    }

    /// Writes where entries are: two bytes for each slot, a list's number plus one (0 where no entry is in the slot)
    /// and a mark. Entries in very high slots are left out.
    pub fn write<T: Copy + Default>(lists: &Lists<T>, own: &mut Writer) {
        let len = (lists.slots() as usize).min(SLOTS_MAX);
        own.number(len as u64);
        for slot in 0..len as u32 {
            let list = lists.list(slot);
            own.byte(list.map_or(0, |list| list + 1));
            own.byte(list.map_or(0, |_| lists.mark(slot)));
        }
    }

    /// Reads places that were written. A place in a list that does not exist is none.
    pub fn read(own: &mut Reader<'_>, lists: u8) -> Option<Self> {
        let count = own.count()?;
        let place = |own: &mut Reader<'_>| {
            let (list, mark) = (own.byte()?, own.byte()?);
            Some(list.checked_sub(1).filter(|list| *list < lists).map(|list| (list, mark)))
        };
        (0..count).map(|_| place(own)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arrival;
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
