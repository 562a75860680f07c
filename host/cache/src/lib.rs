//! Sandbar: a multi-tier edge cache whose decisions are WebAssembly policies.
//!
//! The guest decides, the host enforces: a policy is asked for decisions (how long a response is fresh, what to evict,
//! what to purge); the host owns every byte, every clock, every bound and every side effect, checks each answer, and
//! has a built-in answer ready when a guest gives none.
//!
//! **Where to begin.** [`Sandbar::builder`] makes a cache, [`Sandbar::layer`] puts it in front of a service; [`embed`] has an
//! example, and `examples/axum.rs` a whole gateway. [`tenant::config::TenantConfig`] has all settings of a tenant,
//! [`policy::Binding`] the ways to name a policy: a stock one, a component, a type of your own.
//!
//! **Features.** `wasm`: policies that are components. `redis`, `disk`: tiers below memory. `http-origin`: origins over HTTP.
//! All are on by default.
//!
//! **MSRV.** Rust 1.95, which the workspace's lints and `async` closures are written for; raised with a minor version only.

pub mod barrier;
pub mod body;
pub mod cache;
mod cached;
mod collapse;
pub mod consistency;
pub mod embed;
mod errand;
mod exchange;
pub mod explain;
pub mod faults;
mod fill;
#[cfg(not(feature = "redis"))]
#[path = "no_fleet.rs"]
pub mod fleet;
#[cfg(feature = "redis")]
pub mod fleet;
mod holdings;
pub mod hosts;
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

pub use self::embed::Sandbar;
pub use self::layer::{CacheLayer, CacheService};

// How tests measure that work grows in proportion to its input.
#[cfg(test)]
#[path = "../../../fuzz/src/proportion.rs"]
mod proportion;
