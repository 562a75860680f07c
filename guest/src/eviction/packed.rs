//! Events as 64-bit words, exactly as `wit/0.1.0/eviction.wit` says.

use super::{Arrival, Departure};

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The entry was read.
    Touched {
        /// The entry's slot.
        slot: u32,
    },
    /// The entry is new.
    Arrived(Arrival),
    /// The entry has another weight or expiry now.
    Changed {
        /// The entry's slot.
        slot: u32,
        /// The new weight.
        weight_bytes: u64,
        /// The new end of the freshness lifetime, in milliseconds since 1970.
        expires_ms: u64,
    },
    /// The host removed the entry.
    Departed {
        /// The entry's slot.
        slot: u32,
        /// Why the host removed it.
        reason: Departure,
    },
}

/// The largest number of words of one event.
pub const EVENT_WORDS_MAX: usize = 5;

const TOUCHED: u64 = 0;
const ARRIVED: u64 = 1;
const CHANGED: u64 = 2;
const DEPARTED: u64 = 3;

/// Appends an event to a batch. Inlined, because most callers know which kind of event it is.
#[inline(always)]
pub fn pack(event: Event, words: &mut Vec<u64>) {
    let head = |code: u64, slot: u32| code | u64::from(slot) << 32;
    match event {
        Event::Touched { slot } => words.push(head(TOUCHED, slot)),
        Event::Arrived(Arrival { slot, key_hash, weight_bytes, fetch_cost_us, expires_ms, rank, reads }) => {
            words.extend_from_slice(&[
                head(ARRIVED, slot) | u64::from(rank) << 8 | u64::from(reads) << 16,
                key_hash,
                weight_bytes,
                fetch_cost_us,
                expires_ms,
            ]);
        }
        Event::Changed { slot, weight_bytes, expires_ms } => {
            words.extend_from_slice(&[head(CHANGED, slot), weight_bytes, expires_ms]);
        }
        Event::Departed { slot, reason } => words.push(head(DEPARTED, slot) | code_of(reason) << 8),
    }
}

/// Reads a batch. Ends at a code that this version does not know and at an event whose words are not all there.
#[inline]
pub fn unpack(words: &[u64]) -> Events<'_> {
    Events { words }
}

/// The events of a batch; made by [`unpack`].
#[derive(Clone, Debug)]
pub struct Events<'a> {
    words: &'a [u64],
}

impl<'a> Events<'a> {
    /// Whether the next event is a read.
    #[inline]
    pub(super) fn is_next_touched(&self) -> bool {
        self.words.first().is_some_and(|head| head & 0xff == TOUCHED)
    }

    /// Takes the next `N` events if all of them are reads, and answers with their words.
    #[inline]
    pub(super) fn next_if_touched<const N: usize>(&mut self) -> Option<&'a [u64; N]> {
        let (heads, rest) = self.words.split_first_chunk()?;
        // The code of a read is zero.
        let is_touched = heads.iter().fold(TOUCHED, |codes, head| codes | head) & 0xff == TOUCHED;
        self.words = if is_touched { rest } else { self.words };
        is_touched.then_some(heads)
    }
}

/// The slot of an event, in its first word.
#[inline]
pub(super) const fn slot_of(head: u64) -> u32 {
    (head >> 32) as u32
}

impl Iterator for Events<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        let (&head, rest) = self.words.split_first()?;
        let slot = slot_of(head);
        let (event, rest) = match (head & 0xff, rest) {
            (TOUCHED, rest) => (Event::Touched { slot }, rest),
            (ARRIVED, &[key_hash, weight_bytes, fetch_cost_us, expires_ms, ref rest @ ..]) => {
                let (rank, reads) = ((head >> 8) as u8, (head >> 16) as u8);
                let arrival = Arrival { slot, key_hash, weight_bytes, fetch_cost_us, expires_ms, rank, reads };
                (Event::Arrived(arrival), rest)
            }
            (CHANGED, &[weight_bytes, expires_ms, ref rest @ ..]) => {
                (Event::Changed { slot, weight_bytes, expires_ms }, rest)
            }
            (DEPARTED, rest) => (Event::Departed { slot, reason: reason_of(head >> 8) }, rest),
            _ => {
                self.words = &[];
                return None;
            }
        };
        self.words = rest;
        Some(event)
    }
}

fn code_of(reason: Departure) -> u64 {
    match reason {
        Departure::Expired => 0,
        Departure::Purged => 1,
        Departure::Evicted => 2,
    }
}

/// A reason that is unknown, as it was added later, still means that the entry is gone.
fn reason_of(bits: u64) -> Departure {
    match bits & 0xff {
        0 => Departure::Expired,
        1 => Departure::Purged,
        _ => Departure::Evicted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Event> {
        let (weight_bytes, expires_ms) = (1 << 40, !0);
        let arrival =
            Arrival { slot: 7, key_hash: !0, weight_bytes, fetch_cost_us: 3, expires_ms, rank: 255, reads: 9 };
        vec![
            Event::Touched { slot: u32::MAX },
            Event::Arrived(arrival),
            Event::Changed { slot: 7, weight_bytes: 9, expires_ms: 10 },
            Event::Departed { slot: 7, reason: Departure::Expired },
            Event::Departed { slot: 8, reason: Departure::Purged },
            Event::Departed { slot: 9, reason: Departure::Evicted },
            Event::Touched { slot: 0 },
        ]
    }

    fn packed(events: &[Event]) -> Vec<u64> {
        let mut words = vec![];
        events.iter().for_each(|event| pack(*event, &mut words));
        words
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let words = packed(&samples());
        assert_eq!(words.len(), 1 + 5 + 3 + 1 + 1 + 1 + 1);
        assert_eq!(unpack(&words).collect::<Vec<_>>(), samples());
    }

    #[test]
    fn words_are_laid_out_as_documented() {
        assert_eq!(packed(&[Event::Departed { slot: 3, reason: Departure::Evicted }]), [3 | 2 << 8 | 3 << 32]);
        let (rank, reads) = (3, 4);
        let arrival =
            Arrival { slot: 2, key_hash: 11, weight_bytes: 12, fetch_cost_us: 13, expires_ms: 14, rank, reads };
        assert_eq!(packed(&[Event::Arrived(arrival)]), [1 | 3 << 8 | 4 << 16 | 2 << 32, 11, 12, 13, 14]);
        assert_eq!(packed(&[Event::Changed { slot: 2, weight_bytes: 5, expires_ms: 6 }]), [2 | 2 << 32, 5, 6]);
    }

    #[test]
    fn an_unknown_code_ends_the_batch() {
        let mut words = packed(&samples()[..1]);
        words.push(4);
        words.extend(packed(&samples()));
        assert_eq!(unpack(&words).collect::<Vec<_>>(), samples()[..1]);
    }

    #[test]
    fn a_truncated_batch_yields_the_whole_events_before_the_cut() {
        let words = packed(&samples());
        for len in 0..words.len() {
            let mut events = unpack(&words[..len]);
            let seen: Vec<_> = events.by_ref().collect();
            assert_eq!(seen, samples()[..seen.len()]);
            assert_eq!(events.next(), None);
        }
    }
}
