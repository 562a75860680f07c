//! The tier under many interleavings, with a policy that watches what it is told.

mod interleavings;
#[expect(dead_code, reason = "some of it only the tests that run in `host/` need")]
mod support;
