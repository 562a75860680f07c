//! The writer thread: all changes of the log go through one bounded queue, in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sandbar_base::clock::{Clock, Timestamp};
use sandbar_base::disk_trouble::DiskTrouble;
use sandbar_http::entry::Entry;
use sandbar_http::key::KeyHash;
use tokio::sync::oneshot;

use super::log::Log;
use crate::tier::codec::{self, Encoding};

/// How often expired segments are looked for when nothing is written.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Bounds of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    pub(super) len: usize,
    pub(super) bytes: u64,
}

/// The sending end of the queue; dropping it is [`Writer::end`].
#[derive(Debug)]
pub(super) struct Writer {
    jobs: RwLock<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    queued_bytes: Arc<AtomicU64>,
    limits: QueueLimits,
}

/// Why a job was not done.
#[derive(Debug)]
pub(super) enum NotDone {
    /// The queue is full.
    Full,
    /// The disk refused.
    Refused(String),
    /// The thread has ended.
    Gone,
}

type Done = oneshot::Sender<Result<(), NotDone>>;

#[derive(Debug)]
enum Job {
    Put { key: KeyHash, entry: Arc<Entry>, until: Timestamp, weight_bytes: u64, done: Done },
    Remove { key: KeyHash, done: Done },
    Tidy,
}

impl Writer {
    pub(super) fn start(
        log: Log,
        clock: Arc<dyn Clock>,
        encoding: Encoding,
        limits: QueueLimits,
        trouble: Arc<DiskTrouble>,
    ) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(limits.len);
        let queued_bytes = Arc::new(AtomicU64::new(0));
        let worker = Worker { log, clock, encoding, queued_bytes: Arc::clone(&queued_bytes), trouble };
        let thread = std::thread::Builder::new().name("disk-tier".into()).spawn(move || worker.run(&queue))?;
        Ok(Self { jobs: RwLock::new(Some(jobs)), thread: Mutex::new(Some(thread)), queued_bytes, limits })
    }

    /// Encodes and writes an entry.
    pub(super) async fn put(&self, key: KeyHash, entry: Arc<Entry>, until: Timestamp) -> Result<(), NotDone> {
        let weight_bytes = entry.weight_bytes();
        let before = self.queued_bytes.fetch_add(weight_bytes, Ordering::AcqRel);
        // An entry may be larger than the whole queue: it is taken when nothing else is queued.
        if before > 0 && before + weight_bytes > self.limits.bytes {
            self.queued_bytes.fetch_sub(weight_bytes, Ordering::AcqRel);
            return Err(NotDone::Full);
        }
        let (done, result) = oneshot::channel();
        if let Err(error) = self.send(Job::Put { key, entry, until, weight_bytes, done }) {
            self.queued_bytes.fetch_sub(weight_bytes, Ordering::AcqRel);
            return Err(error);
        }
        result.await.unwrap_or(Err(NotDone::Gone))
    }

    /// Removes a key's value.
    pub(super) async fn remove(&self, key: KeyHash) -> Result<(), NotDone> {
        let (done, result) = oneshot::channel();
        self.send(Job::Remove { key, done })?;
        result.await.unwrap_or(Err(NotDone::Gone))
    }

    /// Has the capacity checked again soon, because another file in the directory has grown.
    pub(super) fn tidy(&self) {
        let _ = self.send(Job::Tidy);
    }

    /// Ends the thread once all that is queued is written, and waits for that: nothing more is taken.
    pub(super) fn end(&self) {
        drop(self.jobs.write().take());
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }

    fn send(&self, job: Job) -> Result<(), NotDone> {
        let jobs = self.jobs.read();
        let jobs = jobs.as_ref().ok_or(NotDone::Gone)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => NotDone::Full,
            TrySendError::Disconnected(_) => NotDone::Gone,
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

struct Worker {
    log: Log,
    clock: Arc<dyn Clock>,
    encoding: Encoding,
    queued_bytes: Arc<AtomicU64>,
    trouble: Arc<DiskTrouble>,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            match queue.recv_timeout(TIDY_EVERY) {
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => self.tidy(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn work(&mut self, job: Job) {
        let now = self.clock.now();
        let trouble = Arc::clone(&self.trouble);
        let refused = |error: io::Error| {
            // An entry that is larger than a segment is no failure of the disk.
            if error.kind() != io::ErrorKind::FileTooLarge {
                trouble.refused(&error, now);
            }
            NotDone::Refused(error.to_string())
        };
        match job {
            Job::Put { key, entry, until, weight_bytes, done } => {
                let bytes = codec::encode_with(&entry, &self.encoding);
                drop(entry);
                let result = self.log.put(key, &bytes, until, now).map_err(refused);
                self.queued_bytes.fetch_sub(weight_bytes, Ordering::AcqRel);
                let _ = done.send(result);
            }
            Job::Remove { key, done } => {
                let _ = done.send(self.log.remove(key, now).map_err(refused));
            }
            Job::Tidy => self.tidy(),
        }
    }

    fn tidy(&mut self) {
        let now = self.clock.now();
        if let Err(error) = self.log.tidy(now) {
            self.trouble.refused(&error, now);
        }
    }
}
