//! Guests that answer a role: each takes its settings once per instance, is asked on the caller's thread, and whatever
//! goes wrong is a [`Fault`](super::Fault) that the caller answers with the native default.

mod ask;
mod eviction;
mod instances;

pub(super) use ask::{FreshnessGuest, InvalidationGuest};
pub(super) use eviction::EvictionGuest;
