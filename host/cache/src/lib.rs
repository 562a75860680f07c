//! Sandbar: a multi-tier edge cache whose decisions are WebAssembly policies, as a part of your gateway.
//!
//! The guest decides, the host enforces: a policy is asked for decisions (how long a response is fresh, what to evict,
//! what to purge); the host owns every byte, every clock, every bound and every side effect, checks each answer, and
//! has a built-in answer ready when a policy gives none.
//!
//! # From nothing to a swapped policy
//! Four steps. The crate's `examples` do the same with axum, hyper and a reverse proxy of tower services, and keep values in
//! front of a database.
//!
//! 1. **A cache.** [`Sandbar::builder`] takes tenants, an L2, a bound of memory and policies, and makes a handle.
//! 2. **A service behind it.** [`Sandbar::layer`] is a tower layer: it goes in front of an axum `Router`, a hyper service or a
//!    proxy. Or there is none: [`Sandbar::values`] keeps values of your own types ([`values`]).
//! 3. **A policy.** A stock one, a component, or a type of the program ([`policy::Binding`] has a function for each), bound
//!    with [`Sandbar::bind`] while requests run. What is stored stays.
//! 4. **What the program sees.** [`Sandbar::stats`] has all figures, and [`Sandbar::events`] says what was stored, why not, and
//!    why it left.
//!
//! ```
//! use http::{Request, Response};
//! use sandbar::Sandbar;
//! use sandbar::barrier::Purge;
//! use sandbar::body::{self, Body, BoxError};
//! use sandbar::clock::Timestamp;
//! use sandbar::policy::freshness::{Fill, Freshness, Plan};
//! use sandbar::policy::{Binding, Role};
//! use sandbar::tenant::config::TenantConfig;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! /// Prices are fresh for ten seconds, whatever the origin says.
//! struct Prices;
//!
//! impl Freshness for Prices {
//!     fn amend(&self, _now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Plan {
//!         let longest = if fill.target.starts_with("/prices/") { 10_000 } else { u64::MAX };
//!         Plan { freshness_lifetime_ms: standard.freshness_lifetime_ms.min(longest), ..standard.clone() }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // 1. A cache of two tenants: neither can read, evict or purge what is the other's.
//! let tenant = |name: &str| TenantConfig { hosts: vec![format!("{name}.example")], ..TenantConfig::named(name) };
//! let sandbar = Sandbar::builder().tenant(tenant("shop")).tenant(tenant("media")).build()?;
//! let mut events = sandbar.events(1024);
//!
//! // 2. A service behind it: what it answers is stored as its fields allow.
//! let origin = service_fn(async |_: Request<Body>| {
//!     Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(body::full("5 pounds"))?)
//! });
//! let service = sandbar.layer().layer(origin);
//! let ask = async || {
//!     let request = Request::get("http://shop.example/prices/tea").body(body::empty())?;
//!     let response = service.clone().oneshot(request).await?;
//!     let said = response.headers()["cache-status"].to_str()?.to_owned();
//!     # http_body_util::BodyExt::collect(response.into_body()).await?;
//!     # while sandbar.cache().under_way() > 0 { tokio::task::yield_now().await; }
//!     Ok::<_, BoxError>(said)
//! };
//! assert!(ask().await?.contains("fwd=uri-miss"));
//! assert!(ask().await?.contains(";hit"));
//!
//! // 3. Policies are swapped while requests run: here one of the program's own, and a stock one.
//! sandbar.bind("shop", Binding::freshness("prices", Prices)).await?;
//! sandbar.bind("shop", Binding::stock(Role::Eviction, "lru").native()).await?;
//! sandbar.purge("shop", &[Purge::everything()]).await?;
//! ask().await?;
//! let said = ask().await?;
//! let ttl = said.split_once("ttl=").and_then(|(_, rest)| rest.split(';').next()?.parse::<u32>().ok());
//! assert!(ttl.is_some_and(|ttl| ttl <= 10), "{said}");
//!
//! // 4. What the program sees.
//! let shop = &sandbar.stats().tenants[0];
//! assert_eq!((shop.counters.requests, shop.counters.hits_l1), (4, 2));
//! assert_eq!(events.try_next()?.expect("it was told").key.target(), "/prices/tea");
//! sandbar.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! A policy that is a component is a crate of its own, written with `sandbar-guest` and built by `sandbar policy build`;
//! `Binding::file(Role::Freshness, "brief.wasm")` binds it. It runs within bounds of time and memory, so it may be a
//! tenant's own.
//!
//! # Features
//! | feature | what it adds |
//! |---|---|
//! | `wasm` | policies that are components, and the engine that runs them |
//! | `redis` | an L2 in Redis, and fleets of nodes |
//! | `disk` | an L2 on this machine's disk |
//! | `http-origin` | origins over HTTP, named in a tenant's settings |
//! | `memcached` | an L2 in memcached, for classes that promise no more than `eventual`; off by default |
//! | `sqlite`, `postgres` | tables behind [`values`]: module `sql`; off by default |
//!
//! All others are on by default; without any of them the cache is one in memory, with native policies.
//!
//! # What is promised
//! The public API, but for what is marked as unstable: the traits of policies and tiers may change until the contract between
//! host and guests is frozen. Fields and items that the documentation does not show are the gateway's.
//!
//! **MSRV.** Rust 1.95: wasmtime's long-term line needs it, and `async` closures and `let` chains are used throughout. It is
//! raised with a minor version only.

pub mod barrier;
pub mod body;
pub mod cache;
mod cached;
mod collapse;
#[doc(hidden)]
pub mod commons;
pub mod consistency;
pub mod embed;
mod errand;
pub mod events;
mod exchange;
pub mod explain;
#[doc(hidden)]
pub mod faults;
mod fill;
#[cfg(not(feature = "redis"))]
#[path = "no_fleet.rs"]
pub mod fleet;
#[cfg(feature = "redis")]
pub mod fleet;
mod holdings;
#[doc(hidden)]
pub mod hosts;
mod ingest;
mod layer;
pub mod memory_budget;
pub mod not_stored;
pub mod origin;
#[doc(hidden)]
pub mod owed;
mod parts;
mod peers;
mod purge;
mod read;
#[doc(hidden)]
pub mod recording;
mod request;
mod respond;
pub mod setting;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod sql;
mod storability;
mod store;
pub mod strategy;
#[doc(hidden)]
pub mod tally;
pub mod tenant;
pub mod tier;
mod tunnel;
pub mod values;
mod write;

pub use sandbar_base::{clock, disk_trouble};
#[doc(hidden)]
pub use sandbar_http as http;
#[doc(hidden)]
pub use sandbar_memory as memory;
pub use sandbar_policy as policy;

pub use self::embed::handle::Sandbar;
pub use self::layer::{CacheLayer, CacheService};

// How tests measure that work grows in proportion to its input.
#[cfg(test)]
#[path = "../../../fuzz/src/proportion.rs"]
mod proportion;
