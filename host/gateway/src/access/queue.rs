//! The queue between the workers and the thread that writes: bounded, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio_util::sync::{CancellationToken, DropGuard};

/// Lines that may wait to be written.
const QUEUE_LINES_MAX: usize = 16_384;
/// What these lines may weigh together, in bytes.
pub(super) const QUEUE_BYTES_MAX: u64 = 4 << 20;

/// What the thread is told.
pub(super) enum Message {
    /// To write this line.
    Line(String),
    /// To look at what else is wanted.
    Look,
}

/// The workers' end of the queue.
pub(super) struct Queue {
    messages: SyncSender<Message>,
    queued_bytes: AtomicU64,
    wants_reopen: AtomicBool,
    is_closed: AtomicBool,
    ended: CancellationToken,
    written: AtomicU64,
    lost: [AtomicU64; 3],
}

/// Why a line is lost; the place of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    QueueFull,
    NoRoom,
    NotWritten,
}

impl Lost {
    const ALL: [Self; 3] = [Self::QueueFull, Self::NoRoom, Self::NotWritten];

    /// The stable word for it in metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::NoRoom => "no-room",
            Self::NotWritten => "not-written",
        }
    }
}

/// Figures of an access log since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessStats {
    /// Lines that were written.
    pub(crate) written: u64,
    /// Lines that were lost, by reason.
    pub(crate) lost: [(&'static str, u64); 3],
}

impl Queue {
    pub(super) fn new() -> (Arc<Self>, Receiver<Message>) {
        let (messages, received) = sync_channel(QUEUE_LINES_MAX);
        let queue = Self {
            messages,
            queued_bytes: AtomicU64::new(0),
            wants_reopen: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            ended: CancellationToken::new(),
            written: AtomicU64::new(0),
            lost: Default::default(),
        };
        (Arc::new(queue), received)
    }

    /// Hands a line over, or loses it where too many wait.
    pub(super) fn push(&self, line: String) {
        let bytes = line.len() as u64;
        let fits = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUE_BYTES_MAX;
        if !fits || self.messages.try_send(Message::Line(line)).is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.lose(Lost::QueueFull, 1);
        }
    }

    /// Notes that lines of so many bytes have left the queue.
    pub(super) fn taken(&self, bytes: u64) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, lines: u64) {
        self.written.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, why: Lost, lines: u64) {
        self.lost[why as usize].fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn lost_for_want_of_room(&self) {
        self.lose(Lost::NoRoom, 1);
    }

    pub(super) fn reopen(&self) {
        self.wants_reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the file is to be opened anew; false from then on.
    pub(super) fn takes_reopen(&self) -> bool {
        self.wants_reopen.swap(false, Ordering::AcqRel)
    }

    /// Has the thread write what is queued, and end.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wake();
    }

    /// Waits until the thread has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Says, once it is dropped, that the thread has ended.
    pub(super) fn says_ended(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Lines that did not come as far as to the thread.
    pub(super) fn lost_in_front(&self) -> u64 {
        [Lost::QueueFull, Lost::NoRoom].map(|why| self.lost_by(why)).iter().sum()
    }

    fn lost_by(&self, why: Lost) -> u64 {
        self.lost[why as usize].load(Ordering::Relaxed)
    }

    pub(super) fn stats(&self) -> AccessStats {
        let lost = Lost::ALL.map(|why| (why.as_str(), self.lost_by(why)));
        AccessStats { written: self.written.load(Ordering::Relaxed), lost }
    }

    /// Wakes the thread; where the queue is full it is awake.
    fn wake(&self) {
        let _ = self.messages.try_send(Message::Look);
    }
}
