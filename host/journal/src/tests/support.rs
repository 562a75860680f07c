//! A journal on the double whose writer is driven by hand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandbar_base::Timestamp;
use sandbar_base::clock::{Clock, ManualClock};

use super::double::Double;
use crate::error::{AppendError, OpenError};
use crate::format::head::JournalId;
use crate::handed::{Duty, Handed};
use crate::journal::{Found, writer_on};
use crate::queue::Picked;
use crate::writer::Writer;
use crate::{Batch, Seq, Settings, TenantBounds, Write};

pub(super) const DIR: &str = "/journal";
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// Bounds that are reached soon.
pub(super) fn small() -> Settings {
    Settings {
        segment_bytes: 1024,
        batch_bytes: 4096,
        write_bytes_max: 2048,
        queued_bytes_max: 1 << 20,
        bytes_max: 1 << 20,
        writes_max: 10_000,
        held_bytes_max: 1 << 20,
        tenant: roomy(),
        ..Settings::default()
    }
}

/// A tenant's bounds, which are not reached soon.
pub(super) fn roomy() -> TenantBounds {
    TenantBounds { bytes_max: 1 << 20, writes_max: 10_000, dead_bytes_max: 1 << 20, dead_writes_max: 10_000 }
}

/// A journal without a thread.
pub(super) struct Driven {
    pub(super) writer: Writer,
    pub(super) found: Found,
}

impl Driven {
    pub(super) fn open(files: &Double, settings: Settings) -> Result<Self, OpenError> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(NOW));
        let (writer, found) = writer_on(Arc::new(files.clone()), Path::new(DIR), settings, clock, JournalId([7; 16]))?;
        Ok(Self { writer, found })
    }

    /// Writes all of these in one group commit, and says what each was told.
    pub(super) fn append(&mut self, writes: &[Write]) -> Vec<Result<Seq, AppendError>> {
        let submitted: Vec<_> = writes.iter().map(|write| self.writer.shared.submit(write)).collect();
        let _ = self.writer.round();
        let told = |submitted: Result<tokio::sync::oneshot::Receiver<_>, _>| match submitted {
            Ok(mut receiver) => receiver.try_recv().unwrap_or(Err(AppendError::Closed)),
            Err(error) => Err(error),
        };
        submitted.into_iter().map(told).collect()
    }

    pub(super) fn take(&self, tenant: &str, batch: &Batch, now: Timestamp) -> Vec<Handed> {
        let picked: Vec<Picked> = self.writer.shared.queue.write().pick(tenant, batch, now);
        let duties: Vec<Duty> = picked.iter().map(|picked| Duty::of(picked, &self.writer.shared, now)).collect();
        duties.into_iter().filter_map(Duty::read).collect()
    }

    /// Everything that is due, one after the other, delivered.
    pub(super) fn drain(&self, tenant: &str) -> Vec<Write> {
        let (batch, mut delivered) = (Batch::default(), Vec::new());
        while self.writer.shared.queue.read().due(tenant, &batch).is_some() {
            for handed in self.take(tenant, &batch, Timestamp::from_millis(u64::MAX)) {
                delivered.push(handed.write().clone());
                handed.done();
            }
        }
        delivered
    }
}

/// A write of `shop`.
pub(super) fn write(key: &str, content: &str) -> Write {
    Write {
        tenant: "shop".into(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        content: Bytes::copy_from_slice(content.as_bytes()),
        idempotency_key: format!("{key}={}", &content[..content.len().min(20)]),
        at: NOW,
        replaces: false,
        author: 0,
        client: None,
    }
}

/// The same, that replaces the state of its key.
pub(super) fn put(key: &str, content: &str) -> Write {
    Write { replaces: true, ..write(key, content) }
}

pub(super) fn contents(writes: &[Write]) -> Vec<String> {
    writes.iter().map(|write| String::from_utf8_lossy(&write.content).into_owned()).collect()
}

/// So many writes at once.
pub(super) fn many(len: usize) -> Batch {
    Batch { len, bytes: u64::MAX, age: Duration::ZERO }
}
