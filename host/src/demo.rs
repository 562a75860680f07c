//! `sandbar demo`: a real origin, the gateway in front of it, two tenants, a load, and a policy swapped half way.
//!
//! Everything goes over real sockets. The origin is a database-backed server with a thread of its own; visitors compare
//! every byte that comes out of the cache with what the origin must have sent, and at the end the visitors' count, the
//! gateway's and the origin's are compared with each other.
#![allow(dead_code)]

mod aside;
mod board;
mod catalogue;
mod client;
mod film;
mod lines;
mod load;
mod origin;
mod random;
mod summary;
mod swap;
mod view;
mod workload;
