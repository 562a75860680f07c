//! Which entry was used longest ago, exactly, at one store per use.
//!
//! A use stamps the slot with the next number of a clock, and that is all: moving it in a linked list would touch three
//! random places in memory. The order is made when it is needed. Once every slot that was resident then has left or was
//! used again, it is made anew, so that a use and an arrival together pay for one slot to be sorted.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::sorted::Sorted;

/// The stamp of a slot that is not resident.
const ABSENT: u32 = 0;

/// Arrivals that a [`Run`] may hold beyond two for each resident slot: they may have left again without being evicted.
const RUN_SLACK: usize = 1024;

/// The resident slots, from the one used longest ago on. 8 bytes a slot.
#[derive(Debug, Default)]
pub(crate) struct Recency {
    /// By slot, when it was last used.
    stamps: Vec<u32>,
    /// The last stamp.
    clock: u32,
    len: usize,
    /// The order of the slots that were resident when it was made.
    sorted: Sorted,
    /// The slots that arrived after `sorted` was made, up to the first use: they are in order by themselves.
    run: Run,
    walk: RefCell<Walk>,
}

/// Arrivals with stamps in a row.
#[derive(Debug, Default)]
struct Run {
    slots: VecDeque<u32>,
    /// The stamp of the last arrival, whether its slot is still resident or not.
    last: u32,
}

/// Where [`Recency::order`] is in an order that is read in slices.
#[derive(Debug, Default)]
struct Walk {
    sorted: Sorted,
    clock: u32,
    last: Option<u32>,
}

impl Recency {
    /// Whether the slot is resident.
    #[inline]
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.stamps.get(slot as usize).is_some_and(|stamp| *stamp != ABSENT)
    }

    /// Notes that slots were used one after the other; those that are not resident are ignored. Checks once for all of
    /// them that the clock does not run out.
    #[inline]
    pub(crate) fn touch(&mut self, slots: impl ExactSizeIterator<Item = u32>) {
        if slots.len() >= (u32::MAX - self.clock) as usize {
            self.renumber();
        }
        let (stamps, mut clock) = (self.stamps.as_mut_slice(), self.clock);
        for slot in slots {
            if let Some(stamp) = stamps.get_mut(slot as usize)
                && *stamp != ABSENT
            {
                clock += 1;
                *stamp = clock;
            }
        }
        self.clock = clock;
    }

    /// Takes a slot in that is not resident.
    pub(crate) fn insert(&mut self, slot: u32) {
        let index = slot as usize;
        if index >= self.stamps.len() {
            grow(&mut self.stamps, index + 1);
        }
        let is_run = self.run.last == self.clock && self.run.slots.len() <= 2 * self.len + RUN_SLACK;
        self.clock += 1;
        self.len += 1;
        self.stamps[index] = self.clock;
        if is_run {
            self.run.slots.push_back(slot);
            self.run.last = self.clock;
        }
        if self.clock == u32::MAX {
            self.renumber();
        }
    }

    /// Takes a resident slot out.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.stamps[slot as usize] = ABSENT;
        self.len -= 1;
    }

    /// Takes the slot out that was used longest ago.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.coldest()?;
        self.remove(slot);
        Some(slot)
    }

    #[inline]
    fn coldest(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        self.sorted.pop(&self.stamps).or_else(|| self.run.pop(&self.stamps)).or_else(|| self.coldest_of_all())
    }

    /// Makes the order anew and takes its coldest slot.
    #[cold]
    fn coldest_of_all(&mut self) -> Option<u32> {
        self.sorted.rebuild(&self.stamps, ABSENT, self.clock);
        self.run = Run { slots: VecDeque::new(), last: self.clock };
        self.sorted.pop(&self.stamps)
    }

    /// Up to `limit` slots from behind `after`, or from the one used longest ago. A slice that follows the last one
    /// costs as much as it is long; for any other one the order is made anew.
    pub(crate) fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        if after.is_some_and(|after| !self.contains(after)) {
            return Vec::new();
        }
        let mut walk = self.walk.borrow_mut();
        if after.is_none() || walk.last != after || walk.clock != self.clock {
            let stamp = after.map_or(ABSENT, |after| self.stamps[after as usize]);
            walk.sorted.rebuild(&self.stamps, stamp, self.clock);
            walk.clock = self.clock;
        }
        let slots: Vec<u32> = (0..limit).map_while(|_| walk.sorted.pop(&self.stamps)).collect();
        if slots.len() < limit as usize {
            *walk = Walk::default();
        }
        walk.last = slots.last().copied();
        slots
    }

    /// Starts the clock anew: stamps become 1, 2, 3 in their order. Once in four thousand million uses.
    #[cold]
    fn renumber(&mut self) {
        let mut sorted = Sorted::default();
        sorted.rebuild(&self.stamps, ABSENT, self.clock);
        let order: Vec<u32> = std::iter::from_fn(|| sorted.pop(&self.stamps)).collect();
        for (stamp, slot) in (1..).zip(&order) {
            self.stamps[*slot as usize] = stamp;
        }
        self.clock = order.len() as u32;
        self.sorted = Sorted::default();
        // There is no run, nor does one begin before the order is made again.
        self.run = Run { slots: VecDeque::new(), last: u32::MAX };
        self.walk.take();
    }
}

