//! The access log that is written at present: settings may turn it on, off, or to another file while the gateway runs.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use sandbar_base::clock::Clock;
use sandbar_base::memory_budget::MemoryBudget;

use super::AccessLog;
use crate::config::AccessLogConfig;

/// The access log of the moment, if there is one.
pub(crate) struct Switch {
    present: ArcSwapOption<AccessLog>,
    settings: Mutex<AccessLogConfig>,
    clock: Arc<dyn Clock>,
    budget: Arc<MemoryBudget>,
}

impl Switch {
    /// Begins to write as the settings say; none where the memory has no room for the queue.
    pub(crate) fn new(
        settings: &AccessLogConfig,
        clock: Arc<dyn Clock>,
        budget: Arc<MemoryBudget>,
    ) -> Option<Arc<Self>> {
        let present = if settings.enabled {
            Some(AccessLog::open(settings, Arc::clone(&clock), Arc::clone(&budget))?)
        } else {
            None
        };
        let (present, settings) = (ArcSwapOption::new(present), Mutex::new(settings.clone()));
        Some(Arc::new(Self { present, settings, clock, budget }))
    }

    /// The log that is written now.
    pub(crate) fn present(&self) -> Option<Arc<AccessLog>> {
        self.present.load_full()
    }

    /// Writes as other settings say. Lines of requests under way go where they would have gone.
    pub(crate) fn turn(&self, to: &AccessLogConfig) {
        let mut settings = self.settings.lock();
        if *settings == *to {
            return;
        }
        let next = if to.enabled {
            let next = AccessLog::open(to, Arc::clone(&self.clock), Arc::clone(&self.budget));
            if next.is_none() {
                tracing::error!("there is no memory for the access log: it is written as before");
                return;
            }
            next
        } else {
            None
        };
        settings.clone_from(to);
        self.present.store(next);
    }
}
