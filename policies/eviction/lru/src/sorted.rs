//! Slots in the order of their stamps, sorted no further than they are asked for.
//!
//! A radix sort from the highest bits on, of which only the coldest part is ever finished: a slot that is read
//! meanwhile gets a later stamp, drops out, and is not sorted at all. Each slot is moved at most four times, and each
//! step works on one 256th of what the step before it worked on.

use std::ops::Range;

/// Parts into which a segment is cut, by eight bits of the stamp.
const PARTS: usize = 256;

/// Segments up to this length are sorted by comparing.
const SHORT: usize = 64;

/// The slots whose stamps lay in a range, coldest first. Slots whose stamps have left the range since are skipped.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    slots: Vec<u32>,
    /// The slots that are not sorted yet; the last segment has the lowest stamps.
    segments: Vec<Segment>,
    /// Where in `slots` the sorted part begins and ends. The unsorted slots follow.
    sorted: Range<usize>,
    after: u32,
    up_to: u32,
}

/// Slots that are not sorted yet, with stamps from `cut.first` on.
#[derive(Clone, Copy, Debug)]
struct Segment {
    end: usize,
    cut: Cut,
}

/// How a range of stamps is cut into parts.
#[derive(Clone, Copy, Debug)]
struct Cut {
    first: u32,
    /// Stamps of one part, as a power of two.
    width_bits: u32,
}

impl Sorted {
    /// Starts anew with the slots whose stamps are above `after` and not above `up_to`.
    pub(crate) fn rebuild(&mut self, stamps: &[u32], after: u32, up_to: u32) {
        (self.after, self.up_to) = (after, up_to);
        self.segments.clear();
        self.sorted = 0..0;
        let within = |stamp: u32| stamp > after && stamp <= up_to;
        let (mut first, mut len) = (u32::MAX, 0);
        for stamp in stamps.iter().copied().filter(|stamp| within(*stamp)) {
            first = first.min(stamp);
            len += 1;
        }
        self.slots.clear();
        self.slots.reserve_exact(len);
        self.slots.resize(len, 0);
        let slots = (0..).zip(stamps.iter().copied()).filter(|(_, stamp)| within(*stamp));
        if len > 0 {
            distribute(slots, Cut::between(first, up_to), 0, &mut self.slots, &mut self.segments);
        }
    }

    /// Takes the coldest slot out.
    #[inline]
    pub(crate) fn pop(&mut self, stamps: &[u32]) -> Option<u32> {
        loop {
            while let Some(at) = self.sorted.next() {
                let slot = self.slots[at];
                if self.holds(stamps, slot) {
                    return Some(slot);
                }
            }
            let segment = self.segments.pop()?;
            self.refine(segment, stamps);
        }
    }

    #[inline]
    fn holds(&self, stamps: &[u32], slot: u32) -> bool {
        let stamp = stamps[slot as usize];
        stamp > self.after && stamp <= self.up_to
    }

    /// Sorts the coldest segment, or cuts it into smaller ones.
    #[cold]
    fn refine(&mut self, segment: Segment, stamps: &[u32]) {
        let all = &self.slots[self.sorted.end..segment.end];
        let mut slots: Vec<u32> = all.iter().copied().filter(|slot| self.holds(stamps, *slot)).collect();
        let stamp = |slot: &u32| stamps[*slot as usize];
        let start = segment.end - slots.len();
        if slots.len() <= SHORT {
            slots.sort_unstable_by_key(stamp);
            self.slots[start..segment.end].copy_from_slice(&slots);
            self.sorted = start..segment.end;
        } else {
            let slots = slots.iter().map(|slot| (*slot, stamp(slot)));
            distribute(slots, segment.cut, start, &mut self.slots, &mut self.segments);
            self.sorted = start..start;
        }
    }
}

impl Cut {
    fn between(first: u32, last: u32) -> Self {
        let bits = u32::BITS - (last - first).leading_zeros();
        Self { first, width_bits: bits.saturating_sub(PARTS.ilog2()) }
    }

    #[inline]
    fn part(self, stamp: u32) -> usize {
        ((stamp - self.first) >> self.width_bits) as usize % PARTS
    }

    /// How the part is cut further.
    fn of_part(self, part: usize) -> Self {
        let first = self.first + ((part as u32) << self.width_bits);
        Self { first, width_bits: self.width_bits.saturating_sub(PARTS.ilog2()) }
    }
}

/// Writes slots into `into`, from `start` on, part by part, and notes the parts that aren't empty, the coldest last.
fn distribute(
    slots: impl Iterator<Item = (u32, u32)> + Clone,
    cut: Cut,
    start: usize,
    into: &mut [u32],
    segments: &mut Vec<Segment>,
) {
    let mut ends = [0; PARTS];
    slots.clone().for_each(|(_, stamp)| ends[cut.part(stamp)] += 1);
    let mut end = start;
    for len in &mut ends {
        // Where the part begins for now; it is filled from there on.
        end += std::mem::replace(len, end);
    }
    let starts = ends;
    for (slot, stamp) in slots {
        let end = &mut ends[cut.part(stamp)];
        into[*end] = slot;
        *end += 1;
    }
    let parts = (0..PARTS).rev().filter(|part| ends[*part] > starts[*part]);
    segments.extend(parts.map(|part| Segment { end: ends[part], cut: cut.of_part(part) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(sorted: &mut Sorted, stamps: &[u32]) -> Vec<u32> {
        std::iter::from_fn(|| sorted.pop(stamps)).collect()
    }

    /// Stamps of slots that lie close together, wide apart, and mostly at the end.
    fn samples() -> Vec<Vec<u32>> {
        let mixed = |number: u32| number.wrapping_mul(0x9e37_79b1);
        let skewed = |number: u32| if number.is_multiple_of(50) { number + 1 } else { u32::MAX - 5_000 + number };
        vec![
            vec![],
            vec![0, 7, 0],
            (1..=5_000).rev().collect(),
            (0..5_000).map(mixed).collect(),
            (0..5_000).map(skewed).collect(),
        ]
    }

    #[test]
    fn slots_come_in_the_order_of_their_stamps() {
        for stamps in samples() {
            for (after, up_to) in [(0, u32::MAX), (0, 2_500), (1_000, u32::MAX), (9, 9)] {
                let mut expected: Vec<u32> = (0..stamps.len() as u32).collect();
                expected.retain(|slot| stamps[*slot as usize] > after && stamps[*slot as usize] <= up_to);
                expected.sort_by_key(|slot| stamps[*slot as usize]);
                let mut sorted = Sorted::default();
                sorted.rebuild(&stamps, after, up_to);
                assert_eq!(order(&mut sorted, &stamps), expected);
            }
        }
    }

    #[test]
    fn what_was_stamped_anew_is_passed_over() {
        let mut stamps: Vec<u32> = (1..=5_000).collect();
        let mut sorted = Sorted::default();
        sorted.rebuild(&stamps, 0, 5_000);
        assert_eq!(sorted.pop(&stamps), Some(0));
        stamps.iter_mut().step_by(2).for_each(|stamp| *stamp += 5_000);
        stamps[1] = 0;
        assert_eq!(order(&mut sorted, &stamps), (3..5_000).step_by(2).collect::<Vec<_>>());
    }
}
