//! Whether work grows in proportion to its input, told by the processor time of this thread: what else the machine has to do
//! does not count.

use std::time::Duration;

use sandbar_base::clock::thread_cpu_time;

/// How much longer the longer input is.
pub(crate) const TIMES_AS_LONG: usize = 64;

/// How much more the longer input may cost: a sort adds to it, or a cache of the processor that has become too small.
/// The square of the length would cost 4096 times as much.
const COST_TIMES_MAX: u32 = 128;

/// A disturbance only ever adds to what is measured, so the least of several counts is taken.
const TRIES: usize = 7;

/// Has `work` done with an input of `length` bytes, and with one that is 64 times as long.
///
/// # Panics
/// When the longer one costs more than 128 times as much, however often it is tried.
pub(crate) fn check<I>(about: &str, length: usize, input: impl Fn(usize) -> I, mut work: impl FnMut(&I)) {
    let (short, long) = (input(length), input(TIMES_AS_LONG * length));
    let least = (0..TRIES).map(|_| cost(&short, &mut work)).min().unwrap_or_default();
    let mut costs = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let took = cost(&long, &mut work);
        if took <= least * COST_TIMES_MAX {
            return;
        }
        costs.push(took);
    }
    panic!("{about}: {length} bytes cost {least:?}, {TIMES_AS_LONG} times as many cost {costs:?}");
}

fn cost<I>(input: &I, work: &mut impl FnMut(&I)) -> Duration {
    let began = thread_cpu_time();
    work(input);
    thread_cpu_time().saturating_sub(began)
}
