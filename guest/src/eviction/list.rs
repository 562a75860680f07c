//! Queues of resident entries: doubly linked lists through one vector that is indexed by slot.
//!
//! An entry is in at most one of a policy's lists. Everything is O(1) and costs no allocation per entry: 16 bytes for a
//! slot, plus what the policy keeps with it.

/// No slot.
const NIL: u32 = u32::MAX;
/// The list number of a slot that is not resident.
const ABSENT: u8 = u8::MAX;
/// Bits of a weight, which is at most 256 TiB. The rest of its word holds the list number and the mark.
const WEIGHT_BITS: u32 = 48;
const WEIGHT_MAX: u64 = (1 << WEIGHT_BITS) - 1;

/// A policy's lists, numbered from 0 in the order in which [`Lists::order`] walks them, with a `T` for each entry.
#[derive(Clone, Debug)]
pub struct Lists<T = ()> {
    nodes: Vec<Node<T>>,
    lists: Box<[List]>,
    total_len: u32,
    total_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node<T> {
    colder: u32,
    hotter: u32,
    /// 48 bits of weight, 8 bits of list number, 8 bits of mark.
    word: u64,
    value: T,
}

#[derive(Clone, Copy, Debug)]
struct List {
    coldest: u32,
    hottest: u32,
    len: u32,
    bytes: u64,
}

/// What is known of an entry that left its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed<T> {
    /// The list that the entry was in.
    pub list: u8,
    /// The entry's weight.
    pub weight_bytes: u64,
    /// What the policy kept with the entry.
    pub value: T,
}

impl<T: Copy + Default> Lists<T> {
    /// `count` empty lists.
    ///
    /// # Panics
    /// If `count` is 255 or more.
    pub fn new(count: u8) -> Self {
        assert!(count < ABSENT, "at most 254 lists");
        let list = List { coldest: NIL, hottest: NIL, len: 0, bytes: 0 };
        Self { nodes: Vec::new(), lists: vec![list; usize::from(count)].into(), total_len: 0, total_bytes: 0 }
    }

    /// Takes a new entry in at the hot end of `list`, with its mark at 0. An entry that was in the slot is forgotten.
    #[inline]
    pub fn push(&mut self, list: u8, slot: u32, weight_bytes: u64, value: T) {
        if slot as usize >= self.nodes.len() {
            self.grow(slot);
        } else if self.contains(slot) {
            self.remove(slot);
        }
        let node = &mut self.nodes[slot as usize];
        node.word = weight_bytes.min(WEIGHT_MAX) | u64::from(list) << WEIGHT_BITS;
        node.value = value;
        let weight_bytes = node.weight();
        self.total_len += 1;
        self.total_bytes += weight_bytes;
        self.lists[usize::from(list)].count_in(weight_bytes);
        self.link_after(list, slot, self.lists[usize::from(list)].hottest);
    }

    #[cold]
    fn grow(&mut self, slot: u32) {
        let absent = Node { colder: NIL, hotter: NIL, word: u64::from(ABSENT) << WEIGHT_BITS, value: T::default() };
        self.nodes.resize(slot as usize + 1, absent);
    }

    /// Takes an entry out and answers with what is known of it; none where it is not resident.
    #[inline]
    pub fn remove(&mut self, slot: u32) -> Option<Removed<T>> {
        let list = self.list(slot)?;
        self.unlink(list, slot);
        let node = &mut self.nodes[slot as usize];
        let weight_bytes = node.weight();
        node.word = u64::from(ABSENT) << WEIGHT_BITS;
        let value = node.value;
        self.total_len -= 1;
        self.total_bytes -= weight_bytes;
        self.lists[usize::from(list)].count_out(weight_bytes);
        Some(Removed { list, weight_bytes, value })
    }

    /// Moves an entry to the hot end of `list`, which may be the one it is in.
    #[inline]
    pub fn move_to(&mut self, list: u8, slot: u32) {
        if self.lists[usize::from(list)].hottest != slot {
            self.move_after(list, slot, self.lists[usize::from(list)].hottest);
        }
    }

