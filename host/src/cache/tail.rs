//! A body that is still arriving, read by many: the fill appends, each client reads at its own pace.
//!
//! While the body may still be stored all of it is kept, and the fill waits for nobody. Once it has outgrown its bound
//! it is only passed through: then a window of the newest bytes is kept, the fill waits for the fastest reader, and a
//! reader that falls out of the window is cut.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use crate::body::BoxError;

/// How long a body that is only passed through waits for its first reader.
const FIRST_READER_DEADLINE: Duration = Duration::from_secs(5);

/// A shared body in the making.
#[derive(Debug)]
pub(crate) struct Tail {
    state: Mutex<State>,
    bytes_max: u64,
    window_bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Bytes that were let go before the first chunk.
    dropped_bytes: u64,
    kept_bytes: u64,
    end: Option<End>,
    passing: bool,
    readers: Vec<Reader>,
    next_reader: u64,
    producer: Option<Waker>,
    cut: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

#[derive(Debug)]
struct Reader {
    id: u64,
    position: u64,
    waker: Option<Waker>,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// All of the body so far is kept.
    Kept,
    /// The body has outgrown its bound: it is passed through.
    Passing,
    /// It is passed through and nobody reads it any more.
    Unread,
}

/// Why a reader got no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TailError {
    /// The origin did not send all of it.
    #[error("the origin broke off in the middle of the body")]
    Broken,
    /// The reader was too slow for a body that is not stored.
    #[error("the client fell behind a body that is too large to be stored")]
    Cut,
}

