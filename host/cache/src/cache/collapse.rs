//! Request collapsing: one fetch per key and node; everybody else waits for what it brings.
//!
//! What a fetch brings ([`landing`]) can't be looked at by those who wait. Each of them is told what it means for *its own*
//! request: a response it may be given, or that it has to go on by itself.

pub(super) mod flight;
pub(super) mod landing;
pub(super) mod wait;
