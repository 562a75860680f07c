//! Types that all parts of the host use: timestamps and clocks ([`clock`]), hashes of cache keys, digests of
//! components, failures of policies ([`Fault`]), the account of the node's memory ([`memory_budget`]) and refused
//! writes to its disk ([`disk_trouble`]).

mod as_text;
#[cfg(feature = "node")]
pub mod clock;
mod digest;
#[cfg(feature = "node")]
pub mod disk_trouble;
mod fault;
#[cfg(feature = "node")]
pub mod file_lock;
mod guest_text;
mod key_hash;
pub mod memory_budget;
mod panic_text;
#[cfg(feature = "node")]
pub mod replace;
mod timestamp;

pub use self::digest::Digest;
pub use self::fault::{Fault, FaultKind};
pub use self::guest_text::GuestText;
pub use self::key_hash::KeyHash;
pub use self::panic_text::panic_text;
pub use self::timestamp::Timestamp;
