//! The journal: what its users call.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use sandbar_base::Timestamp;
use sandbar_base::clock::Clock;
use sandbar_base::disk_trouble::DiskTrouble;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::batch::Batch;
use crate::error::{AppendError, OpenError};
use crate::files::{DiskFiles, Files};
use crate::format::head::JournalId;
use crate::handed::{Duty, Handed};
use crate::inbox::Inbox;
use crate::letters::{DeadLetter, Overtaken, Retry};
use crate::log::replay::{Damage, Opened, Opening};
use crate::queue::{Buried, Queue};
use crate::segment::ReadError;
use crate::settings::{Settings, TenantBounds};
use crate::shared::Shared;
use crate::stats::JournalStats;
use crate::write::{HeldWrite, Seq, Write, hash_of};
use crate::writer::Writer;

/// A journal that is open: this process alone has it. Dropping it closes it, and waits for the disk.
#[derive(Debug)]
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Result<(), AppendError>>>>,
}

/// What was found when a journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Writes that are not done: they are due.
    pub pending: usize,
    /// Dead letters.
    pub dead: usize,
    /// Bytes of writes that a crash had torn. Nobody had been told that they are held.
    pub torn_bytes: u64,
    /// Damage to what had been acknowledged: the disk, or somebody with access to the files, has changed them.
    pub damage: Vec<Damage>,
}

/// How much of the dead letters is listed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The number of the last one on the page before.
    pub after: Option<Seq>,
    /// Letters at most.
    pub len: usize,
    /// Bytes at most; one letter is always taken.
    pub bytes: u64,
}

impl Journal {
    /// Opens the journal in a directory, which is made where it is not there, and reads all of it: call this at start,
    /// or where waiting for the disk holds nobody up.
    ///
    /// # Errors
    /// Where the settings make no sense, another process has the journal, a newer version wrote it, or the disk
    /// refuses: in words for an operator.
    pub fn open(dir: &Path, settings: Settings, clock: Arc<dyn Clock>) -> Result<(Self, Found), OpenError> {
        Self::open_on(Arc::new(DiskFiles), dir, settings, clock)
    }

