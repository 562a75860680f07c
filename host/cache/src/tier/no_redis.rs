//! What stands for Redis without the feature `redis`.

/// A purge as a part of a script: there is none.
#[derive(Debug)]
pub enum Raising {}
