//! A body that is still arriving, read by many: the fill appends, each client reads at its own pace.
//!
//! While the body may still be stored, all of it is kept, and the fill waits for nobody. Once it is too large to be
//! stored it is only passed through: then a window of the newest bytes is kept, the fill waits for the fastest reader,
//! and a reader that falls out of the window is cut.
//!
//! What arrives is copied into the tail's own blocks ([`pieces`]), each paid for by a reservation: a chunk may be a
//! single byte that keeps a buffer of 64 KiB alive. A body that is passed through can do without blocks: where there is
//! no room for one, the chunk is handed on as it came, charged to the exchange that it belongs to (`exchange`), and the
//! window shrinks.

mod pieces;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use sandbar_base::memory_budget::{Content, Reserved};

use self::pieces::Pieces;
use crate::body::BoxError;
use crate::not_stored::NotStored;

/// How long a body that is only passed through waits for its first reader.
const FIRST_READER_DEADLINE: Duration = Duration::from_secs(5);

/// The largest window of a body that is passed through for want of memory.
const SCARCE_WINDOW_BYTES: u64 = 64 << 10;

/// The smallest size of a window; it shrinks by half each time that there is no room for a block.
const WINDOW_BYTES_MIN: u64 = 4 << 10;

/// A body that is still arriving, and its readers.
#[derive(Debug)]
pub(crate) struct Tail {
    state: Mutex<State>,
    bytes_max: u64,
}

#[derive(Debug)]
struct State {
    pieces: Pieces,
    end: Option<End>,
    unkept: Option<Unkept>,
    window_bytes: u64,
    readers: Vec<Reader>,
    next_reader: u64,
    producer: Option<Waker>,
    cut: u64,
}

/// Why a body is only passed through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// The body is larger than may be stored.
    TooLarge,
    /// The node has no memory left for the body.
    NoRoom,
}

