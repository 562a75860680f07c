//! The harness of the tests that need more than one module: an origin that does as it is told ([`origin`]), a client
//! ([`client`]), a gateway ([`gateway`]) and a Redis ([`redis_server`]) of the test's own, what is stored in tiers
//! ([`entries`]), a network that fails ([`fault_proxy`]), and traffic, recorded ([`traces`])
//! and made by code ([`workloads`]).

pub mod client;
pub mod entries;
pub mod fault_proxy;
pub mod gateway;
pub mod guests;
pub mod node;
pub mod origin;
pub mod redis_server;
pub mod traces;
pub mod wait;
pub mod workloads;
