//! Barriers: how a purge reaches entries that nobody can list, and fills that are still on their way.
//!
//! Each tenant has a purge sequence. A fill reads it before it asks the origin and the entry keeps it; a purge takes the
//! next sequence and records it for its scope. An entry is visible only if its sequence is not below the barrier of any
//! scope that it belongs to: so a purge is O(1), and a fill that began before it never becomes visible after it.

mod marks;
pub(crate) mod outbox;
mod recorded;
pub(crate) mod unheard;
mod unrecorded;

#[doc(hidden)]
pub use marks::{Barriers, Losses, Verdict};
#[doc(hidden)]
pub use recorded::Barrier;
pub use sandbar_http::purge::{Purge, PurgeMode, Scope};
pub(crate) use unrecorded::Unrecorded;
