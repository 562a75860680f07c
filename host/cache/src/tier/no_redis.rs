//! Stands for the Redis tier in a build without the feature `redis`.

/// A purge as part of a Redis script: without Redis there can't be one.
#[derive(Debug)]
#[doc(hidden)]
pub enum Raising {}
