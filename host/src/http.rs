//! HTTP: the rules of RFC 9111 as pure functions ([`semantics`]), the request as the origin sees it ([`origin_view`]) and
//! what of it joins the cache key ([`key`]), what comes before a response ([`interim`]), and the cache as a tower [`layer`].

pub mod interim;
pub mod key;
pub mod layer;
pub mod origin_view;
pub mod semantics;

pub use interim::Interim;
pub use layer::{CacheLayer, CacheService};
