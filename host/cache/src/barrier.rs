//! Barriers: how a purge reaches entries that nobody can list, and fills that are still on their way.
//!
//! Each tenant has a purge sequence. A fill reads it before it asks the origin and the entry keeps it; a purge takes the
//! next number and records it for its scope. An entry is visible only if its number is not below the barrier of any
//! scope it belongs to: so a purge is O(1), and a fill that was begun before it never becomes visible after it.

mod marks;
pub(crate) mod outbox;
mod recorded;
mod unrecorded;

pub use marks::{Barriers, Losses, Verdict};
pub use recorded::Barrier;
pub use sandbar_http::purge::{Purge, PurgeMode, Scope};
pub(crate) use unrecorded::Unrecorded;
