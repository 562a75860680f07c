//! A write that was handed out: whoever has it owes the journal to say what became of it.

use std::sync::Arc;

use sandbar_base::Timestamp;

use crate::queue::Picked;
use crate::segment::ReadError;
use crate::shared::Shared;
use crate::write::{HeldWrite, Seq, Write};

/// A write that is under way: no other write to its key is handed out meanwhile. If it is dropped without a word, it is
/// handed out again, no sooner than after the pause for a disk that is busy.
#[derive(Debug)]
#[must_use = "its key waits until it is done, failed or dead"]
pub struct Handed {
    duty: Duty,
    write: Write,
}

impl Handed {
    /// Its number, which stays the same however often it is handed out.
    pub const fn seq(&self) -> Seq {
        Seq(self.duty.seq)
    }

    /// The write.
    pub const fn write(&self) -> &Write {
        &self.write
    }

    /// How often it has been handed out since the journal was opened, this time included: for
    /// [`crate::Backoff::pause`].
    pub const fn attempt(&self) -> u32 {
        self.duty.attempt
    }

    /// It is delivered. After a crash it may come again all the same, with the same idempotency key, until this is on
    /// the disk, half a second later at most.
    pub fn done(self) {
        self.duty.settle(|shared, seq| shared.settle(|queue| queue.done(seq)));
    }

    /// It is not delivered, and is to be tried again at that time. Later writes to its key wait until then as well.
    pub fn failed(self, retry_at: Timestamp) {
        self.duty.settle(|shared, seq| shared.settle(|queue| queue.failed(seq, retry_at)));
    }

    /// It can't be delivered: it is kept as a dead letter, and later writes to its key go on. `reason` is for an
    /// operator; what is longer than 1 KiB is cut off.
    pub fn dead(self, reason: &str, now: Timestamp) {
        self.duty.settle(|shared, seq| shared.settle(|queue| queue.bury(seq, reason, now)));
    }
}

/// That something must be said of a write.
#[derive(Debug)]
pub(crate) struct Duty {
    shared: Arc<Shared>,
    seq: u64,
    attempt: u32,
    retry_at: Timestamp,
    is_settled: bool,
}

impl Duty {
    pub(crate) fn of(picked: &Picked, shared: &Arc<Shared>, now: Timestamp) -> Self {
        let retry_at = now.saturating_add(shared.settings.retry_after_busy);
        Self { shared: Arc::clone(shared), seq: picked.seq, attempt: picked.attempt, retry_at, is_settled: false }
    }

    /// Reads the write. One that can't be read now is due again later; one that is damaged is lost, and told.
    pub(crate) fn read(self) -> Option<Handed> {
        match self.shared.read(self.seq) {
            Ok(Some(HeldWrite { write, .. })) => Some(Handed { duty: self, write }),
            Ok(None) => None,
            Err(ReadError::Disk(error)) => {
                self.shared.trouble.refused(&error, self.shared.clock.now());
                None
            }
            Err(damaged) => {
                self.settle(|shared, seq| shared.lose(seq, &damaged));
                None
            }
        }
    }

    fn settle(mut self, settle: impl FnOnce(&Shared, u64)) {
        self.is_settled = true;
        settle(&self.shared, self.seq);
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !self.is_settled {
            self.shared.settle(|queue| queue.failed(self.seq, self.retry_at));
        }
    }
}
