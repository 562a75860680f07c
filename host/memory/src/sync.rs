//! The locks and atomics of the tier. Compiled with `--cfg shuttle` they are those of shuttle, whose scheduler decides
//! at each of them which thread goes on: it tries many interleavings, finds deadlocks, and says how to repeat a
//! failure. All atomics count as sequentially consistent there; why weaker orders suffice is argued where they are
//! used.

#[cfg(shuttle)]
mod shuttle;
#[cfg(not(shuttle))]
mod threads;

#[cfg(shuttle)]
pub(crate) use self::shuttle::*;
#[cfg(not(shuttle))]
pub(crate) use self::threads::*;
