//! What all parts of the host speak of: moments and clocks ([`clock`]), hashes of keys, digests of components, what a policy
//! did instead of answering ([`Fault`]), the account of the node's memory ([`memory_budget`]) and what its disk refuses to
//! take ([`disk_trouble`]).

#[cfg(feature = "node")]
pub mod clock;
mod digest;
#[cfg(feature = "node")]
pub mod disk_trouble;
mod fault;
mod guest_text;
mod key_hash;
pub mod memory_budget;
mod timestamp;

pub use self::digest::Digest;
pub use self::fault::{Fault, FaultKind};
pub use self::guest_text::GuestText;
pub use self::key_hash::KeyHash;
pub use self::timestamp::Timestamp;
