//! HTTP: the rules of RFC 9111 as pure functions ([`semantics`]), what joins the cache key ([`key`]), and the cache as a
//! tower [`layer`].

pub mod key;
pub mod layer;
pub mod semantics;

pub use layer::{CacheLayer, CacheService};
