//! What the author of a Sandbar policy depends on: a trait and an export macro for each role.
//!
//! A policy is a plain Rust type. This is a complete one; `sandbar policy build DIR` makes a component of its crate (a
//! library with this crate as its dependency), and `sandbar policy bind --tenant T --role freshness FILE` binds it:
//!
//! ```
//! use sandbar_guest::freshness::{Freshness, Plan, Request, Response};
//!
//! /// Images may be served stale for an hour while they are validated, and are purged together.
//! struct Images;
//!
//! impl Freshness for Images {
//!     fn configure(_settings: &str, _seed: u64) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn plan(&mut self, _now_ms: u64, request: &Request, _response: &Response, mut plan: Plan) -> Plan {
//!         if request.target.starts_with("/images/") {
//!             plan.stale_while_revalidate_ms = 3_600_000; // beyond the origin's own: needs the grant `stale`
//!             plan.surrogate_keys.push("images".to_owned());
//!         }
//!         plan
//!     }
//! }
//!
//! sandbar_guest::export_freshness!(Images);
//! ```
//!
//! # Roles
//! | role | trait | macro | asked |
//! |---|---|---|---|
//! | freshness | [`freshness::Freshness`] | [`export_freshness!`] | once per fill |
//! | eviction | [`eviction::Replacement`], or [`eviction::Eviction`] for more | [`export_eviction!`] | in batches, per shard of the memory tier |
//! | invalidation | [`invalidation::Invalidation`] | [`export_invalidation!`] | once per write through the gateway |
//! | warming | [`warming::Warming`] | [`export_warming!`] | not yet: the host refuses to bind it |
//!
//! A component may have several roles: use several macros, on one type or on several.
//!
//! # What a policy can and can't do
//! It has no clock, no randomness and no I/O: the time is an argument, a seed comes with `configure`, and the only thing
//! it can call is the [`log`](mod@log). So it gives the same answers in replay, in a trial and in production. A call that
//! takes too long, wants too much memory, panics or answers nonsense is answered by the host's built-in default instead.
//! `sandbar policy list` shows the fault, the function in which it happened, and the message of a panic.
//!
//! # Testing
//! The macros expand to nothing but a type check when they are not compiled to WebAssembly, so a policy is tested with
//! plain `cargo test`.
#![deny(missing_docs)]

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
pub mod eviction;
mod export;
pub mod freshness;
pub mod invalidation;
pub mod log;
#[cfg(target_family = "wasm")]
mod panics;
pub mod settings;
pub mod warming;

/// The first value of a field, by its name in lower case.
fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