    /// Moves an entry into `list`, right on the hot side of `anchor`, or to the cold end where that is none.
    #[inline]
    pub fn place_after(&mut self, list: u8, slot: u32, anchor: Option<u32>) {
        let anchor = anchor.unwrap_or(NIL);
        if anchor != slot {
            self.move_after(list, slot, anchor);
        }
    }

    /// Moves those of the slots that are resident to the cold end of `list`, in this order.
    pub fn put_first(&mut self, list: u8, slots: &[u32]) {
        for slot in slots.iter().rev() {
            self.place_after(list, *slot, None);
        }
    }

    /// The list that the slot's entry is in; none where it is not resident.
    #[inline]
    pub fn list(&self, slot: u32) -> Option<u8> {
        let list = (self.nodes.get(slot as usize)?.word >> WEIGHT_BITS) as u8;
        (list != ABSENT).then_some(list)
    }

    /// Whether the slot's entry is resident.
    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.list(slot).is_some()
    }

    /// The entry at the cold end.
    #[inline]
    pub fn coldest(&self, list: u8) -> Option<u32> {
        some(self.lists[usize::from(list)].coldest)
    }

    /// The entry at the hot end.
    #[inline]
    pub fn hottest(&self, list: u8) -> Option<u32> {
        some(self.lists[usize::from(list)].hottest)
    }

    /// The resident entry's neighbour on the hot side.
    #[inline]
    pub fn hotter(&self, slot: u32) -> Option<u32> {
        some(self.nodes[slot as usize].hotter)
    }

    /// The resident entry's neighbour on the cold side.
    #[inline]
    pub fn colder(&self, slot: u32) -> Option<u32> {
        some(self.nodes[slot as usize].colder)
    }

    /// The sum of weights in a list.
    #[inline]
    pub fn bytes(&self, list: u8) -> u64 {
        self.lists[usize::from(list)].bytes
    }

    /// The sum of weights in all lists.
    #[inline]
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// The number of entries in a list.
    #[inline]
    pub fn len(&self, list: u8) -> u32 {
        self.lists[usize::from(list)].len
    }

    /// Whether a list has no entry.
    #[inline]
    pub fn is_empty(&self, list: u8) -> bool {
        self.len(list) == 0
    }

    /// The number of entries in all lists.
    #[inline]
    pub fn total_len(&self) -> u32 {
        self.total_len
    }

    /// One more than the highest slot that was ever used.
    pub fn slots(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// A resident entry's weight.
    #[inline]
    pub fn weight(&self, slot: u32) -> u64 {
        self.nodes[slot as usize].weight()
    }

    /// Gives a resident entry another weight.
    pub fn set_weight(&mut self, slot: u32, weight_bytes: u64) {
        let Some(list) = self.list(slot) else { return };
        let node = &mut self.nodes[slot as usize];
        let list = &mut self.lists[usize::from(list)];
        let (old_bytes, new_bytes) = (node.weight(), weight_bytes.min(WEIGHT_MAX));
        node.word = node.word & !WEIGHT_MAX | new_bytes;
        list.bytes = list.bytes - old_bytes + new_bytes;
        self.total_bytes = self.total_bytes - old_bytes + new_bytes;
    }

    /// A resident entry's mark: eight bits for the policy, 0 on arrival, kept by moves.
    #[inline]
    pub fn mark(&self, slot: u32) -> u8 {
        (self.nodes[slot as usize].word >> 56) as u8
    }

    /// All marks by slot; 0 where none is resident.
    pub fn marks(&self) -> Vec<u8> {
        (0..self.slots()).map(|slot| if self.contains(slot) { self.mark(slot) } else { 0 }).collect()
    }

    /// Sets a resident entry's mark.
    #[inline]
    pub fn set_mark(&mut self, slot: u32, mark: u8) {
        let node = &mut self.nodes[slot as usize];
        node.word = node.word & (u64::MAX >> 8) | u64::from(mark) << 56;
    }

    /// What the policy keeps with a resident entry.
    #[inline]
    pub fn value(&self, slot: u32) -> &T {
        &self.nodes[slot as usize].value
    }

    /// What the policy keeps with a resident entry.
    #[inline]
    pub fn value_mut(&mut self, slot: u32) -> &mut T {
        &mut self.nodes[slot as usize].value
    }

    /// Up to `limit` slots, list by list from their cold ends, from behind `after` or from the beginning.
    pub fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        let mut slots = Vec::new();
        let (mut list, mut slot) = match after.map(|slot| (slot, self.list(slot))) {
            None => (0, self.lists.first().map_or(NIL, |list| list.coldest)),
            Some((slot, Some(list))) => (usize::from(list), self.nodes[slot as usize].hotter),
            Some((_, None)) => return slots,
        };
        while slots.len() < limit as usize {
            if slot != NIL {
                slots.push(slot);
                slot = self.nodes[slot as usize].hotter;
            } else {
                list += 1;
                let Some(next) = self.lists.get(list) else { break };
                slot = next.coldest;
            }
        }
        slots
    }

    /// As [`Self::order`], but entries of rank 0 come first, then those of rank 1, and so on up to `rank_max`. `rank`
    /// makes an entry's rank of its list and mark.
    pub fn order_by(&self, after: Option<u32>, limit: u32, rank_max: u8, rank: impl Fn(u8, u8) -> u8) -> Vec<u32> {
        const SLICE: u32 = 256;
        let rank_of = |slot: u32| self.list(slot).map(|list| rank(list, self.mark(slot)));
        let mut slots = Vec::new();
        let (mut place, mut now) = (after, after.map_or(Some(0), rank_of).unwrap_or(u8::MAX));
        while now <= rank_max && slots.len() < limit as usize {
            let slice = self.order(place, SLICE);
            place = slice.last().copied();
            now += u8::from(place.is_none());
            let missing = limit as usize - slots.len();
            slots.extend(slice.into_iter().filter(|slot| rank_of(*slot) == Some(now)).take(missing));
        }
        slots
    }

    #[inline]
    fn move_after(&mut self, to: u8, slot: u32, anchor: u32) {
        let Some(from) = self.list(slot) else { return };
        self.unlink(from, slot);
        if from != to {
            let node = &mut self.nodes[slot as usize];
            node.word = node.word & !(0xff << WEIGHT_BITS) | u64::from(to) << WEIGHT_BITS;
            let weight_bytes = node.weight();
            self.lists[usize::from(from)].count_out(weight_bytes);
            self.lists[usize::from(to)].count_in(weight_bytes);
        }
        self.link_after(to, slot, anchor);
    }

    #[inline]
    fn link_after(&mut self, list: u8, slot: u32, colder: u32) {
        let list = &mut self.lists[usize::from(list)];
        let hotter = if colder == NIL { list.coldest } else { self.nodes[colder as usize].hotter };
        match colder {
            NIL => list.coldest = slot,
            colder => self.nodes[colder as usize].hotter = slot,
        }
        match hotter {
            NIL => list.hottest = slot,
            hotter => self.nodes[hotter as usize].colder = slot,
        }
        let node = &mut self.nodes[slot as usize];
        (node.colder, node.hotter) = (colder, hotter);
    }

    #[inline]
    fn unlink(&mut self, list: u8, slot: u32) {
        let Node { colder, hotter, .. } = self.nodes[slot as usize];
        let list = &mut self.lists[usize::from(list)];
        match colder {
            NIL => list.coldest = hotter,
            colder => self.nodes[colder as usize].hotter = hotter,
        }
        match hotter {
            NIL => list.hottest = colder,
            hotter => self.nodes[hotter as usize].colder = colder,
        }
    }
}

