//! The node's memory: the account of what is kept on behalf of clients, origins and operators, the limits that bound it
//! ([`machine`]), and how the node shrinks when memory runs short all the same ([`pressure`], [`keeper`]).

#[doc(hidden)]
pub mod keeper;
#[doc(hidden)]
pub mod machine;
#[doc(hidden)]
pub mod pressure;

pub use sandbar_base::memory_budget::{Content, MemoryBudget, MemoryBudgetStats, Reserved, Use};
