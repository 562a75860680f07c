//! A thread with a runtime of its own, for the demo's origin and for its visitors: they must not run on the scheduler
//! of the gateway whose latency they measure.

use std::future::Future;
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

/// Work beside the gateway's runtime. Dropping it asks the work to stop and waits for it.
pub(super) struct Aside {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    /// Runs `work` on a new thread until it ends by itself, which it should soon after the token is cancelled.
    pub(super) fn run<F: Future<Output = ()>>(
        name: &str,
        work: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let watch = stop.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work(watch)))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Asks the work to stop. To wait until it has stopped, drop this.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by the thread.
            let _ = thread.join();
        }
    }
}
