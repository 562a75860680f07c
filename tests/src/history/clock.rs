//! The one clock of a history.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// Counts from when it was started. Who compares times of a history compares times of this.
#[derive(Clone, Copy, Debug)]
pub struct HistoryClock(Instant);

impl HistoryClock {
    /// Starts it.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// Waits until it shows more than this.
    pub async fn is_past(self, time: Duration) {
        sleep_until(self.0 + time + Duration::from_millis(1)).await;
    }

    /// Waits for as long as a plan wants it.
    pub async fn passes(self, time: Duration) {
        sleep(time).await;
    }
}
