//! Guests that answer a role. A guest takes its settings once per instance and is asked on the caller's thread; any
//! failure is a [`Fault`](super::Fault), and the caller falls back to the native default.

mod ask;
mod eviction;
mod instances;

pub(super) use ask::{FreshnessGuest, InvalidationGuest};
pub(super) use eviction::EvictionGuest;
