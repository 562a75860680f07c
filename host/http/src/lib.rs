//! HTTP caching as values and pure functions: the rules of RFC 9111 ([`semantics`]), the request as the origin sees it
//! ([`origin_view`]) and what of it joins the cache key ([`key`]), who asks ([`client`]), a stored response ([`entry`])
//! with its plan ([`plan`]), what a purge names ([`purge`]), and what comes before a response ([`interim`]). What several of
//! these read is beneath them: dates ([`date`]) and names that an origin may take for each other ([`twin`]).

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
