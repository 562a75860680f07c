//! A place at the origin: one exchange, its client, and how far that client lags behind. It can be taken away from a
//! client that makes no progress.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use sandbar_http::client::ShareKey;

use super::pace::Pace;
use crate::body::Body;
use crate::origin::ClientFault;

/// A client that lags by less than this is as fast as its network lets it be.
pub(super) const LAGS_FROM: Duration = Duration::from_millis(250);

/// A place at the origin while a request holds it.
pub(super) struct Place {
    pub(super) client: Option<ShareKey>,
    bytes_min: u64,
    moves: Mutex<Moves>,
    /// Why the client has lost the place; empty while it has not.
    lost: OnceLock<ClientFault>,
    /// The response's content. A client that does not read does not poll it either, so it can be dropped from outside.
    pub(super) content: Mutex<Option<Body>>,
    /// Wakes the task that waits for the response, or for the next part of it.
    pub(super) receiver: AtomicWaker,
    /// Wakes the task that sends the request's content.
    pub(super) sender: AtomicWaker,
}

#[derive(Default)]
struct Moves {
    /// How the client sends the content of its request.
    sending: Pace,
    /// How the client takes the content of the response.
    reading: Pace,
    sent: Sent,
}

/// How far the content of the request has come.
#[derive(Clone, Debug, Default)]
enum Sent {
    /// The request has no content.
    #[default]
    Nothing,
    /// All of it was sent, the last of it at that time.
    All(Duration),
    /// Some of it is still to come.
    UnderWay,
    /// It was dropped before its end, while the client lagged so far behind.
    LetGo(Duration),
    Spoilt(ClientFault),
}

impl Place {
    /// `bytes_min` have to move within the deadline for progress.
    pub(super) fn new(client: Option<ShareKey>, bytes_min: u64) -> Self {
        Self {
            client,
            bytes_min,
            moves: Mutex::default(),
            lost: OnceLock::new(),
            content: Mutex::new(None),
            receiver: AtomicWaker::new(),
            sender: AtomicWaker::new(),
        }
    }

    /// The request has content, which is sent from now on.
    pub(super) fn upload_begins(&self) {
        self.moves.lock().sent = Sent::UnderWay;
    }

    /// From now on the client is waited for to send more.
    pub(super) fn waits_for_upload(&self, now: Duration) {
        self.moves.lock().sending.waits(now);
    }

    /// Notes that `bytes` of the request's content came; `all` says that they were the last.
    pub(super) fn uploaded(&self, bytes: u64, all: bool, now: Duration) {
        let mut moves = self.moves.lock();
        moves.sending.moved(bytes, self.bytes_min, now);
        if all {
            moves.sent = Sent::All(now);
        }
    }

    /// Notes that the client spoilt the content of its request.
    pub(super) fn upload_spoilt(&self, fault: ClientFault, now: Duration) {
        let mut moves = self.moves.lock();
        moves.sending.rests(now);
        moves.sent = Sent::Spoilt(fault);
    }

    /// Notes that the request's content is dropped: no more of it is wanted.
    pub(super) fn upload_let_go(&self, now: Duration) {
        let mut moves = self.moves.lock();
        if matches!(moves.sent, Sent::UnderWay) {
            moves.sent = Sent::LetGo(moves.sending.lag(now));
        }
        moves.sending.rests(now);
    }

    /// The client has a part of the response and is waited for to take it.
    pub(super) fn waits_for_reader(&self, now: Duration) {
        self.moves.lock().reading.waits(now);
    }

    /// Notes that the client has taken `bytes` of the response.
    pub(super) fn read(&self, bytes: u64, now: Duration) {
        self.moves.lock().reading.moved(bytes, self.bytes_min, now);
    }

    /// Since when the origin has the whole of a request that was sent at `began`; `None` while it has not.
    pub(super) fn complete_since(&self, began: Duration) -> Option<Duration> {
        match self.moves.lock().sent {
            Sent::Nothing => Some(began),
            Sent::All(at) => Some(at.max(began)),
            Sent::UnderWay | Sent::LetGo(_) | Sent::Spoilt(_) => None,
        }
    }

    /// Whether some of the request's content is still to come.
    pub(super) fn is_uploading(&self) -> bool {
        matches!(self.moves.lock().sent, Sent::UnderWay)
    }

    /// How long the client has been waited for, and what its fault is if that goes on for too long.
    pub(super) fn lag(&self, now: Duration) -> (Duration, ClientFault) {
        let moves = self.moves.lock();
        let (sending, reading) = (moves.sending.lag(now), moves.reading.lag(now));
        if sending > reading { (sending, ClientFault::LateUpload) } else { (reading, ClientFault::SlowReader) }
    }

    /// Marks the place as taken away from its client. The caller then has to call [`Self::end`].
    pub(super) fn lose(&self, fault: ClientFault) {
        let _ = self.lost.set(fault);
    }

    /// Ends the exchange of a place that was lost: drops what is left of the response, and wakes the tasks that wait.
    pub(super) fn end(&self) {
        let content = self.content.lock().take();
        drop(content);
        self.receiver.wake();
        self.sender.wake();
    }

    /// Why the client has lost the place; `None` while it has not.
    pub(super) fn lost(&self) -> Option<ClientFault> {
        self.lost.get().cloned()
    }

    /// Ready when the place is lost.
    pub(super) async fn is_lost(&self) -> ClientFault {
        std::future::poll_fn(|context| {
            self.receiver.register(context.waker());
            self.lost().map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        })
        .await
    }

    /// What the client did wrong, if anything: to be asked when the exchange has ended.
    pub(super) fn client_fault(&self) -> Option<ClientFault> {
        self.lost().or_else(|| match &self.moves.lock().sent {
            Sent::Spoilt(fault) => Some(fault.clone()),
            _ => None,
        })
    }

    /// Whether the origin can't be blamed for a failure now: the client did something wrong, or the origin waited for it.
    pub(super) fn is_hindered(&self, now: Duration) -> bool {
        self.client_fault().is_some() || self.upload_lags(now)
    }

    /// Whether the client keeps, or kept, the origin waiting for content.
    pub(super) fn upload_lags(&self, now: Duration) -> bool {
        let moves = self.moves.lock();
        match moves.sent {
            Sent::UnderWay => moves.sending.lag(now) >= LAGS_FROM,
            Sent::LetGo(lag) => lag >= LAGS_FROM,
            Sent::Nothing | Sent::All(_) | Sent::Spoilt(_) => false,
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("client", &self.client).field("lost", &self.lost).finish_non_exhaustive()
    }
}
