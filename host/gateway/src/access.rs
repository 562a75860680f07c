//! The access log: a line for each request, written when its response has ended or was cut.
//!
//! A request's worker makes the line ([`line`]) and hands it to a thread that writes ([`writer`]). The queue between
//! the two is bounded, in lines and in bytes: a disk that is slow or full costs lines, which are counted and told,
//! never a request.

mod asked;
mod line;
mod queue;
mod sent;
mod switch;
mod target;
mod text;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sandbar_base::clock::Clock;
use sandbar_base::disk_trouble::{DiskReport, DiskTrouble};
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use};

pub(super) use self::asked::Asked;
use self::line::Line;
pub(super) use self::queue::AccessStats;
use self::queue::{QUEUE_BYTES_MAX, Queue};
pub(super) use self::sent::{Answered, Logged};
pub(super) use self::switch::Switch;
use self::target::Target;
use crate::config::{AccessFormat, AccessLogConfig};

/// An access log that is being written.
pub(super) struct AccessLog {
    format: AccessFormat,
    clock: Arc<dyn Clock>,
    budget: Arc<MemoryBudget>,
    queue: Arc<Queue>,
    trouble: Arc<DiskTrouble>,
    /// The charge for the queue.
    _room: Reserved,
}

impl AccessLog {
    /// Begins to write; none where the memory has no room for the queue. A file that can't be opened is told in the
    /// log, and opened as soon as that works.
    pub(super) fn open(
        config: &AccessLogConfig,
        clock: Arc<dyn Clock>,
        budget: Arc<MemoryBudget>,
    ) -> Option<Arc<Self>> {
        let room = budget.reserve(Use::Tables, QUEUE_BYTES_MAX)?;
        let target = Target::new(config.file.clone());
        let trouble = Arc::new(DiskTrouble::new("lines of the access log", target.path(), "they are lost"));
        let (queue, messages) = Queue::new();
        writer::start(
            writer::Writer::new(target, Arc::clone(&queue), Arc::clone(&trouble), Arc::clone(&clock)),
            messages,
        );
        Some(Arc::new(Self { format: config.format, clock, budget, queue, trouble, _room: room }))
    }

    /// Opens the file anew, for those who have moved the old one away (logrotate). Lines of requests that end from now
    /// on go to the new one. While that can't be opened, they go on to the old one.
    pub(super) fn reopen(&self) {
        self.queue.reopen();
    }

    /// Whether its lines name the tenant and the class, which take a look at the request's path.
    pub(super) fn names_class(&self) -> bool {
        self.format == AccessFormat::Json
    }

    /// Figures for the metrics.
    pub(super) fn stats(&self) -> AccessStats {
        self.queue.stats()
    }

    /// Writes that the disk refused.
    pub(super) fn report(&self) -> DiskReport {
        self.trouble.report(self.clock.now())
    }

    /// Writes what is queued, for `grace` at most; then the log has ended.
    pub(super) async fn close(&self, grace: Duration) {
        self.queue.close();
        if tokio::time::timeout(grace, self.queue.ended()).await.is_err() {
            tracing::warn!("stopped before all lines of the access log could be written");
        }
    }

    fn write(&self, line: &Line<'_>) {
        self.queue.push(line.to_text(self.format));
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests;