impl Run {
    #[inline]
    fn pop(&mut self, stamps: &[u32]) -> Option<u32> {
        while let Some(slot) = self.slots.pop_front() {
            if stamps[slot as usize] == self.last - self.slots.len() as u32 {
                return Some(slot);
            }
        }
        None
    }
}

/// Makes a vector by slot longer, by an eighth at least: doubling would leave a third of it unused.
#[cold]
pub(crate) fn grow<T: Copy + Default>(by_slot: &mut Vec<T>, len: usize) {
    if len > by_slot.capacity() {
        by_slot.reserve_exact((len - by_slot.len()).max(by_slot.len() / 8).max(64));
    }
    by_slot.resize(len, T::default());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`Recency`] does, by a vector that is searched.
    #[derive(Default)]
    struct Plain(Vec<u32>);

    impl Plain {
        fn touch(&mut self, slot: u32) {
            if let Some(at) = self.0.iter().position(|it| *it == slot) {
                self.0.remove(at);
                self.0.push(slot);
            }
        }
    }

    fn draw(random: &mut u64, below: u64) -> u32 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        (*random % below) as u32
    }

    /// What happens, in per mille: touches, pops, removals; the rest are arrivals.
    fn check(seed: u64, slots: u64, [touches, pops, removals]: [u32; 3], clock: u32) {
        let mut recency = Recency { clock, run: Run { last: clock, ..Run::default() }, ..Recency::default() };
        let (mut plain, mut random) = (Plain::default(), seed);
        for step in 0..30_000 {
            let (what, slot) = (draw(&mut random, 1000), draw(&mut random, slots));
            if what < touches {
                recency.touch([slot].into_iter());
                plain.touch(slot);
            } else if what < touches + pops {
                assert_eq!(recency.pop(), (!plain.0.is_empty()).then(|| plain.0.remove(0)), "step {step}");
            } else if what < touches + pops + removals {
                if recency.contains(slot) {
                    recency.remove(slot);
                    plain.0.retain(|it| *it != slot);
                }
            } else if !recency.contains(slot) {
                recency.insert(slot);
                plain.0.push(slot);
            }
            if step % 1_000 == 0 {
                check_order(&recency, &plain);
            }
        }
    }

    fn check_order(recency: &Recency, plain: &Plain) {
        let mut seen = vec![];
        loop {
            let slice = recency.order(seen.last().copied(), 70);
            seen.extend(&slice);
            if slice.is_empty() {
                break;
            }
        }
        assert_eq!(seen, plain.0);
        let behind = plain.0.get(plain.0.len() / 2).copied();
        let tail: Vec<u32> =
            plain.0.iter().copied().skip(behind.map_or(0, |_| plain.0.len() / 2 + 1)).take(3).collect();
        assert_eq!(recency.order(behind, 3), tail, "a slice from anywhere");
    }

    #[test]
    fn it_orders_as_a_plain_list_does() {
        for (seed, slots) in [(1, 8), (2, 300), (3, 3_000)] {
            for mix in [[600, 100, 50], [0, 450, 0], [0, 300, 200], [900, 20, 0], [300, 20, 330], [0, 0, 500]] {
                check(seed, slots, mix, 0);
            }
        }
    }

    #[test]
    fn the_clock_may_run_out() {
        for before in [1, 100, 5_000, 12_345] {
            check(7, 500, [500, 150, 50], u32::MAX - before);
            check(8, 500, [0, 400, 50], u32::MAX - before);
        }
    }

    #[test]
    fn arrivals_that_leave_by_themselves_are_not_remembered_for_ever() {
        let mut recency = Recency::default();
        for _ in 0..100_000 {
            recency.insert(3);
            recency.remove(3);
        }
        assert!(recency.run.slots.len() <= RUN_SLACK + 3);
        recency.insert(5);
        assert_eq!((recency.pop(), recency.pop()), (Some(5), None));
    }
}
