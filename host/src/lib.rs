//! Sandbar: a multi-tier edge cache whose decisions are WebAssembly policies.
//!
//! The guest decides, the host enforces: a policy is asked for judgement (how long, what to drop, what to purge, what
//! to warm); the host owns every byte, every clock, every bound and every side effect, checks each answer, and has a
//! built-in answer ready when a guest gives none.

pub mod barrier;
pub mod body;
pub mod cache;
pub mod cli;
pub mod client;
pub mod clock;
pub mod consistency;
pub mod demo;
pub mod disk_trouble;
pub mod entry;
pub mod faults;
pub mod fleet;
pub mod gateway;
pub mod http;
pub mod key;
pub mod memory_budget;
pub mod origin;
pub mod policy;
pub mod recording;
pub mod replay;
pub mod setting;
pub mod stdout;
pub mod tenant;
pub mod tier;

// What fuzz targets and tests measure input with knows this crate by its name.
#[cfg(test)]
extern crate self as sandbar;
#[cfg(test)]
#[path = "../../fuzz/src/proportion.rs"]
mod proportion;
