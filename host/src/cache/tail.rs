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

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::detach::detached_content;
use crate::body::BoxError;
use crate::memory_budget::{Reserved, Use};
use crate::tenant::counters::not_stored;

/// How long a body that is only passed through waits for its first reader.
const FIRST_READER_DEADLINE: Duration = Duration::from_secs(5);

/// The window of a body that is passed through for want of memory.
const SCARCE_WINDOW_BYTES: u64 = 64 << 10;

/// A shared body in the making.
#[derive(Debug)]
pub(crate) struct Tail {
    state: Mutex<State>,
    bytes_max: u64,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Bytes that were let go before the first chunk.
    dropped_bytes: u64,
    kept_bytes: u64,
    end: Option<End>,
    passing: Option<Passing>,
    window_bytes: u64,
    reserved: Reserved,
    readers: Vec<Reader>,
    next_reader: u64,
    producer: Option<Waker>,
    cut: u64,
}

/// Why a body is only passed through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// It has outgrown its bound.
    TooLarge,
    /// The node has no memory left for it.
    NoRoom,
}

impl Passing {
    /// The stable word for it in `Cache-Status`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => not_stored::TOO_LARGE,
            Self::NoRoom => not_stored::NO_ROOM,
        }
    }
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
    #[error("the client fell behind a body that is not stored")]
    Cut,
}

impl Tail {
    /// An empty body that keeps at most `bytes_max` bytes, and then `window_bytes`. What it keeps is charged to `reserved`.
    pub(crate) fn new(bytes_max: u64, window_bytes: u64, reserved: Reserved) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(None, window_bytes, reserved)), bytes_max })
    }

    /// One that is passed through from the first byte on, for want of room.
    pub(crate) fn passing(window_bytes: u64, reserved: Reserved) -> Arc<Self> {
        let window_bytes = window_bytes.min(SCARCE_WINDOW_BYTES);
        Arc::new(Self { state: Mutex::new(State::new(Some(Passing::NoRoom), window_bytes, reserved)), bytes_max: 0 })
    }

    /// Why it is only passed through; none while it may still be stored.
    pub(crate) fn passes(&self) -> Option<Passing> {
        self.state.lock().passing
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
        state.charge(self.bytes_max);
        let appended = if state.passing.is_some() { Appended::Passing } else { Appended::Kept };
        state.wake_readers();
        appended
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<Appended> {
        let mut state = self.state.lock();
        state.trim();
        let produced = state.dropped_bytes + state.kept_bytes;
        match state.readers.iter().map(|reader| reader.position).max() {
            None => Poll::Ready(Appended::Unread),
            Some(fastest) if produced - fastest <= state.window_bytes => Poll::Ready(Appended::Passing),
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
        if state.passing.is_some() {
            return None;
        }
        if !state.chunks.is_empty() {
            let bytes = usize::try_from(state.kept_bytes).unwrap_or(0);
            let whole = detached_content(state.chunks.iter(), bytes);
            // Those who still read it share what is stored from here on.
            state.chunks = VecDeque::from([whole]);
        }
        Some(state.chunks.front().cloned().unwrap_or_default())
    }

    /// Nothing more comes, and the body is not whole.
    pub(crate) fn broken(&self) {
        self.state.lock().end(End::Broken);
    }

    /// Readers that were cut so far.
    pub(crate) fn cut(&self) -> u64 {
        self.state.lock().cut
    }
}

impl State {
    const fn new(passing: Option<Passing>, window_bytes: u64, reserved: Reserved) -> Self {
        Self {
            chunks: VecDeque::new(),
            dropped_bytes: 0,
            kept_bytes: 0,
            end: None,
            passing,
            window_bytes,
            reserved,
            readers: Vec::new(),
            next_reader: 0,
            producer: None,
            cut: 0,
        }
    }

    /// Charges what is kept; where that is too much, the body is passed through from here on.
    fn charge(&mut self, bytes_max: u64) {
        if self.passing.is_none() && self.kept_bytes > bytes_max {
            self.passing = Some(Passing::TooLarge);
        } else if self.passing.is_none() && !self.reserved.cover(self.kept_bytes) {
            self.passing = Some(Passing::NoRoom);
            self.window_bytes = self.window_bytes.min(SCARCE_WINDOW_BYTES);
        }
        if self.passing.is_some() {
            self.reserved.set(Use::Windows, self.kept_bytes);
        }
    }

    fn end(&mut self, end: End) {
        self.end = self.end.or(Some(end));
        self.wake_readers();
    }

    fn wake_readers(&mut self) {
        self.readers.iter_mut().filter_map(|reader| reader.waker.take()).for_each(Waker::wake);
    }

    /// Lets go what the fastest reader has read and the window does not hold; cuts those who had not read it.
    fn trim(&mut self) {
        let fastest = self.readers.iter().map(|reader| reader.position).max().unwrap_or(0);
        while let Some(first) = self.chunks.front() {
            let end = self.dropped_bytes + first.len() as u64;
            if end > fastest || self.kept_bytes <= self.window_bytes {
                break;
            }
            self.dropped_bytes = end;
            self.kept_bytes -= first.len() as u64;
            self.chunks.pop_front();
        }
        self.reserved.set(Use::Windows, self.kept_bytes);
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
mod tests;
