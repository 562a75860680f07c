//! What stands before an encoded entry: who numbered the purges that it was made under, and when the origin was asked for it.
//!
//! ```text
//! "SBM" version  realm (u64 LE)  asked (ms, u64 LE)  encoded entry
//! ```

/// Bytes of a stamp.
pub(super) const STAMP_BYTES: usize = 20;

const MAGIC: [u8; 4] = *b"SBM\x01";

/// What stands before an encoded entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The realm in which the entry's purge sequence means something.
    pub(super) realm: u64,
    /// When the origin was asked, in milliseconds since 1970.
    pub(super) asked_ms: u64,
}

impl Stamp {
    pub(super) fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..12].copy_from_slice(&self.realm.to_le_bytes());
        bytes[12..].copy_from_slice(&self.asked_ms.to_le_bytes());
        bytes
    }

    /// `None` where the bytes don't begin with a stamp.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (stamp, _) = bytes.split_first_chunk::<STAMP_BYTES>()?;
        let (magic, rest) = stamp.split_first_chunk::<4>()?;
        let (realm, asked_ms) = rest.split_first_chunk::<8>()?;
        let asked_ms: [u8; 8] = asked_ms.try_into().ok()?;
        let stamp = Self { realm: u64::from_le_bytes(*realm), asked_ms: u64::from_le_bytes(asked_ms) };
        (*magic == MAGIC).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_comes_back_and_other_bytes_are_none() {
        let stamp = Stamp { realm: 7, asked_ms: u64::MAX };
        let bytes = stamp.to_bytes();
        assert_eq!(Stamp::parse(&bytes), Some(stamp));
        assert_eq!(Stamp::parse(&bytes[..STAMP_BYTES - 1]), None);
        assert_eq!(Stamp::parse(&[0; STAMP_BYTES]), None);
    }
}
