//! The role `eviction`: a policy is told which entries were read, arrived and departed, and names those to evict.

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
    /// When the policy failed; it is not called again then, and the victims that it pushed don't count.
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim_bytes: u64, victims: &mut Vec<u32>)
    -> Result<(), Fault>;

    /// Pushes up to `limit` resident slots in eviction order, coldest first: those behind `after`, or from the coldest
    /// on where that is none. Changes nothing.
    ///
    /// # Errors
    /// When the policy failed.
    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault>;

    /// What the policy has learnt besides its eviction order, for its successor; of any size, by default nothing.
    ///
    /// # Errors
    /// When the policy failed; it is not called again then.
    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        Ok(Knowledge::default())
    }

    /// Takes in what its predecessor has learnt, before its first event.
    ///
    /// # Errors
    /// When the policy failed; it is not called again then.
    fn take_over(&mut self, _predecessor: &Knowledge) -> Result<(), Fault> {
        Ok(())
    }
}

/// Makes the policies of a tenant's shards: a stock policy compiled in, or a guest.
pub trait EvictionFactory: Send + Sync + 'static {
    /// The policy's name, as in [`MemoryStats::policy`](crate::MemoryStats::policy).
    fn name(&self) -> &str;

    /// The component's digest; none where it is native.
    fn digest(&self) -> Option<Digest>;

    /// Whether it is one of this program's own policies, built in or as a component. The knowledge that a stock policy
    /// hands over is as sound as the program; that of others is not trusted.
    fn is_stock(&self) -> bool {
        false
    }

    /// Makes a policy with this factory's settings for one shard of `capacity_bytes`.
    ///
    /// # Errors
    /// When it could not be made, which the factory has counted itself; the caller uses the native default then.
    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault>;

    /// Called with every fault of a policy that it made, including those that the shard noticed in an answer.
    fn faulted(&self, fault: &Fault);

    /// Whether a policy may be made now (false while this one is quarantined).
    fn is_trusted(&self) -> bool;

    /// The native policy that stands in while this one is not trusted.
    fn fallback(&self) -> Arc<dyn EvictionFactory>;
}
