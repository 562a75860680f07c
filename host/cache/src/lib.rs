//! Sandbar: a multi-tier edge cache whose decisions are WebAssembly policies.
//!
//! The guest decides, the host enforces: a policy is asked for decisions (how long a response is fresh, what to evict,
//! what to purge); the host owns every byte, every clock, every bound and every side effect, checks each answer, and
//! has a built-in answer ready when a guest gives none.

pub mod barrier;
pub mod body;
pub mod cache;
mod cached;
mod collapse;
pub mod consistency;
mod errand;
mod exchange;
pub mod faults;
mod fill;
#[cfg(not(feature = "redis"))]
#[path = "no_fleet.rs"]
pub mod fleet;
#[cfg(feature = "redis")]
pub mod fleet;
mod holdings;
mod ingest;
pub mod layer;
pub mod memory_budget;
pub mod not_stored;
pub mod origin;
mod peers;
mod purge;
mod read;
pub mod recording;
mod request;
mod respond;
pub mod setting;
mod storability;
mod store;
pub mod tally;
pub mod tenant;
pub mod tier;
mod tunnel;
mod write;

pub use sandbar_base::{clock, disk_trouble};
pub use sandbar_http as http;
pub use sandbar_memory as memory;
pub use sandbar_policy as policy;

pub use self::layer::{CacheLayer, CacheService};
