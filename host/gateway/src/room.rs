//! Charges the memory of client connections, and of the requests on them, before it is taken: a connection that finds
//! no room is not accepted yet, a request that finds none is refused.
//!
//! A connection costs a constant, which holds its one request where it speaks HTTP/1.1. An HTTP/2 stream costs another,
//! until the last byte of its response is written. `docs/operating.md` says how large the constants are and how they
//! were measured. What a client uses beyond them is charged by its size: fields of heads, and bytes sent faster than
//! they are read.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use sandbar::cache::head_bytes;
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use, sent};

/// Charge for a connection of either protocol with one request on it, in bytes.
pub(super) const CONNECTION_BYTES: u64 = 48 << 10;

/// What TLS adds to the charge for a connection, in bytes: a message of the handshake as long as one may be, or records
/// that are being received and such as wait to be sent.
pub(super) const TLS_BYTES: u64 = 64 << 10;

/// Charge for an HTTP/2 stream, from its request to the last byte of its response, in bytes.
pub(super) const STREAM_BYTES: u64 = 8 << 10;

/// How much of a head the constants include, in bytes.
const HEAD_BYTES: u64 = 2 << 10;

/// How much of what was read since the last request the constants include, in bytes: hyper's first buffer.
const READ_BYTES: u64 = 8 << 10;

/// How much a connection may hold of what its client sends, in bytes, unless the longest head is larger: hyper's
/// windows and buffers are set to no more.
const READ_BYTES_MAX: u64 = 64 << 10;

/// How many refusals may wait to be written; reading more from a client that takes none of them fails.
const REFUSED_MAX: u64 = 64;

/// The most connections of operators for which room is set aside.
const KEPT_CONNECTIONS_MAX: u32 = 16;

/// Streams on each of an operator's connections.
pub(super) const KEPT_STREAMS: u32 = 4;

/// The part of the account that operators' connections take at most: a thirty-second.
const KEPT_DIVISOR: u64 = 32;

/// The memory from which a listener's connections are charged.
#[derive(Clone)]
pub(super) struct Rooms {
    budget: Arc<MemoryBudget>,
    connection_bytes: u64,
    read_bytes_max: u64,
    /// The charge for this account, where it is a part of the node's own.
    _kept: Option<Arc<Reserved>>,
}

impl Rooms {
    /// Rooms in the node's account, for heads of so many bytes at most.
    pub(super) fn shared(budget: &Arc<MemoryBudget>, head_bytes_max: u64) -> Self {
        let read_bytes_max = READ_BYTES_MAX.max(head_bytes_max);
        // hyper lets as many bytes of a response wait to be written as a head may have.
        let connection_bytes = CONNECTION_BYTES + read_bytes_max - READ_BYTES_MAX;
        Self { budget: Arc::clone(budget), connection_bytes, read_bytes_max, _kept: None }
    }

    /// Rooms in a part of the account that nobody else uses, for up to [`KEPT_CONNECTIONS_MAX`] connections with
    /// [`KEPT_STREAMS`] streams each: an operator is let in however full the node is. Also returns the number of
    /// connections; each may be over TLS where `over_tls` says that some are. None where there is no room for one.
    pub(super) fn kept(budget: &Arc<MemoryBudget>, head_bytes_max: u64, over_tls: bool) -> Option<(Self, u32)> {
        let read_bytes_max = READ_BYTES_MAX.max(head_bytes_max);
        let connection_bytes = CONNECTION_BYTES + u64::from(KEPT_STREAMS) * STREAM_BYTES;
        let tls_bytes = if over_tls { TLS_BYTES } else { 0 };
        let with_reads_bytes = connection_bytes + tls_bytes + 2 * read_bytes_max;
        let share_bytes = budget.total_bytes() / KEPT_DIVISOR;
        let connections = (share_bytes / with_reads_bytes).clamp(1, KEPT_CONNECTIONS_MAX.into());
        let kept = budget.reserve(Use::Connections, connections * with_reads_bytes)?;
        let budget = MemoryBudget::new(kept.bytes());
        let rooms = Self { budget, connection_bytes, read_bytes_max, _kept: Some(Arc::new(kept)) };
        Some((rooms, u32::try_from(connections).unwrap_or(1)))
    }

    /// Charges a connection, over TLS or without it; none where there is no room.
    pub(super) fn connection(&self, over_tls: bool) -> Option<Arc<ConnectionCharge>> {
        let base_bytes = self.connection_bytes + if over_tls { TLS_BYTES } else { 0 };
        let room = self.budget.reserve(Use::Connections, base_bytes)?;
        Some(Arc::new(ConnectionCharge {
            budget: Arc::clone(&self.budget),
            base_bytes,
            read_bytes_max: self.read_bytes_max,
            read: Mutex::new(Read { room, requests: 0, bytes: 0 }),
            requests: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            ended: Mutex::default(),
        }))
    }
}

