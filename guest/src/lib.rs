//! What a policy author depends on: one trait and one export macro per role.

pub mod eviction;
pub mod settings;
