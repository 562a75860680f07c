//! The thread that writes the lines, several at a time where several wait.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use sandbar_base::clock::{Clock, Timestamp};
use sandbar_base::disk_trouble::DiskTrouble;

use super::queue::{Lost, Message, Queue};
use super::target::Target;

/// How many bytes are written together, at least where so many wait.
const BATCH_BYTES: usize = 64 << 10;
/// How often it is told that lines were lost because too many waited, in milliseconds.
const TOLD_EVERY_MS: u64 = 60_000;

/// What the thread works with.
pub(super) struct Writer {
    target: Target,
    queue: Arc<Queue>,
    trouble: Arc<DiskTrouble>,
    clock: Arc<dyn Clock>,
    /// When it was last told that lines were lost in front of the queue, and how many had been by then.
    told: Option<(Timestamp, u64)>,
}

/// Starts the thread. It ends when the queue is closed.
pub(super) fn start(mut writer: Writer, messages: Receiver<Message>) {
    let run = move || {
        let _ended = writer.queue.says_ended();
        writer.run(&messages);
    };
    if let Err(error) = std::thread::Builder::new().name("access-log".to_owned()).spawn(run) {
        tracing::error!(%error, "no thread for the access log: its lines are lost");
    }
}

impl Writer {
    pub(super) fn new(target: Target, queue: Arc<Queue>, trouble: Arc<DiskTrouble>, clock: Arc<dyn Clock>) -> Self {
        Self { target, queue, trouble, clock, told: None }
    }

    fn run(&mut self, messages: &Receiver<Message>) {
        // At once, so that a file that can't be opened is told at the start.
        self.open();
        let mut batch = Vec::with_capacity(2 * BATCH_BYTES);
        while let Some(first) = self.next(messages) {
            let (mut next, mut lines) = (Some(first), 0);
            while let Some(message) = next {
                if let Message::Line(line) = message {
                    batch.extend_from_slice(line.as_bytes());
                    lines += 1;
                }
                next = if batch.len() < BATCH_BYTES { messages.try_recv().ok() } else { None };
            }
            // Before the lines are written: those that come behind the request go to the new file.
            if self.queue.takes_reopen() {
                self.target.reopen();
                self.open();
            }
            self.write(&batch, lines);
            self.queue.taken(batch.len() as u64);
            batch.clear();
            self.tell_of_lost();
        }
    }

    /// Waits for what there is to do next; none once the queue is closed and empty. Who closes a full queue wakes nobody, so
    /// nothing may be waited for after that.
    fn next(&self, messages: &Receiver<Message>) -> Option<Message> {
        if self.queue.is_closed() { messages.try_recv().ok() } else { messages.recv().ok() }
    }

    fn open(&mut self) {
        if let Err(error) = self.target.ready() {
            self.trouble.refused(&error, self.clock.now());
        }
    }

    fn write(&mut self, batch: &[u8], lines: u64) {
        if lines == 0 {
            return;
        }
        self.open();
        if !self.target.is_open() {
            return self.queue.lose(Lost::NotWritten, lines);
        }
        match self.target.write(batch) {
            Ok(()) => self.queue.wrote(lines),
            Err(error) => {
                self.trouble.refused(&error, self.clock.now());
                self.queue.lose(Lost::NotWritten, lines);
            }
        }
    }

    fn tell_of_lost(&mut self) {
        let lost = self.queue.lost_in_front();
        let (now, told) = (self.clock.now(), self.told.map_or(0, |(_, lines)| lines));
        let is_due = self.told.is_none_or(|(at, _)| now.as_millis() >= at.as_millis() + TOLD_EVERY_MS);
        if lost > told && is_due {
            self.told = Some((now, lost));
            let lines = lost - told;
            tracing::warn!(lines, "lines of the access log were lost: more came than could be written, or be kept");
        }
    }
}
