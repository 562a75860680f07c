//! The role `eviction`: these entries were read, these arrived, these left; which should leave to make room?

use std::sync::Arc;

use sandbar_guest::eviction::Knowledge;

use sandbar_base::{Digest, Fault};

/// The policy of one shard. Events are packed as `wit/0.1.0/eviction.wit` says; `sandbar_guest::eviction` packs and
/// unpacks them.
pub trait EvictionPolicy: Send {
    /// Takes in everything that happened since the last call and pushes the slots to evict onto `victims`, coldest
    /// first: those that make room for the arrivals, then further ones worth at least `reclaim_bytes`.
    ///
    /// # Errors
    /// When it failed; it is not called again then, and what it had pushed does not count.
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim_bytes: u64, victims: &mut Vec<u32>)
    -> Result<(), Fault>;

    /// Pushes up to `limit` resident slots in eviction order, coldest first, from behind `after`, or from the coldest.
    /// Changes nothing.
    ///
    /// # Errors
    /// When it failed.
    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault>;

    /// What it has learnt beside that order, of any size. Nothing, unless it says so.
    ///
    /// # Errors
    /// When it failed; it is not called again then.
    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        Ok(Knowledge::default())
    }

    /// Takes in what its predecessor has learnt, before its first event.
    ///
    /// # Errors
    /// When it failed; it is not called again then.
    fn take_over(&mut self, _predecessor: &Knowledge) -> Result<(), Fault> {
        Ok(())
    }
}

/// Makes the policies of a tenant's shards: a stock policy compiled in, or a guest.
pub trait EvictionFactory: Send + Sync + 'static {
    /// The policy's name.
    fn name(&self) -> &str;

    /// The component's digest; none where it is native.
    fn digest(&self) -> Option<Digest>;

    /// Whether it is a policy of this program's own, built in or as a component. What such a one hands over is as sound
    /// as the program; of others nobody knows.
    fn is_stock(&self) -> bool {
        false
    }

    /// A policy for one shard of `capacity_bytes`, which has taken its settings.
    ///
    /// # Errors
    /// When it could not be made, which it has counted itself; the caller uses the native default then.
    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault>;

    /// Told of every fault of a policy that it made, those that the shard found in an answer included.
    fn faulted(&self, fault: &Fault);

    /// Whether it may be made again now (false while it is quarantined).
    fn is_trusted(&self) -> bool;

    /// The native policy that takes over while this one is not trusted.
    fn fallback(&self) -> Arc<dyn EvictionFactory>;
}
