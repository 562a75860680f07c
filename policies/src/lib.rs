//! The stock policies, native and as built components.

pub mod eviction;
