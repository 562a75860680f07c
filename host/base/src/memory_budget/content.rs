//! Bytes that are kept: with the reservation that pays for them, for as long as anybody holds them.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use super::{MemoryBudget, Reserved, Use};

/// Content of a response. What a tier or a tail keeps is charged; its clones share the charge, and the last of them gives
/// it back. Content that was only made from bytes is nobody's yet: it is charged by whoever is to keep it
/// ([`Self::charged`]), or not kept.
#[derive(Clone, Debug, Default)]
pub struct Content {
    bytes: Bytes,
    room: Option<Arc<Reserved>>,
}

/// What is smaller is sent without what pays for it: what is charged for a connection or a stream covers it.
pub const SENT_ALONE_BYTES_MAX: usize = 2048;

impl Content {
    /// Content that this reservation pays for.
    pub fn kept(bytes: Bytes, room: Arc<Reserved>) -> Self {
        Self { bytes, room: Some(room) }
    }

    /// The same content, charged: as it is where it already was.
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

    /// The bytes, to be handed to a connection: for as long as it has not written them they stay charged, whatever becomes
    /// of the entry that they are from.
    pub fn to_send(&self) -> Bytes {
        match &self.room {
            Some(room) if self.bytes.len() >= SENT_ALONE_BYTES_MAX => sent(self.bytes.clone(), room),
            _ => self.bytes.clone(),
        }
    }
}

/// Bytes that hold on to what pays for them.
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
