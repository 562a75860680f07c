//! What waits for the writer: the bounded queue between those who append and the one thread that writes.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use sandbar_base::{KeyHash, Timestamp};
use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::format::record::RECORD_BYTES;
use crate::write::Seq;

/// A write on its way to the disk.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) tenant: Arc<str>,
    pub(crate) key: KeyHash,
    pub(crate) at: Timestamp,
    pub(crate) replaces: bool,
    pub(crate) author: u64,
    pub(crate) client: Option<NonZeroU64>,
    pub(crate) body: Bytes,
    pub(crate) ack: oneshot::Sender<Result<Seq, AppendError>>,
}

impl Waiting {
    /// Bytes of its record.
    pub(crate) fn bytes(&self) -> u64 {
        self.body.len() as u64 + u64::from(RECORD_BYTES)
    }
}

/// Why a write is not let in.
#[derive(Debug)]
pub(crate) enum NotLetIn {
    Full,
    Closed,
}

#[derive(Debug, Default)]
struct State {
    writes: VecDeque<Waiting>,
    /// Bytes that wait, and those that are just being written.
    bytes: u64,
    /// Whether there is something else to write that is in no hurry.
    has_notes: bool,
    is_urgent: bool,
    is_closing: bool,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    bytes_max: u64,
    state: Mutex<State>,
    bell: Condvar,
}

impl Inbox {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, state: Mutex::default(), bell: Condvar::new() }
    }

    pub(crate) fn push(&self, waiting: Waiting) -> Result<(), NotLetIn> {
        let mut state = self.state.lock();
        if state.is_closing {
            return Err(NotLetIn::Closed);
        }
        if state.bytes + waiting.bytes() > self.bytes_max {
            return Err(NotLetIn::Full);
        }
        state.bytes += waiting.bytes();
        state.writes.push_back(waiting);
        self.bell.notify_one();
        Ok(())
    }

    /// Takes as many of the writes as one group commit may have; [`Self::written`] gives their room back.
    pub(crate) fn take(&self, batch_bytes: u64) -> Vec<Waiting> {
        let mut state = self.state.lock();
        let mut bytes = 0;
        let fits = |waiting: &&Waiting| {
            bytes += waiting.bytes();
            bytes <= batch_bytes
        };
        let len = state.writes.iter().take_while(fits).count().max(1).min(state.writes.len());
        state.writes.drain(..len).collect()
    }

    pub(crate) fn written(&self, bytes: u64) {
        self.state.lock().bytes -= bytes;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Says that there are notes to be written.
    pub(crate) fn ring(&self, is_urgent: bool) {
        let mut state = self.state.lock();
        let is_news = !state.has_notes || is_urgent;
        state.has_notes = true;
        state.is_urgent |= is_urgent;
        if is_news {
            self.bell.notify_one();
        }
    }

    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.bell.notify_one();
    }

    /// Closes the queue for good: nobody writes any more. Whoever still waits is told so, because the ends that would have
    /// answered are dropped.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.is_closing = true;
        state.writes.clear();
    }

    /// Waits until there is something to write: a write or something urgent, or notes for so long. False once the queue
    /// is closed and no write is in it.
    pub(crate) fn wait(&self, notes_for: Duration) -> bool {
        let mut state = self.state.lock();
        loop {
            if !state.writes.is_empty() || state.is_urgent {
                break;
            }
            if state.is_closing {
                return false;
            }
            if !state.has_notes {
                self.bell.wait(&mut state);
            } else if self.bell.wait_for(&mut state, notes_for).timed_out() {
                break;
            }
        }
        (state.has_notes, state.is_urgent) = (false, false);
        true
    }
}
