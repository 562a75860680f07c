//! The node's memory: the account of what is kept on behalf of clients, origins and operators, the limits that bound it
//! ([`machine`]), and how the node shrinks when memory runs short all the same ([`pressure`], [`keeper`]).

pub mod keeper;
pub mod machine;
pub mod pressure;

pub use sandbar_base::memory_budget::{Content, MemoryBudget, MemoryBudgetStats, Reserved, Use};
