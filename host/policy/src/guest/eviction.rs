//! The role `eviction`, answered by a guest: one instance for each shard.

use std::fmt;
use std::sync::Arc;

use sandbar_guest::eviction::Knowledge;
use sandbar_memory::eviction::{EvictionFactory, EvictionPolicy};
use sandbar_memory::native::NativeEviction;

use crate::engine::wit;
use crate::engine::{Instance, Maker};
use crate::{BindError, Digest, Fault, FaultKind};

/// Capacity of the shard that a policy is tried for when it is bound.
const TRIAL_CAPACITY_BYTES: u64 = 64 << 20;
/// Bytes of its shard's capacity for which an eviction guest may use one byte of memory more than other guests: for a
/// stored response of 1 KiB, 128 bytes.
const CAPACITY_PER_MEMORY: u64 = 8;

/// The instance of one shard, with its functions.
type ShardInstance = Instance<Box<dyn wit::Eviction>>;

/// An eviction policy that is a guest: it makes an instance for each shard.
pub(crate) struct EvictionGuest {
    maker: Maker,
    settings: String,
    is_stock: bool,
}

impl EvictionGuest {
    /// Opens a guest, after an instance for a trial shard has taken the settings.
    pub(crate) fn open(maker: Maker, settings: String, is_stock: bool) -> Result<Self, BindError> {
        let guest = Self { maker, settings, is_stock };
        let (_, taken) = guest.instance(TRIAL_CAPACITY_BYTES, 0)?;
        taken.map_err(|sentence| BindError::Settings(sentence.into()))?;
        Ok(guest)
    }

    fn instance(&self, capacity_bytes: u64, seed: u64) -> Result<(ShardInstance, wit::Configured<()>), Fault> {
        let config = self.maker.engine.config();
        let memory_bytes = config.memory_bytes.saturating_add(capacity_bytes / CAPACITY_PER_MEMORY);
        self.maker.make(
            memory_bytes.min(config.eviction_memory_bytes_max.max(config.memory_bytes)),
            |store, instance| wit::eviction(&self.maker.compiled, store, instance),
            |store, guest| guest.configure(store, &self.settings, capacity_bytes, seed),
        )
    }
}

impl EvictionFactory for EvictionGuest {
    fn name(&self) -> &str {
        self.maker.ledger.policy()
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.maker.compiled.checked.digest)
    }

    fn is_stock(&self) -> bool {
        self.is_stock
    }

    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        let made = self.instance(capacity_bytes, seed).and_then(|(instance, taken)| match taken {
            Ok(()) => Ok(instance),
            Err(refusal) => Err(Fault::nonsense(format!("it refuses a shard of {capacity_bytes} bytes: {refusal}"))),
        });
        let instance = made.inspect_err(|fault| self.maker.ledger.faulted(fault))?;
        Ok(Box::new(ShardGuest { maker: self.maker.clone(), instance }))
    }

    fn faulted(&self, fault: &Fault) {
        self.maker.ledger.faulted(fault);
    }

    fn is_trusted(&self) -> bool {
        self.maker.ledger.is_trusted() && !self.maker.ledger.is_over_share()
    }

    fn fallback(&self) -> Arc<dyn EvictionFactory> {
        NativeEviction::default_policy()
    }
}

impl fmt::Debug for EvictionGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvictionGuest").field("ledger", &self.maker.ledger).finish_non_exhaustive()
    }
}

/// The instance of one shard.
struct ShardGuest {
    maker: Maker,
    instance: ShardInstance,
}

impl EvictionPolicy for ShardGuest {
    fn advance(
        &mut self,
        now_ms: u64,
        events: &[u64],
        reclaim_bytes: u64,
        victims: &mut Vec<u32>,
    ) -> Result<(), Fault> {
        if self.maker.ledger.is_over_share() {
            return Err(FaultKind::OverShare.into());
        }
        let slots = self
            .instance
            .call(&self.maker.engine, |store, guest| guest.advance(store, now_ms, events, reclaim_bytes))?;
        victims.extend_from_slice(&slots);
        Ok(())
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        let found = self.instance.call(&self.maker.engine, |store, guest| guest.order(store, after, limit))?;
        let most = found.len().min(limit as usize);
        slots.extend_from_slice(&found[..most]);
        Ok(())
    }

    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        self.instance.set_up(&self.maker.engine, |store, guest| guest.hand_over(store))
    }

    fn take_over(&mut self, predecessor: &Knowledge) -> Result<(), Fault> {
        self.instance.set_up(&self.maker.engine, |store, guest| guest.take_over(store, predecessor))
    }
}
