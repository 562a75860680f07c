//! The node's memory: the account of what is kept on behalf of clients, origins and operators, the limits that bound it
//! ([`machine`]), and how the node shrinks when memory runs short all the same ([`pressure`], [`keeper`]).

#[doc(hidden)]
pub mod keeper;
#[doc(hidden)]
pub mod machine;
#[doc(hidden)]
pub mod pressure;

/// The part of a node's memory that the tenants' shares of L1 have to leave, for guests and bodies under way: an eighth. An
/// L1 that is larger than the memory never evicts: once that is full, nothing new would find room.
#[doc(hidden)]
pub const LEFT_DIVISOR: u64 = 8;

/// Whether the tenants' shares of L1 leave enough of the memory.
#[doc(hidden)]
pub const fn shares_fit(l1_bytes: u64, total_bytes: u64) -> bool {
    l1_bytes <= total_bytes - total_bytes / LEFT_DIVISOR
}

pub use sandbar_base::memory_budget::{Content, MemoryBudget, MemoryBudgetStats, Reserved, Use};
