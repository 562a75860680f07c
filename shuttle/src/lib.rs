//! The memory tier (L1) of `host/`, the very same files, but for `sync.rs`: its locks and atomics are those of shuttle,
//! whose scheduler decides at each of them which thread goes on. It tries many interleavings, finds deadlocks, and says
//! how to repeat what failed. All atomics count as sequentially consistent; what weaker orders allow is argued where they
//! are used. The tier's other tests want real threads and run in `host/`, so those here are called by their name:
//! `cargo test --release -- interleavings`.
//!
//! Beside the tier stand the few types that it takes from the rest of `host/`, no more of them than it needs.

pub mod clock;
pub mod key;
pub mod policy;
pub mod tier;
