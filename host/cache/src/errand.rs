//! Work that goes on even if its caller stops waiting for it.

use tokio_util::task::TaskTracker;

/// Runs work to its end in a task of its own, and waits for it; `stopped` gives the result if the process ends before.
///
/// # Panics
/// Outside of a tokio runtime, and where the work panics.
pub(crate) async fn done<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = T> + Send + 'static,
    stopped: impl FnOnce() -> T,
) -> T {
    tasks.spawn(work).await.unwrap_or_else(|unfinished| match unfinished.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => stopped(),
    })
}
