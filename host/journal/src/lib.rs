//! A durable journal of writes that are owed to somebody: acknowledged once they are on the disk, handed out in the
//! order of their keys until they are delivered, over crashes too.
//!
//! # What is promised when
//!
//! | what happens | what holds |
//! |---|---|
//! | [`Journal::append`] returns a number | The write is on the disk: `fsync` has returned for it, and for the names of its file. Every read from here on sees it ([`Journal::latest`]). |
//! | `append` returns an error | The write is not held. It comes back only where the node stops after the disk has refused and before it takes anything again. |
//! | a crash before the acknowledgement, or the future of `append` is dropped | The write is held as a whole or not at all. |
//! | a crash after it, of the process or of the machine | The write is found by the next [`Journal::open`], in the order of its key, with the same number and idempotency key. |
//! | [`Handed::done`] | It is not handed out again by this process. After a crash it may be, with the same idempotency key, unless half a second had passed or [`Journal::close`] had returned. |
//! | [`Handed::dead`] | As for `done`: it is a dead letter, or after such a crash a write that is due. It is never lost. |
//! | [`Handed::failed`], a crash while it is under way | It is handed out again, before every later write to its key. |
//! | a later write of the same [author](Write::author) that [`replaces`](Write::replaces) it | It is never handed out, if it was not before; what may have been handed out before a restart is never absorbed. |
//! | a full or read-only disk | Writes are refused with the reason and a remedy; what is held is handed out as ever. Once there is room they are taken again, without a restart. Files of which all is done go without a byte being written. |
//! | a write or an `fsync` fails | All writes of that group are refused. Their file is final as it was before them and is never written to or synced again; the next group goes to a new one. |
//! | a torn end after a crash | It is cut off and told ([`Found::torn_bytes`]): nobody had been told that it is held. |
//! | damage to what had been acknowledged | It is told, each range of it ([`Found::damage`], an error in the log, [`JournalStats::damaged`]); what follows it is read, and the file is kept. Of the very last group damage can't be told from a torn end. |
//! | a second process | It is refused: [`OpenError::InUse`]. |
//! | a journal of a newer version | It is refused untouched: [`OpenError::Newer`]. |
//! | a bound is reached | `append` is refused with [`AppendError::Full`] and for how long to wait. Nothing that is held is dropped to make room. |
//!
//! # What it costs
//! One `fsync` for all writes that come together. [`WRITE_OVERHEAD_BYTES`] of memory for each write that is held; its
//! content stays on the disk where [`Settings::held_bytes_max`] is used up. The disk has at most twice the bytes of
//! what is held and four segments: where there are more, the oldest segment is written again at the end and removed.
//!
//! # Why a log of its own
//! `okaywal` asks its users not to rely on it yet and frees a segment only as a whole, `yaque` never syncs, `commitlog`
//! has neither group commit nor what is done, and with a write that fails `fjall` takes none until it is opened again,
//! and `raft-engine` panics.
//!
//! ```no_run
//! # use std::{path::Path, sync::Arc, time::Duration};
//! # use sandbar_base::clock::{Clock, SystemClock};
//! use sandbar_journal::{Backoff, Batch, Journal, Settings, Write};
//!
//! # async fn example(write: Write, deliver: impl AsyncFn(&Write) -> bool) -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(SystemClock);
//! let (journal, found) = Journal::open(Path::new("data/journal"), Settings::default(), clock.clone())?;
//! journal.append(&write).await?;
//! for handed in journal.take("shop", &Batch::default(), clock.now()).await {
//!     if deliver(handed.write()).await {
//!         handed.done();
//!     } else {
//!         let pause = Backoff::default().pause(handed.attempt(), 7);
//!         handed.failed(clock.now().saturating_add(pause));
//!     }
//! }
//! journal.close().await?;
//! # Ok(())
//! # }
//! ```

mod batch;
mod bytes_at;
mod entry;
mod error;
pub mod files;
mod format;
mod handed;
mod inbox;
mod journal;
mod letters;
mod log;
mod queue;
mod segment;
mod settings;
mod shared;
mod stats;
#[cfg(test)]
mod tests;
mod write;
mod writer;

pub use self::batch::{Backoff, Batch};
pub use self::error::{AppendError, Bound, OpenError};
pub use self::handed::Handed;
pub use self::journal::{Found, Journal, Page};
pub use self::letters::{DeadLetter, Overtaken, Retry};
pub use self::log::replay::Damage;
pub use self::segment::ReadError;
pub use self::settings::{Settings, TenantBounds};
pub use self::stats::{JournalStats, TenantStats};
pub use self::write::{HeldWrite, Seq, Write};

/// Bytes of memory that a write takes beside what [`Settings::held_bytes_max`] bounds, where each has a key of its own:
/// about 400 where tables are full, and half as much again just after they have grown.
pub const WRITE_OVERHEAD_BYTES: u64 = 600;
