//! The content of a PUT, kept while it goes to the origin: it may be what the target has afterwards.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use sandbar_base::memory_budget::{Content, MemoryBudget, Reserved, Use};

use crate::body::{self, Body, BoxError};

/// What is kept of a content that is being sent, or will have been.
#[derive(Clone)]
pub(super) struct Kept(Arc<Mutex<Keeping>>);

struct Keeping {
    /// What has been sent so far; `None` once there was no memory for it, or it was not as long as announced.
    bytes: Option<BytesMut>,
    room: Reserved,
    /// The length that the client has announced.
    bytes_max: usize,
}

/// Content that is kept while it is read.
struct Tee {
    inner: Body,
    kept: Kept,
}

impl Kept {
    /// Has content kept while it is sent, if it announces a length of at most `bytes_max`. It is charged to the budget as it
    /// comes, and kept no longer where there is no room.
    pub(super) fn of(content: Body, bytes_max: u64, budget: &Arc<MemoryBudget>) -> (Body, Option<Self>) {
        let Some(exact) = content.size_hint().exact().filter(|bytes| *bytes <= bytes_max) else {
            return (content, None);
        };
        let bytes_max = usize::try_from(exact).unwrap_or(usize::MAX);
        let room = budget.nothing(Use::Fills);
        let kept = Self(Arc::new(Mutex::new(Keeping { bytes: Some(BytesMut::new()), room, bytes_max })));
        (body::boxed(Tee { inner: content, kept: kept.clone() }), Some(kept))
    }

    /// All of the content, if all of it was sent and kept.
    pub(super) fn whole(self, budget: &Arc<MemoryBudget>) -> Option<Content> {
        let mut keeping = self.0.lock();
        let whole = keeping.bytes.take().filter(|bytes| bytes.len() == keeping.bytes_max)?;
        let room = std::mem::replace(&mut keeping.room, budget.nothing(Use::Fills));
        Some(Content::kept(whole.freeze(), Arc::new(room)))
    }
}

impl Keeping {
    fn append(&mut self, chunk: &[u8]) {
        let Some(mut bytes) = self.bytes.take() else { return };
        let len = bytes.len() + chunk.len();
        if len > self.bytes_max {
            return;
        }
        if len > bytes.capacity() {
            let capacity = len.max(2 * bytes.capacity()).min(self.bytes_max);
            // While it moves to its new place it is in memory twice.
            if !self.room.cover((bytes.capacity() + capacity) as u64) {
                self.room.shrink_to(0);
                return;
            }
            let mut larger = BytesMut::with_capacity(capacity);
            larger.extend_from_slice(&bytes);
            bytes = larger;
            self.room.shrink_to(bytes.capacity() as u64);
        }
        bytes.extend_from_slice(chunk);
        self.bytes = Some(bytes);
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(chunk) = frame.data_ref()
        {
            self.kept.0.lock().append(chunk);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    async fn sent(content: Body) {
        content.collect().await.expect("it is sent");
    }

    #[tokio::test]
    async fn content_is_kept_whole_and_charged_or_not_at_all() {
        let budget = MemoryBudget::new(1 << 20);
        let used = || budget.stats().used_bytes;
        let (content, kept) = Kept::of(body::full(vec![7; 1000]), 1000, &budget);
        let kept = kept.expect("its length is known");
        assert!(kept.clone().whole(&budget).is_none(), "nothing is sent yet");

        let (content, kept) = Kept::of(content, 1000, &budget);
        let kept = kept.expect("its length is known");
        sent(content).await;
        let whole = kept.whole(&budget).expect("all of it was sent");
        assert_eq!((whole.len(), used()), (1000, 1000));
        drop(whole);
        assert_eq!(used(), 0);

        assert!(Kept::of(body::full(vec![7; 1000]), 999, &budget).1.is_none(), "it is too large");
        let frames = futures_util::stream::once(async { Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x"))) });
        assert!(
            Kept::of(body::boxed(StreamBody::new(frames)), 1000, &budget).1.is_none(),
            "nobody knows how long it is"
        );
    }

    #[tokio::test]
    async fn content_that_memory_has_no_room_for_is_sent_all_the_same() {
        let budget = MemoryBudget::new(1000);
        let (content, kept) = Kept::of(body::full(vec![7; 2000]), 1 << 20, &budget);
        sent(content).await;
        assert!(kept.expect("its length is known").whole(&budget).is_none());
        assert_eq!(budget.stats().used_bytes, 0);
    }
}