    /// Opens a journal on other files than those of this machine.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        files: Arc<dyn Files>,
        dir: &Path,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Found), OpenError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| OpenError::refused(dir, std::io::Error::other(error)))?;
        let (writer, found) = writer_on(files, dir, settings, clock, JournalId(id))?;
        let shared = Arc::clone(&writer.shared);
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::refused(dir, error))?;
        Ok((Self { shared, thread: Mutex::new(Some(thread)) }, found))
    }

    /// Holds a write: once this returns its number, no crash loses it. Writers that come together share an `fsync`.
    /// When the future is dropped the write may be held or not.
    ///
    /// # Errors
    /// When the write is too large, there is no room for it, or the disk refuses; [`AppendError::retry_after`] says for
    /// how long to wait.
    pub async fn append(&self, write: &Write) -> Result<Seq, AppendError> {
        let acknowledged = self.shared.submit(write)?;
        acknowledged.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Whether a key has a write that is not done: a look into memory, which is all that most reads need.
    pub fn has(&self, tenant: &str, key: &[u8]) -> bool {
        self.shared.queue.read().latest(hash_of(tenant, key)).is_some()
    }

    /// The latest write to a key that is not done. From memory where it is there, else from the disk.
    ///
    /// # Errors
    /// When the disk refuses, or has something else there.
    pub async fn latest(&self, tenant: &str, key: &[u8]) -> Result<Option<HeldWrite>, ReadError> {
        let Some(seq) = self.shared.queue.read().latest(hash_of(tenant, key)) else { return Ok(None) };
        if !self.shared.is_on_disk_alone(seq) {
            return self.shared.read(seq);
        }
        let shared = Arc::clone(&self.shared);
        read_in_background(move || shared.read(seq)).await
    }

    /// Hands out the writes of a tenant that are due, if they are a batch: at most one per key, and none of a key that
    /// has one under way. Where there are more, the next call hands them out.
    pub async fn take(&self, tenant: &str, batch: &Batch, now: Timestamp) -> Vec<Handed> {
        let picked = self.shared.queue.write().pick(tenant, batch, now);
        let is_held = picked.iter().all(|picked| picked.held.is_some());
        let duties: Vec<Duty> = picked.iter().map(|picked| Duty::of(picked, &self.shared, now)).collect();
        let read = move || duties.into_iter().filter_map(Duty::read).collect();
        match is_held {
            true => read(),
            // Where the runtime ends meanwhile, all are due again.
            false => spawn_blocking(read).await.unwrap_or_default(),
        }
    }

    /// When [`Self::take`] has a batch of these writes, as things stand; none where nothing waits.
    pub fn due(&self, tenant: &str, batch: &Batch) -> Option<Timestamp> {
        self.shared.queue.read().due(tenant, batch)
    }

    /// Waits until something has changed for a tenant's sender since it last called this: there is a new write, or a
    /// key is free again. For one caller per tenant.
    pub async fn changed(&self, tenant: &str) {
        let changed = self.shared.queue.write().changed(tenant);
        changed.notified().await;
    }

    /// Gives a tenant bounds of its own. What is held already stays.
    pub fn bound_tenant(&self, tenant: &str, bounds: TenantBounds) {
        self.shared.queue.write().bound_tenant(tenant, bounds);
    }

    /// A page of a tenant's dead letters, in the order in which they were written.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn dead_letters(&self, tenant: &str, page: Page) -> Result<Vec<DeadLetter>, ReadError> {
        let buried = self.shared.queue.read().buried(tenant, page.after.map(|seq| seq.0), page.len);
        let shared = Arc::clone(&self.shared);
        read_in_background(move || list(&shared, buried, page.bytes)).await
    }

    /// Makes a dead letter a write that is due at once. This is on the disk when it returns.
    ///
    /// # Errors
    /// When the disk refuses: it is due all the same, but after a crash it is a dead letter again.
    pub async fn retry_dead(
        &self,
        tenant: &str,
        seq: Seq,
        overtaken: Overtaken,
        now: Timestamp,
    ) -> Result<Retry, AppendError> {
        let (retry, told) = {
            let mut queue = self.shared.queue.write();
            let retry = queue.revive(tenant, seq.0, overtaken, now);
            (retry, (retry == Retry::Due).then(|| queue.ack_last()))
        };
        self.told(told).await.map(|()| retry)
    }

    /// Forgets a dead letter; false where the tenant has none with that number. This is on the disk when it returns.
    ///
    /// # Errors
    /// When the disk refuses: it is gone all the same, but after a crash it is there again.
    pub async fn drop_dead(&self, tenant: &str, seq: Seq) -> Result<bool, AppendError> {
        let (is_there, told) = {
            let mut queue = self.shared.queue.write();
            let is_there = queue.drop_dead(tenant, seq.0);
            (is_there, is_there.then(|| queue.ack_last()))
        };
        self.told(told).await.map(|()| is_there)
    }

    async fn told(&self, told: Option<oneshot::Receiver<Result<(), AppendError>>>) -> Result<(), AppendError> {
        let Some(told) = told else { return Ok(()) };
        self.shared.inbox.ring(true);
        told.await.unwrap_or(Err(AppendError::Closed))
    }

    /// How many writes of a tenant are not done.
    pub fn pending(&self, tenant: &str) -> usize {
        self.shared.queue.read().pending(tenant)
    }

    /// Whether [`Self::close`] was called. What is held can be read all the same.
    pub fn is_closed(&self) -> bool {
        self.thread.lock().is_none()
    }

    /// The figures of this instant.
    pub fn stats(&self, now: Timestamp) -> JournalStats {
        self.shared.stats(now)
    }

    /// Writes what waits, tells the disk what became of the others, and ends: the next one who opens the journal finds
    /// what is left. End the senders first: what they say later is not kept.
    ///
    /// # Errors
    /// When the disk refuses: after that some writes that are done come again.
    pub async fn close(&self) -> Result<(), AppendError> {
        self.shared.inbox.close();
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        let ended = spawn_blocking(move || thread.join()).await;
        ended.map_or(Err(AppendError::Closed), |ended| ended.unwrap_or(Err(AppendError::Closed)))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.inbox.close();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// The writer of a journal that was opened, which does nothing yet.
pub(crate) fn writer_on(
    files: Arc<dyn Files>,
    dir: &Path,
    settings: Settings,
    clock: Arc<dyn Clock>,
    fresh_id: JournalId,
) -> Result<(Writer, Found), OpenError> {
    settings.check().map_err(OpenError::Settings)?;
    let (dir, segment_bytes, held_bytes_max) = (dir.to_owned(), settings.segment_bytes, settings.held_bytes_max);
    let opening =
        Opening { files, dir: dir.clone(), clock: Arc::clone(&clock), segment_bytes, held_bytes_max, fresh_id };
    let Opened { log, segments, writes, torn_bytes, damage } = opening.open()?;
    let mut queue = Queue::new(&settings);
    segments.iter().for_each(|segment| queue.shelve(segment));
    let dead = writes.values().filter(|entry| entry.grave.is_some()).count();
    let found = Found { pending: writes.len() - dead, dead, torn_bytes, damage };
    writes.into_iter().for_each(|(seq, entry)| queue.restore(seq, entry));
    tell(&dir, &found);
    let shared = Shared {
        trouble: DiskTrouble::new("write-behind writes", &dir, "they are refused"),
        inbox: Inbox::new(settings.queued_bytes_max),
        figures: Mutex::new(JournalStats { torn_bytes, damaged: found.damage.len() as u64, ..JournalStats::default() }),
        queue: RwLock::new(queue),
        dir,
        settings,
        clock,
    };
    let writer = Writer { shared: Arc::new(shared), log };
    writer.note_size();
    Ok((writer, found))
}

/// Tells an operator what is not as it should be.
fn tell(dir: &Path, found: &Found) {
    let journal = dir.display();
    if found.torn_bytes > 0 {
        tracing::warn!(
            torn_bytes = found.torn_bytes,
            "cut off the end of the journal {journal}: it had not been acknowledged"
        );
    }
    for Damage { path, from, to } in &found.damage {
        let path = path.display();
        tracing::error!(
            "{path} is damaged from byte {from} to {to}: writes that had been acknowledged are lost; what follows was \
             read. The file is kept as {path}.damaged once all its other writes are done"
        );
    }
}

fn list(shared: &Shared, buried: Vec<Buried>, bytes_max: u64) -> Result<Vec<DeadLetter>, ReadError> {
    let (mut letters, mut bytes) = (Vec::new(), 0);
    for Buried { seq, bytes: its_bytes, grave } in buried {
        bytes += u64::from(its_bytes);
        if !letters.is_empty() && bytes > bytes_max {
            break;
        }
        let write = match shared.read(seq) {
            Err(ReadError::Disk(error)) => return Err(ReadError::Disk(error)),
            read => read.ok().flatten(),
        };
        let (seq, bytes) = (Seq(seq), its_bytes.into());
        letters.push(DeadLetter { seq, bytes, at: grave.at, reason: grave.reason, overtaken: grave.overtaken, write });
    }
    Ok(letters)
}

async fn read_in_background<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let ended = |error| Err(ReadError::Disk(std::io::Error::other(error)));
    spawn_blocking(read).await.unwrap_or_else(ended)
}