/// The charge for a connection and all that it holds.
pub(super) struct ConnectionCharge {
    budget: Arc<MemoryBudget>,
    base_bytes: u64,
    read_bytes_max: u64,
    read: Mutex<Read>,
    /// Requests so far.
    requests: AtomicU64,
    /// Requests whose response is not yet handed over completely.
    in_flight: AtomicU64,
    /// Requests refused since the connection has last written all that it was handed.
    refused: AtomicU64,
    /// Charges of requests whose response is handed over, until the connection has written all that it was handed.
    ended: Mutex<Vec<Arc<Reserved>>>,
}

struct Read {
    room: Reserved,
    /// The number of requests when `bytes` was last 0.
    requests: u64,
    /// Bytes read since then.
    bytes: u64,
}

impl ConnectionCharge {
    /// Charges a request; none where it has to be refused.
    pub(super) fn request<B>(self: &Arc<Self>, request: &Request<B>) -> Option<RequestCharge> {
        let room = match request.version() {
            Version::HTTP_2 => {
                let head_bytes = head_bytes(request.headers()).saturating_sub(HEAD_BYTES);
                let room = self.budget.reserve(Use::Streams, STREAM_BYTES + head_bytes);
                if room.is_none() {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                Some(Arc::new(room?))
            }
            _ => None,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(RequestCharge { connection: Arc::clone(self), room, answer: None })
    }

    /// Charges bytes that were read; false where there is no room for them, or too many refusals wait to be written.
    pub(super) fn covers_read(&self, bytes: u64) -> bool {
        if self.refused.load(Ordering::Relaxed) > REFUSED_MAX {
            return false;
        }
        let mut read = self.read.lock();
        let requests = self.requests.load(Ordering::Relaxed);
        if read.requests != requests && self.in_flight.load(Ordering::Relaxed) == 0 {
            (read.requests, read.bytes) = (requests, 0);
            read.room.shrink_to(self.base_bytes);
        }
        read.bytes += bytes;
        // Twice, as the parsed form lies beside the bytes that were read.
        let more_bytes = 2 * read.bytes.min(self.read_bytes_max);
        read.bytes <= READ_BYTES || read.room.cover(self.base_bytes + more_bytes)
    }

    /// To be called when all that the connection was handed is written: nothing handed over needs to be charged any
    /// more.
    pub(super) fn flushed(&self) {
        self.refused.store(0, Ordering::Relaxed);
        self.ended.lock().clear();
    }
}

/// The charge for a request, until its response is written.
pub(super) struct RequestCharge {
    connection: Arc<ConnectionCharge>,
    /// None where the connection's constant holds it.
    room: Option<Arc<Reserved>>,
    /// The charge for the head of the response, where that is large.
    answer: Option<Reserved>,
}

impl RequestCharge {
    /// Charges the head of the response as well; false where there is no room.
    pub(super) fn covers_head(&mut self, fields: &http::HeaderMap) -> bool {
        let bytes = head_bytes(fields).saturating_sub(HEAD_BYTES);
        if bytes > 0 {
            self.answer = self.connection.budget.reserve(Use::Streams, bytes);
        }
        bytes == 0 || self.answer.is_some()
    }
}

impl Drop for RequestCharge {
    fn drop(&mut self) {
        self.connection.in_flight.fetch_sub(1, Ordering::Relaxed);
        // A request over HTTP/1.1 has no charge of its own as a rule.
        if self.room.is_some() || self.answer.is_some() {
            let rooms = self.room.take().into_iter().chain(self.answer.take().map(Arc::new));
            self.connection.ended.lock().extend(rooms);
        }
    }
}

/// The content of a response, with what is charged for its request.
pub(super) struct Sending<B> {
    pub(super) content: B,
    /// None for the answer to a request for which there was no room.
    pub(super) room: Option<RequestCharge>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Sending<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(context));
        let stream = self.room.as_ref().and_then(|room| room.room.as_ref());
        // Frames carry the charge: where a client reads no further, its stream holds the last frame long after the
        // content has ended.
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match stream {
                Some(room) => frame.map_data(|data| if data.is_empty() { data } else { sent(data, room) }),
                None => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn request(version: Version, field_bytes: usize) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        request.headers_mut().insert("x", "x".repeat(field_bytes).parse().expect("a value"));
        request
    }

    #[test]
    fn a_connection_that_finds_no_room_is_not_accepted() {
        let budget = MemoryBudget::new(2 * CONNECTION_BYTES);
        let rooms = Rooms::shared(&budget, 0);
        let (first, _second) = (rooms.connection(false), rooms.connection(false));
        assert!(first.is_some() && rooms.connection(false).is_none());
        drop(first);
        assert!(rooms.connection(false).is_some());
    }

    #[test]
    fn operators_have_room_of_their_own() {
        let budget = MemoryBudget::new(32 << 20);
        let (rooms, connections) = Rooms::kept(&budget, 0, false).expect("there is room");
        assert_eq!(connections, 4, "a thirty-second of it");
        let left = budget.total_bytes() - budget.stats().used_bytes;
        let _others = budget.reserve(Use::Streams, left).expect("there is as much left");
        let accepted: Vec<_> = (0..connections).filter_map(|_| rooms.connection(false)).collect();
        assert_eq!(accepted.len(), 4);
        assert!(accepted.iter().all(|one| (0..100).all(|_| one.covers_read(READ_BYTES))), "each can be sent something");
        assert!(Rooms::kept(&budget, 0, false).is_none());
    }

    #[test]
    fn a_connection_over_tls_is_charged_for_it() {
        let budget = MemoryBudget::new(32 << 20);
        let (rooms, connections) = Rooms::kept(&budget, 0, true).expect("there is room");
        let accepted: Vec<_> = (0..connections).filter_map(|_| rooms.connection(true)).collect();
        assert!(accepted.len() == connections as usize && connections == 3, "{connections}");
        assert!(accepted.iter().all(|one| (0..100).all(|_| one.covers_read(READ_BYTES))), "each can be sent something");
        let others = Rooms::shared(&budget, 0);
        let before = budget.stats().used_bytes;
        let _one = others.connection(true).expect("room");
        assert_eq!(budget.stats().used_bytes - before, CONNECTION_BYTES + TLS_BYTES);
    }

    #[test]
    fn a_stream_is_charged_until_its_response_is_written() {
        let budget = MemoryBudget::new(CONNECTION_BYTES + 2 * STREAM_BYTES);
        let connection = Rooms::shared(&budget, 0).connection(false).expect("room");
        let mut open: Vec<_> = (0..2).filter_map(|_| connection.request(&request(Version::HTTP_2, 0))).collect();
        assert_eq!((open.len(), budget.stats().used_bytes), (2, CONNECTION_BYTES + 2 * STREAM_BYTES));
        assert!(connection.request(&request(Version::HTTP_2, 0)).is_none());
        assert!(connection.request(&request(Version::HTTP_11, 0)).is_some(), "the connection's constant holds it");
        // Its content is handed over, and waits in the connection.
        let content = Full::new(Bytes::from_static(b"content"));
        let mut sending = Sending { content, room: open.pop() };
        let next = std::pin::pin!(sending.frame()).as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        let Poll::Ready(Some(Ok(frame))) = next else { panic!("there is a frame") };
        drop(sending);
        connection.flushed();
        assert!(connection.request(&request(Version::HTTP_2, 0)).is_none(), "its window is closed");
        drop(frame);
        let refused =
            std::iter::repeat_with(|| connection.request(&request(Version::HTTP_2, 9 * STREAM_BYTES as usize)));
        assert!(refused.take(1 + REFUSED_MAX as usize).all(|room| room.is_none()) && !connection.covers_read(1));
        connection.flushed();
        assert!(connection.covers_read(1));
        // A response without content is a head that waits to be written.
        drop(open.pop());
        assert_eq!(connection.ended.lock().len(), 1);
        connection.flushed();
        assert_eq!(budget.stats().used_bytes, CONNECTION_BYTES);
    }

    #[test]
    fn heads_are_charged_by_their_size() {
        let budget = MemoryBudget::new(CONNECTION_BYTES + 3 * STREAM_BYTES);
        let connection = Rooms::shared(&budget, 0).connection(false).expect("room");
        assert!(connection.request(&request(Version::HTTP_2, 3 * STREAM_BYTES as usize)).is_none());
        let mut small = connection.request(&request(Version::HTTP_2, 100)).expect("room");
        assert_eq!(budget.stats().used_bytes, CONNECTION_BYTES + STREAM_BYTES);
        assert!(small.covers_head(request(Version::HTTP_2, 100).headers()));
        assert!(!small.covers_head(request(Version::HTTP_2, 3 * STREAM_BYTES as usize).headers()));
    }

    #[test]
    fn what_a_client_sends_faster_than_it_is_taken_is_charged() {
        let budget = MemoryBudget::new(CONNECTION_BYTES + 2 * READ_BYTES_MAX);
        let rooms = Rooms::shared(&budget, 0);
        let connection = rooms.connection(false).expect("room");
        assert!(connection.covers_read(READ_BYTES));
        assert_eq!(budget.stats().used_bytes, CONNECTION_BYTES);
        assert!((0..100).all(|_| connection.covers_read(READ_BYTES)));
        assert_eq!(budget.stats().used_bytes, CONNECTION_BYTES + 2 * READ_BYTES_MAX);
        // The next head is read when the request before it is answered.
        drop(connection.request(&request(Version::HTTP_11, 0)));
        assert!(connection.covers_read(100));
        assert_eq!(budget.stats().used_bytes, CONNECTION_BYTES);
        let _others = rooms.connection(false).expect("room");
        assert!((0..100).any(|_| !connection.covers_read(READ_BYTES)), "there is no room for so much");
    }
}
