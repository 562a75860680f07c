//! The 64-bit words in which events wait for the policy: how many there may be, and how the most frequent event is packed.

/// Bound of the queue in 64-bit words: 64 KiB, some 1,600 arrivals.
pub(super) const WORDS_MAX: usize = 8192;

/// The event that `slot` was read, which `pack` packs too, but not as fast.
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
