//! Clocks: the one module that reads time. Everywhere else a [`Timestamp`] is an argument, so that tests step time
//! instead of sleeping and the same policy gives the same answers in replay and in production.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

pub use crate::Timestamp;

/// A source of time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The time of the wall clock.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start, which never goes back: for measuring how long something took. It advances while
    /// the process is stopped and, where the system has such a clock (Linux), while the machine is suspended.
    fn monotonic(&self) -> Duration;

    /// Sleeps until `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// The error of [`timeout`]: the deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// The output of `future`, if it completes before `duration` has passed on `clock`; otherwise `future` is dropped.
///
/// # Errors
/// When the deadline comes first.
pub async fn timeout<F: Future>(clock: &dyn Clock, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = clock.sleep(duration) => Err(Elapsed),
    }
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(clock);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until it is moved: for tests and replay. Sleepers wake when it is moved past their time.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicU64,
    moved: Notify,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub const fn starting_at(start: Timestamp) -> Self {
        Self { now_ms: AtomicU64::new(start.as_millis()), moved: Notify::const_new() }
    }

    /// Moves the clock forwards by `step`.
    pub fn advance(&self, step: Duration) {
        self.now_ms.fetch_add(u64::try_from(step.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// Sets the clock to `time`, forwards or back.
    pub fn set(&self, time: Timestamp) {
        self.now_ms.store(time.as_millis(), Ordering::SeqCst);
        self.moved.notify_waiters();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let until = self.monotonic().saturating_add(duration);
        Box::pin(async move {
            loop {
                let mut moved = pin!(self.moved.notified());
                // From here on no move of the clock is missed.
                moved.as_mut().enable();
                if self.monotonic() >= until {
                    return;
                }
                moved.await;
            }
        })
    }
}

/// Processor time that the calling thread has used: it tells a guest that ran for long from one that was not scheduled.
#[doc(hidden)]
pub fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stepped_clock_wakes_who_sleeps_by_it() {
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_000));
        let second = Duration::from_secs(1);
        let step = async {
            tokio::task::yield_now().await;
            clock.advance(second / 2);
            tokio::task::yield_now().await;
            clock.advance(second / 2);
        };
        let (slept, ()) = tokio::join!(timeout(&clock, second, std::future::pending::<()>()), step);
        assert_eq!((slept, clock.now().as_millis()), (Err(Elapsed), 2_000));
        assert_eq!(timeout(&clock, Duration::ZERO, async { 7 }).await, Ok(7), "what is there comes first");
    }
}
