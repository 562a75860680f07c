//! HTTP caching as values and pure functions: the rules of RFC 9111 ([`semantics`]), the request as the origin sees it
//! ([`origin_view`]), the cache key made from that ([`key`]), the client of a request ([`client`]), a stored response
//! ([`entry`]) with its plan ([`plan`]), the scope of a purge ([`purge`]), and interim responses ([`interim`]). Several
//! of these modules use dates ([`date`]) and field names that an origin may take for each other ([`twin`]).

pub mod client;
mod combined;
pub mod date;
pub mod entry;
pub mod interim;
pub mod key;
pub mod origin_view;
pub mod plan;
pub mod purge;
pub mod semantics;
pub mod twin;

pub use interim::Interim;
