//! Elapsed and processor time.

use std::sync::Barrier;
use std::time::Duration;

use sandbar::clock::{Clock, SystemClock, thread_cpu_time};

/// Nanoseconds that `work` takes on `shares`, on all at the same time with a thread for each: processor time where
/// there is one share, elapsed time where there are several.
///
/// # Panics
/// When the work does: nobody waits for a thread that is gone.
pub(crate) fn race<T: Sync>(shares: &[T], work: impl Fn(&T) + Sync) -> u64 {
    if let [share] = shares {
        let start = thread_cpu_time();
        work(share);
        return nanoseconds(thread_cpu_time() - start);
    }
    let ready = Barrier::new(shares.len() + 1);
    let start_together = |share| {
        ready.wait();
        work(share);
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = shares.iter().map(|share| scope.spawn(|| start_together(share))).collect();
        ready.wait();
        let start = SystemClock.monotonic();
        threads.into_iter().for_each(|thread| thread.join().expect("the work panicked"));
        nanoseconds(SystemClock.monotonic() - start)
    })
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}
