//! The tiers: the one in memory.

pub mod memory;
