//! Work that goes on where whoever asked for it leaves.

use tokio_util::task::TaskTracker;

/// Has work done to its end in a task of its own, and waits for it; `stopped` is the answer where the process ends before.
///
/// # Panics
/// Outside of a tokio runtime, and where the work does.
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
