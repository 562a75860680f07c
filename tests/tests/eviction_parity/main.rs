//! The stock eviction policies miss exactly as often as their definitions say, driven by `sandbar replay`'s own code
//! through the same shard that serves requests: against an independent simulator and recorded counts over the shipped
//! excerpts, and against the counts of other simulators over whole traces where those are at hand.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod batching;
mod cases;
mod excerpts;
mod faces;
mod naive;
mod naive_w_tinylfu;
mod swap;
mod whole;
