//! Stock eviction policies compiled in: the native default, and what takes over when a guest fails.

use std::sync::Arc;

use super::eviction::{EvictionFactory, EvictionPolicy};
use super::{Digest, Fault};

/// The native eviction policy of a tenant that chose none, and of one whose guest has failed.
pub const DEFAULT_EVICTION: &str = "s3-fifo";

/// Makes the native default.
#[derive(Debug)]
pub struct NativeEviction;

impl EvictionFactory for NativeEviction {
    fn name(&self) -> &str {
        DEFAULT_EVICTION
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn make(&self, _capacity_bytes: u64, _seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        Err(Fault::NoInstance("not compiled in".to_owned()))
    }

    fn faulted(&self, _fault: &Fault) {}

    fn is_trusted(&self) -> bool {
        true
    }

    fn fallback(&self) -> Arc<dyn EvictionFactory> {
        Arc::new(Self)
    }
}