impl List {
    #[inline]
    fn count_in(&mut self, weight_bytes: u64) {
        self.len += 1;
        self.bytes += weight_bytes;
    }

    #[inline]
    fn count_out(&mut self, weight_bytes: u64) {
        self.len -= 1;
        self.bytes -= weight_bytes;
    }
}

impl<T> Node<T> {
    #[inline]
    fn weight(&self) -> u64 {
        self.word & WEIGHT_MAX
    }
}

#[inline]
fn some(slot: u32) -> Option<u32> {
    (slot != NIL).then_some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Lists<char> {
        let mut lists = Lists::new(2);
        lists.push(0, 4, 10, 'a');
        lists.push(0, 2, 20, 'b');
        lists.push(1, 9, 30, 'c');
        lists
    }

    #[test]
    fn entries_move_and_leave() {
        let mut lists = three();
        lists.move_to(0, 4);
        assert_eq!(lists.order(None, 9), [2, 4, 9]);
        lists.move_to(1, 2);
        assert_eq!(lists.order(None, 9), [4, 9, 2]);
        assert_eq!((lists.bytes(0), lists.bytes(1), lists.len(1)), (10, 50, 2));
        assert_eq!(lists.remove(9), Some(Removed { list: 1, weight_bytes: 30, value: 'c' }));
        assert_eq!(lists.remove(9), None);
        assert_eq!((lists.coldest(1), lists.hottest(1), lists.total_len()), (Some(2), Some(2), 2));
        lists.remove(2);
        assert_eq!((lists.coldest(1), lists.bytes(1)), (None, 0));
    }

    #[test]
    fn an_entry_is_placed_behind_another() {
        let mut lists = three();
        lists.place_after(0, 9, Some(4));
        assert_eq!(lists.order(None, 9), [4, 9, 2]);
        lists.place_after(0, 2, None);
        assert_eq!(lists.order(None, 9), [2, 4, 9]);
        lists.place_after(0, 9, Some(9));
        assert_eq!(lists.order(None, 9), [2, 4, 9]);
    }

    #[test]
    fn some_entries_are_put_first() {
        let mut lists = three();
        lists.set_mark(2, 5);
        lists.put_first(0, &[9, 77, 2, 9]);
        assert_eq!(lists.order(None, 9), [9, 2, 4]);
        assert_eq!((lists.slots(), lists.len(0), lists.bytes(0)), (10, 3, 60));
        assert_eq!(lists.marks(), [0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn order_is_read_in_slices() {
        let lists = three();
        assert_eq!(lists.order(None, 2), [4, 2]);
        assert_eq!(lists.order(Some(2), 2), [9]);
        assert!(lists.order(Some(9), 2).is_empty());
        assert!(lists.order(Some(77), 2).is_empty(), "an unknown slot has nothing behind it");
    }

    #[test]
    fn order_by_rank_is_read_in_slices() {
        let mut lists = Lists::new(2);
        (0..1000).for_each(|slot| lists.push((slot % 2) as u8, slot, 1, ()));
        (0..1000).for_each(|slot| lists.set_mark(slot, (slot % 3) as u8));
        let rank = |_, mark: u8| 2 - mark;
        let mut seen: Vec<u32> = vec![];
        while seen.len() < 1000 {
            let slice = lists.order_by(seen.last().copied(), 70, 2, rank);
            assert!(!slice.is_empty());
            seen.extend(slice);
        }
        assert_eq!(seen[..3], [2, 8, 14]);
        assert!(seen.is_sorted_by_key(|slot| (2 - slot % 3, slot % 2, *slot)));
        assert!(lists.order_by(seen.last().copied(), 70, 2, rank).is_empty());
    }

    #[test]
    fn weight_and_mark_are_apart() {
        let mut lists = three();
        lists.set_mark(2, 255);
        lists.set_weight(2, u64::MAX);
        assert_eq!((lists.mark(2), lists.list(2), lists.weight(2)), (255, Some(0), WEIGHT_MAX));
        lists.set_weight(2, 1);
        assert_eq!(lists.bytes(0), 11);
        lists.push(1, 2, 5, 'd');
        assert_eq!((lists.mark(2), lists.bytes(0), lists.bytes(1)), (0, 10, 35), "a reused slot starts anew");
    }
}