impl From<Unkept> for NotStored {
    fn from(unkept: Unkept) -> Self {
        match unkept {
            Unkept::TooLarge => Self::TooLarge,
            Unkept::NoRoom => Self::NoRoom,
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

/// The result of appending a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// All of the body so far is kept.
    Kept,
    /// The body is only passed through: it is too large to be stored, or the node has no memory for it.
    Unkept,
    /// The body is only passed through, and nobody reads it.
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
    /// An empty body. All of it is kept while it has at most `bytes_max` bytes, then a window of `window_bytes`. What
    /// is kept is paid for by `room`, and beyond that by the same account.
    pub(crate) fn new(bytes_max: u64, window_bytes: u64, room: Reserved) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(None, window_bytes, room)), bytes_max })
    }

    /// A body that is passed through from the first byte on, for want of memory.
    pub(crate) fn unkept(window_bytes: u64, room: Reserved) -> Arc<Self> {
        let window_bytes = window_bytes.min(SCARCE_WINDOW_BYTES);
        Arc::new(Self { state: Mutex::new(State::new(Some(Unkept::NoRoom), window_bytes, room)), bytes_max: 0 })
    }

    /// Why the body is only passed through; `None` while it may still be stored.
    pub(crate) fn why_unkept(&self) -> Option<Unkept> {
        self.state.lock().unkept
    }

    /// A reader from the first byte on; `None` where the first bytes are gone.
    pub(crate) fn read(self: &Arc<Self>) -> Option<TailBody> {
        let mut state = self.state.lock();
        if state.pieces.dropped_bytes() > 0 {
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

    /// Appends a chunk. Once the body is only passed through, waits until the window holds all that the fastest reader
    /// has not read yet.
    pub(crate) async fn append(&self, chunk: Bytes) -> Appended {
        match self.push(chunk) {
            Appended::Unkept => self.room().await,
            appended => appended,
        }
    }

    /// Waits for room in the window. The request that caused the fill may not have begun to read: it has
    /// [`FIRST_READER_DEADLINE`] to do so.
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
        if state.unkept.is_none() && state.pieces.kept_bytes() + chunk.len() as u64 > self.bytes_max {
            state.stop_keeping(Unkept::TooLarge);
        }
        state.take_in(chunk);
        let appended = if state.unkept.is_some() { Appended::Unkept } else { Appended::Kept };
        state.wake_readers();
        appended
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<Appended> {
        let mut state = self.state.lock();
        state.trim();
        match state.fastest() {
            None => Poll::Ready(Appended::Unread),
            // A chunk that was not copied has to be read before the next one comes: there may be no room for both.
            Some(fastest) if state.pieces.behind(fastest) <= state.window_bytes && !state.pieces.has_lent() => {
                Poll::Ready(Appended::Unkept)
            }
            Some(_) => {
                state.producer = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends the body as complete. Returns it, unless it was only passed through, or finds no room as one piece.
    pub(crate) fn complete(&self) -> Option<Content> {
        let mut state = self.state.lock();
        state.end(End::Complete);
        if state.unkept.is_some() {
            return None;
        }
        let whole = state.pieces.joined();
        if whole.is_none() {
            state.stop_keeping(Unkept::NoRoom);
        }
        whole
    }

    /// Ends the body as incomplete.
    pub(crate) fn broken(&self) {
        self.state.lock().end(End::Broken);
    }

    /// How many readers were cut so far, because they fell out of the window.
    pub(crate) fn cut(&self) -> u64 {
        self.state.lock().cut
    }
}

impl State {
    const fn new(unkept: Option<Unkept>, window_bytes: u64, room: Reserved) -> Self {
        Self {
            pieces: Pieces::new(room),
            end: None,
            unkept,
            window_bytes,
            readers: Vec::new(),
            next_reader: 0,
            producer: None,
            cut: 0,
        }
    }

    /// From here on the body is only passed through.
    fn stop_keeping(&mut self, why: Unkept) {
        self.unkept = Some(why);
        self.pieces.stop_keeping();
        if why == Unkept::NoRoom {
            self.window_bytes = self.window_bytes.min(SCARCE_WINDOW_BYTES);
        }
    }

    /// Adds a chunk: copied to the tail's own memory where there is room for it, else as it came.
    fn take_in(&mut self, mut chunk: Bytes) {
        if self.unkept.is_none() {
            self.pieces.copy_in(&mut chunk, None);
            if chunk.is_empty() {
                return;
            }
            self.stop_keeping(Unkept::NoRoom);
        }
        self.pieces.copy_in(&mut chunk, Some(self.window_bytes));
        if !chunk.is_empty() {
            self.window_bytes = (self.window_bytes / 2).max(WINDOW_BYTES_MIN.min(self.window_bytes));
            self.pieces.lend(chunk);
        }
    }

    fn fastest(&self) -> Option<u64> {
        self.readers.iter().map(|reader| reader.position).max()
    }

    fn end(&mut self, end: End) {
        self.end = self.end.or(Some(end));
        self.wake_readers();
    }

    fn wake_readers(&mut self) {
        self.readers.iter_mut().filter_map(|reader| reader.waker.take()).for_each(Waker::wake);
    }

    /// Drops what the fastest reader has read and the window does not hold; cuts the readers that had not read it.
    fn trim(&mut self) {
        let fastest = self.fastest().unwrap_or(0);
        self.pieces.trim(fastest, self.window_bytes);
        let dropped = self.pieces.dropped_bytes();
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
}

/// One reader of a [`Tail`].
#[derive(Debug)]
pub(crate) struct TailBody {
    tail: Arc<Tail>,
    id: u64,
    length: Option<u64>,
}

impl TailBody {
    /// Announces a length in bytes to the reader: the one that the origin announced.
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
        let mut locked = self.tail.state.lock();
        let state = &mut *locked;
        let Some(index) = state.readers.iter().position(|reader| reader.id == self.id) else {
            return Poll::Ready(Some(Err(TailError::Cut.into())));
        };
        let whole = state.end.is_some();
        if let Some(chunk) = state.pieces.at(state.readers[index].position, whole) {
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
