//! Content: bytes of a response together with the reservation that they are charged to, for as long as anything holds
//! them.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use super::{MemoryBudget, Reserved, Use};

/// Content of a response. Content that a tier or a tail keeps is charged once for all of its clones, until the last of
/// them is dropped. Content that was only made from bytes is not charged: it has to be ([`Self::charged`]) before it is
/// kept.
#[derive(Clone, Debug, Default)]
pub struct Content {
    bytes: Bytes,
    room: Option<Arc<Reserved>>,
}

/// Smaller content is sent without its reservation: the charge for a connection or a stream covers it.
pub const SENT_ALONE_BYTES_MAX: usize = 2048;

impl Content {
    /// Content that is charged to this reservation.
    pub fn kept(bytes: Bytes, room: Arc<Reserved>) -> Self {
        Self { bytes, room: Some(room) }
    }

    /// The same content, charged to `what`; none where the budget refuses. Content that was charged already is moved to
    /// the use `what`, and empty content is not charged.
    pub fn charged(self, budget: &Arc<MemoryBudget>, what: Use) -> Option<Self> {
        if let Some(room) = &self.room {
            room.turn(what);
            return Some(self);
        }
        if self.bytes.is_empty() {
            return Some(self);
        }
        let room = budget.reserve(what, self.bytes.len() as u64)?;
        Some(Self { room: Some(Arc::new(room)), ..self })
    }

    /// The bytes, to be handed to a connection: until it has written them they stay charged, whatever becomes of the
    /// entry that they are from.
    pub fn to_send(&self) -> Bytes {
        match &self.room {
            Some(room) if self.bytes.len() >= SENT_ALONE_BYTES_MAX => sent(self.bytes.clone(), room),
            _ => self.bytes.clone(),
        }
    }
}

/// The same bytes, which keep `payer` (a reservation, for instance) alive until the last clone of them is dropped.
pub fn sent<P: Send + Sync + 'static>(bytes: Bytes, payer: &Arc<P>) -> Bytes {
    struct Sent<P> {
        bytes: Bytes,
        _payer: Arc<P>,
    }

    impl<P> AsRef<[u8]> for Sent<P> {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    Bytes::from_owner(Sent { bytes, _payer: Arc::clone(payer) })
}

impl Deref for Content {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, room: None }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_charged_once_and_until_the_last_holder_lets_go() {
        let budget = MemoryBudget::new(10_000);
        let used = || budget.stats().used_bytes;
        let content = Content::from(Bytes::from(vec![7; 6000]));
        assert_eq!(used(), 0);
        let kept = content.clone().charged(&budget, Use::Entries).expect("there is room");
        let again = kept.clone().charged(&budget, Use::Entries).expect("it is charged");
        assert_eq!(used(), 6000);
        assert!(content.charged(&budget, Use::Entries).is_none(), "not twice as much");
        let sending = kept.to_send().slice(5999..);
        drop((kept, again));
        assert_eq!(used(), 6000, "it is still being sent");
        drop(sending);
        assert_eq!(used(), 0);
    }

    #[test]
    fn small_content_is_sent_alone() {
        let budget = MemoryBudget::new(10_000);
        let kept = Content::from(Bytes::from_static(b"small")).charged(&budget, Use::Entries).expect("room");
        let sending = kept.to_send();
        drop(kept);
        assert_eq!((budget.stats().used_bytes, &*sending), (0, &b"small"[..]));
    }
}
