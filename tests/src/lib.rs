//! The harness of the tests that need more than one module: an origin that does as it is told ([`origin`]), a client
//! ([`client`]), a Redis of the test's own ([`redis_server`]), and what is stored in tiers ([`entries`]).

pub mod client;
pub mod entries;
pub mod origin;
pub mod redis_server;
