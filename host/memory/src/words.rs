//! The 64-bit words into which events for the policy are packed: how many may be queued, and a fast packing of reads.

/// Bound of the event queue in 64-bit words: 64 KiB, some 1,600 arrivals.
pub(super) const WORDS_MAX: usize = 8192;

/// The packed event that `slot` was read: the same word as `pack` makes, only faster.
#[inline]
pub(super) const fn touched(slot: u32) -> u64 {
    (slot as u64) << 32
}

#[cfg(test)]
mod tests {
    use sandbar_guest::eviction::{Event, pack};

    use super::*;

    #[test]
    fn a_read_is_packed_as_the_contract_says() {
        let mut words = vec![];
        pack(Event::Touched { slot: 0x1234_5678 }, &mut words);
        assert_eq!(words, [touched(0x1234_5678)]);
    }
}
