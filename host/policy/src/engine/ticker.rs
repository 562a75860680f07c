//! The ticker: one thread that advances the engine's epoch, so that guests can be interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

/// How often the epoch advances while guests are called.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// How often the epoch advances after [`CALM_AFTER`] ticks without a call of a guest. Only in the first call after that
/// is a guest that hangs noticed as much later.
const SLOW_TICK: Duration = Duration::from_millis(10);
const CALM_AFTER: u32 = 100;

/// Ticks, of either length, after which idle instances are looked for again.
const SWEEP_AFTER: u32 = 100;

/// A holder of instances that can release those that were not used for long.
pub(crate) trait IdleInstances: Send + Sync {
    /// Releases the instances that were not used for long.
    fn release_idle(&self);

    /// Releases all instances that no call uses at present.
    fn release_all(&self) {
        self.release_idle();
    }
}

/// The ticker's thread, which starts with the first call of a guest and stops when this is dropped.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    wasm: wasmtime::Engine,
    runs: AtomicBool,
    stop: AtomicBool,
    called: AtomicBool,
    idle: Mutex<Vec<Weak<dyn IdleInstances>>>,
}

impl Ticker {
    pub(super) fn new(wasm: wasmtime::Engine) -> Self {
        let (runs, stop, called) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
        let shared = Shared { wasm, runs, stop, called, idle: Mutex::default() };
        Self { shared: Arc::new(shared), thread: Mutex::new(None) }
    }

    /// To be called before each call of a guest: costs two loads while the ticker runs.
    pub(super) fn start(&self) {
        // A store to a cache line that every core reads is not free: the flag is only written where that changes it.
        if !self.shared.called.load(Ordering::Relaxed) {
            self.shared.called.store(true, Ordering::Relaxed);
        }
        if !self.shared.runs.load(Ordering::Relaxed) {
            self.spawn();
        }
    }

    pub(super) fn watch(&self, instances: Weak<dyn IdleInstances>) {
        let mut idle = self.shared.idle.lock();
        idle.retain(|instances| instances.strong_count() > 0);
        idle.push(instances);
    }

    pub(super) fn release_all(&self) {
        let holders: Vec<_> = self.shared.idle.lock().iter().filter_map(Weak::upgrade).collect();
        holders.iter().for_each(|holder| holder.release_all());
    }

    #[cold]
    fn spawn(&self) {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let spawned = std::thread::Builder::new().name("policy-ticker".to_owned()).spawn(move || shared.run());
            match spawned {
                Ok(handle) => *thread = Some(handle),
                Err(error) => tracing::error!(%error, "no thread for the policy ticker: guests can't be interrupted"),
            }
        }
        self.shared.runs.store(thread.is_some(), Ordering::Relaxed);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.get_mut().take() else { return };
        thread.thread().unpark();
        // Releasing idle instances may drop the last owner of the engine on the ticker's thread: that can't join
        // itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the policy ticker has panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        let (mut calm, mut since_sweep) = (0, 0);
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(if calm < CALM_AFTER { TICK } else { SLOW_TICK });
            self.wasm.increment_epoch();
            calm = if self.called.swap(false, Ordering::Relaxed) { 0 } else { calm.saturating_add(1) };
            since_sweep += 1;
            if since_sweep == SWEEP_AFTER {
                since_sweep = 0;
                self.sweep();
            }
        }
    }

    fn sweep(&self) {
        let holders: Vec<_> = self.idle.lock().iter().filter_map(Weak::upgrade).collect();
        holders.iter().for_each(|holder| holder.release_idle());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_thread_ends_with_it() {
        let ticker = Ticker::new(wasmtime::Engine::default());
        ticker.start();
        let shared = Arc::downgrade(&ticker.shared);
        assert!(shared.strong_count() >= 2);
        drop(ticker);
        assert_eq!(shared.strong_count(), 0);
    }
}
