//! Elapsed and processor time.

use std::sync::Barrier;
use std::time::Duration;

use sandbar::clock::{Clock, SystemClock};

/// Nanoseconds that each of `shares` takes to be worked off, all at once: processor time where there is one, elapsed time
/// where there are several.
pub(crate) fn race<T: Sync>(shares: &[T], work: impl Fn(&T) + Sync) -> u64 {
    if let [share] = shares {
        let start = processor_time();
        work(share);
        return nanoseconds(processor_time() - start);
    }
    let (ready, done) = (Barrier::new(shares.len() + 1), Barrier::new(shares.len() + 1));
    std::thread::scope(|scope| {
        for share in shares {
            let (ready, done, work) = (&ready, &done, &work);
            scope.spawn(move || {
                ready.wait();
                work(share);
                done.wait();
            });
        }
        ready.wait();
        let start = SystemClock.monotonic();
        done.wait();
        nanoseconds(SystemClock.monotonic() - start)
    })
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}
