//! The tier under many interleavings, with a policy that watches what it is told.

mod interleavings;
mod support;