impl Tail {
    /// An empty body that keeps at most `bytes_max` bytes, and then `window_bytes`.
    pub(crate) fn new(bytes_max: u64, window_bytes: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), bytes_max, window_bytes })
    }

    /// A reader from the first byte on; none where the first bytes are gone.
    pub(crate) fn read(self: &Arc<Self>) -> Option<TailBody> {
        let mut state = self.state.lock();
        if state.dropped_bytes > 0 {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.push(Reader { id, position: 0, waker: None });
        if let Some(producer) = state.producer.take() {
            producer.wake();
        }
        Some(TailBody { tail: Arc::clone(self), id, length: None })
    }

    /// Appends, and once the body is only passed through waits until the fastest reader has room.
    pub(crate) async fn append(&self, chunk: Bytes) -> Appended {
        match self.push(chunk) {
            Appended::Passing => self.room().await,
            appended => appended,
        }
    }

    /// Waits for room. Whoever caused the fill may not have come to read yet: it has a moment to do so.
    async fn room(&self) -> Appended {
        let first_reader = tokio::time::timeout(FIRST_READER_DEADLINE, std::future::poll_fn(|c| self.poll_read(c)));
        if first_reader.await.is_err() {
            return Appended::Unread;
        }
        std::future::poll_fn(|context| self.poll_room(context)).await
    }

    fn poll_read(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.next_reader > 0 {
            return Poll::Ready(());
        }
        state.producer = Some(context.waker().clone());
        Poll::Pending
    }

    fn push(&self, chunk: Bytes) -> Appended {
        if chunk.is_empty() {
            return Appended::Kept;
        }
        let mut state = self.state.lock();
        state.kept_bytes += chunk.len() as u64;
        state.chunks.push_back(chunk);
        state.passing |= state.kept_bytes > self.bytes_max;
        let appended = if state.passing { Appended::Passing } else { Appended::Kept };
        state.wake_readers();
        appended
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<Appended> {
        let mut state = self.state.lock();
        state.trim(self.window_bytes);
        let produced = state.dropped_bytes + state.kept_bytes;
        match state.readers.iter().map(|reader| reader.position).max() {
            None => Poll::Ready(Appended::Unread),
            Some(fastest) if produced - fastest <= self.window_bytes => Poll::Ready(Appended::Passing),
            Some(_) => {
                state.producer = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nothing more comes: the body is whole. Answers with it, unless it was only passed through.
    pub(crate) fn complete(&self) -> Option<Bytes> {
        let mut state = self.state.lock();
        state.end(End::Complete);
        if state.passing {
            return None;
        }
        if state.chunks.len() > 1 {
            let mut whole = BytesMut::with_capacity(usize::try_from(state.kept_bytes).unwrap_or(0));
            state.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
            return Some(whole.freeze());
        }
        Some(state.chunks.front().cloned().unwrap_or_default())
    }

    /// Nothing more comes, and the body is not whole.
    pub(crate) fn broken(&self) {
        self.state.lock().end(End::Broken);
    }

    /// Whether it has outgrown its bound.
    pub(crate) fn is_passing(&self) -> bool {
        self.state.lock().passing
    }

    /// Readers that were cut so far.
    pub(crate) fn cut(&self) -> u64 {
        self.state.lock().cut
    }
}

impl State {
    fn end(&mut self, end: End) {
        self.end = self.end.or(Some(end));
        self.wake_readers();
    }

    fn wake_readers(&mut self) {
        self.readers.iter_mut().filter_map(|reader| reader.waker.take()).for_each(Waker::wake);
    }

    /// Lets go what the fastest reader has read and the window does not hold; cuts those who had not read it.
    fn trim(&mut self, window_bytes: u64) {
        let fastest = self.readers.iter().map(|reader| reader.position).max().unwrap_or(0);
        while let Some(first) = self.chunks.front() {
            let end = self.dropped_bytes + first.len() as u64;
            if end > fastest || self.kept_bytes <= window_bytes {
                break;
            }
            self.dropped_bytes = end;
            self.kept_bytes -= first.len() as u64;
            self.chunks.pop_front();
        }
        let dropped = self.dropped_bytes;
        let before = self.readers.len();
        self.readers.retain_mut(|reader| {
            let keeps = reader.position >= dropped;
            if !keeps && let Some(waker) = reader.waker.take() {
                waker.wake();
            }
            keeps
        });
        self.cut += (before - self.readers.len()) as u64;
    }

    /// The rest of the chunk at `position`.
    fn chunk_at(&self, position: u64) -> Option<Bytes> {
        let mut start = self.dropped_bytes;
        for chunk in &self.chunks {
            let end = start + chunk.len() as u64;
            if position < end {
                let skip = usize::try_from(position - start).unwrap_or(0);
                return Some(chunk.slice(skip..));
            }
            start = end;
        }
        None
    }
}

/// One reader of a [`Tail`].
#[derive(Debug)]
pub(crate) struct TailBody {
    tail: Arc<Tail>,
    id: u64,
    length: Option<u64>,
}

impl TailBody {
    /// Announces the length that the origin announced.
    #[must_use]
    pub(crate) fn with_length(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }
}

impl Body for TailBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.tail.state.lock();
        let Some(index) = state.readers.iter().position(|reader| reader.id == self.id) else {
            return Poll::Ready(Some(Err(TailError::Cut.into())));
        };
        if let Some(chunk) = state.chunk_at(state.readers[index].position) {
            state.readers[index].position += chunk.len() as u64;
            if let Some(producer) = state.producer.take() {
                producer.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            Some(End::Complete) => Poll::Ready(None),
            Some(End::Broken) => Poll::Ready(Some(Err(TailError::Broken.into()))),
            None => {
                state.readers[index].waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for TailBody {
    fn drop(&mut self) {
        let mut state = self.tail.state.lock();
        state.readers.retain(|reader| reader.id != self.id);
        if let Some(producer) = state.producer.take() {
            producer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn next(body: &mut TailBody) -> Option<Result<Bytes, String>> {
        let frame = body.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap()).map_err(|error| error.to_string()))
    }

    #[tokio::test]
    async fn late_readers_get_everything() {
        let tail = Tail::new(100, 10);
        let mut early = tail.read().unwrap();
        assert_eq!(tail.append("abc".into()).await, Appended::Kept);
        assert_eq!(next(&mut early).await, Some(Ok("abc".into())));
        assert_eq!(tail.append("def".into()).await, Appended::Kept);
        let late = tail.read().unwrap();
        assert_eq!(tail.complete(), Some("abcdef".into()));
        assert_eq!(late.collect().await.unwrap().to_bytes(), "abcdef");
        assert_eq!(next(&mut early).await, Some(Ok("def".into())));
        assert_eq!(next(&mut early).await, None);
    }

    #[tokio::test]
    async fn a_broken_body_never_looks_whole() {
        let tail = Tail::new(100, 10);
        let reader = tail.read().unwrap();
        tail.append("abc".into()).await;
        tail.broken();
        assert!(reader.collect().await.is_err());
        tail.complete();
        assert!(tail.read().unwrap().collect().await.is_err());
    }

    #[tokio::test]
    async fn past_its_bound_the_fastest_reader_sets_the_pace_and_the_slowest_is_cut() {
        let tail = Tail::new(4, 4);
        let mut fast = tail.read().unwrap();
        let mut slow = tail.read().unwrap();
        assert_eq!(tail.append("abcd".into()).await, Appended::Kept);
        let waiting = tokio::spawn({
            let tail = Arc::clone(&tail);
            async move { (tail.append("efgh".into()).await, tail.append("ijkl".into()).await, tail.cut()) }
        });
        tokio::task::yield_now().await;
        assert_eq!(next(&mut fast).await, Some(Ok("abcd".into())));
        tokio::task::yield_now().await;
        assert_eq!(next(&mut fast).await, Some(Ok("efgh".into())));
        tokio::task::yield_now().await;
        assert!(tail.read().is_none(), "the first bytes are gone");
        assert_eq!(waiting.await.unwrap(), (Appended::Passing, Appended::Passing, 1));
        assert!(next(&mut slow).await.unwrap().unwrap_err().contains("fell behind"));
        assert_eq!(next(&mut fast).await, Some(Ok("ijkl".into())));
        drop(fast);
        assert_eq!(tail.append("mnop".into()).await, Appended::Unread);
        assert_eq!(tail.complete(), None);
    }
}
