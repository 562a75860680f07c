//! A disk tier's directory while this process has it: what is in there, and the one thread that writes to it.

use std::sync::Arc;

use sandbar_base::clock::Clock;
use sandbar_base::disk_trouble::DiskTrouble;

use super::DiskConfig;
use super::barriers::BarrierBook;
use super::home::Home;
use super::index::Index;
use super::log::{Gauges, Log, LogLimits};
use super::writer::{QueueLimits, Writer};
use crate::tier::codec::Encoding;

/// The directory and all that is open in it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: Writer,
    pub(super) index: Arc<Index>,
    pub(super) book: BarrierBook,
    home: Home,
}

impl Opened {
    /// Takes the directory and reads what is in it. Blocks.
    ///
    /// # Errors
    /// In words for an operator.
    pub(super) fn open(
        config: &DiskConfig,
        limits: LogLimits,
        clock: &Arc<dyn Clock>,
        gauges: &Arc<Gauges>,
        trouble: &Arc<DiskTrouble>,
    ) -> Result<Self, String> {
        let home = Home::take(&config.path)?;
        let barriers_max = (config.capacity_bytes / (16 << 10)).min(16_384);
        let book = home.barriers(config.lifetime_max, barriers_max)?;
        book.sweep(clock.now()).map_err(|error| home.cannot(&error))?;
        let index = Arc::<Index>::default();
        let log = Log::open(limits, Arc::clone(&index), Arc::clone(gauges), clock.now())
            .map_err(|error| home.cannot(&error))?;
        let encoding = Encoding { compress_above_bytes: config.compress_above_bytes, shift_ms: 0 };
        let queue = QueueLimits { len: config.queue_len, bytes: config.queue_bytes };
        let writer = Writer::start(log, Arc::clone(clock), encoding, queue, Arc::clone(trouble))
            .map_err(|error| format!("its thread could not be started: {error}"))?;
        Ok(Self { writer, index, book, home })
    }

    /// Writes what is queued, closes all files that are written to, and lets another process have the directory,
    /// whoever still holds this. Blocks.
    ///
    /// # Errors
    /// In words for an operator, where the directory can't be let go; what was open is closed all the same.
    pub(super) fn close(&self) -> Result<(), String> {
        self.writer.end();
        self.index.clear();
        self.book.close();
        self.home.release()
    }
}
