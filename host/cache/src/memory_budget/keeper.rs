//! Reads the machine's memory use every now and then, shrinks the node before the kernel has to kill it, and lets it
//! grow back. Off the threads that serve requests.

use std::sync::Arc;

use sandbar_policy::Engine;
use tokio::task::AbortHandle;

use super::MemoryBudget;
use super::machine::{Machine, Reading, from_disk};
use super::pressure::{Pressure, PressureConfig};
use crate::cache::Cache;

/// Reads how much memory is used; `None` where nothing is known.
pub type ReadMemory = Box<dyn Fn() -> Option<Reading> + Send + Sync>;

/// The parts of a node that shrink, and the budget that is told.
pub struct Kept {
    /// The cache; the L1 of its tenants shrinks.
    pub cache: Cache,
    /// The engine; its idle instances are released.
    pub engine: Option<Arc<Engine>>,
    /// The budget that is told of each reading.
    pub budget: Arc<MemoryBudget>,
}

/// The keeper at work, until it is dropped.
#[derive(Debug)]
pub struct Keeper(AbortHandle);

/// Reads the memory of this machine, or of this process's cgroup.
pub fn this_machine() -> ReadMemory {
    let machine = Machine::find(&from_disk);
    Box::new(move || machine.read(&from_disk))
}

impl Keeper {
    /// Starts to read the memory use, every `config.every`.
    pub fn start(kept: Kept, config: PressureConfig, read: ReadMemory) -> Self {
        let keeping = async move {
            let (kept, read) = (Arc::new(kept), Arc::new(read));
            let mut pressure = Pressure::new(config.clone());
            loop {
                kept.cache.clock().sleep(config.every.get()).await;
                let (kept, read, now) = (Arc::clone(&kept), Arc::clone(&read), kept.cache.clock().monotonic());
                let look = tokio::task::spawn_blocking(move || {
                    kept.look(&mut pressure, read(), now);
                    pressure
                });
                match look.await {
                    Ok(looked) => pressure = looked,
                    Err(error) => return tracing::error!(%error, "nobody looks after the memory any more"),
                }
            }
        };
        Self(tokio::spawn(keeping).abort_handle())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Kept {
    fn look(&self, pressure: &mut Pressure, reading: Option<Reading>, now: std::time::Duration) {
        let Some(reading) = reading else { return };
        let before = pressure.kept_percent();
        let changed = pressure.step(now, &reading);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage")]
        let used_percent = reading.used_percent().round() as u64;
        // Before L1 is resized: a tenant that comes meanwhile goes by it.
        self.budget.note_pressure(used_percent, pressure.kept_percent().into());
        if let Some(percent) = changed {
            self.change(before, percent, used_percent, &reading);
        }
        self.budget.bound_growth(reading.room_bytes());
    }

    fn change(&self, before: u32, percent: u32, used_percent: u64, reading: &Reading) {
        if percent < before {
            tracing::warn!(used_percent, limit_bytes = reading.limit_bytes, percent, "memory runs short: L1 shrinks");
            if let Some(engine) = &self.engine {
                engine.release_idle();
            }
        } else {
            tracing::info!(used_percent, percent, "memory is there again: L1 grows");
        }
        self.cache.shrink_l1(percent.into());
    }
}
