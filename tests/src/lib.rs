//! The harness of the tests that need more than one module.

pub mod entries;
pub mod redis_server;
