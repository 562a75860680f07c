//! The clock of a history, the same for all its clients.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// A clock that counts from its start. All times of a history are this clock's.
#[derive(Clone, Copy, Debug)]
pub struct HistoryClock(Instant);

impl HistoryClock {
    /// Starts a clock.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// Waits until the clock shows more than `time`.
    pub async fn is_past(self, time: Duration) {
        sleep_until(self.0 + time + Duration::from_millis(1)).await;
    }

    /// Waits for so long.
    pub async fn passes(self, time: Duration) {
        sleep(time).await;
    }
}
