//! The engine that runs guests: one per process, for all tenants.
//!
//! It compiles a component once per digest, sizes the pool of instances at start, and lets a ticker interrupt calls, so
//! that none runs for longer than its budget.

mod compiled;
mod instance;
mod limits;
mod place;
mod pool;
mod ticker;
pub(crate) mod wit;

pub(crate) use compiled::Compiled;
pub(crate) use instance::{GuestState, Instance, Maker};
pub(crate) use ticker::IdleInstances as Idle;

use std::fmt;
use std::sync::{Arc, Weak};

use sandbar_base::memory_budget::MemoryBudget;
use wasmtime::component::Linker;

use self::compiled::Library;
use self::ticker::Ticker;
use super::{BindError, Checked, EngineConfig, Role, check_within};

/// Why the engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error("can't start the policy engine: {0}")]
pub struct EngineError(String);

/// Compiles the guests of all tenants and runs them.
pub struct Engine {
    config: EngineConfig,
    wasm: wasmtime::Engine,
    linker: Linker<GuestState>,
    library: Library,
    limits: limits::InstanceLimits,
    budget: Arc<MemoryBudget>,
    ticker: Ticker,
}

impl Engine {
    /// Makes an engine. Where the pool of instances can't be reserved, instances are made on demand, which is slower,
    /// and a warning says so.
    ///
    /// # Errors
    /// Where guests can't be run on this machine.
    pub fn new(config: &EngineConfig) -> Result<Arc<Self>, EngineError> {
        Self::within(config, MemoryBudget::unbounded())
    }

    /// As [`Engine::new`], with the guests' memories charged to the node's `budget`. Where a guest needs more than is
    /// left, the native default answers, and that is no fault of the policy.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn within(config: &EngineConfig, budget: Arc<MemoryBudget>) -> Result<Arc<Self>, EngineError> {
        let failed = |error: wasmtime::Error| EngineError(format!("{error:#}"));
        let limits = limits::InstanceLimits::of_this_machine(config.instances_max);
        let wasm = pool::engine(config, &limits).map_err(failed)?;
        let mut linker = Linker::new(&wasm);
        wit::link_log(&mut linker).map_err(failed)?;
        let library = Library::new(config.compiled_bytes_max);
        let ticker = Ticker::new(wasm.clone());
        Ok(Arc::new(Self { config: config.clone(), wasm, linker, library, limits, budget, ticker }))
    }

    /// The bounds within which the engine runs guests.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Places of the pool that are taken now, by instances of all tenants: one each, but several where an instance has
    /// several memories or many tables.
    pub fn instances(&self) -> u32 {
        self.limits.instances()
    }

    /// Compiled policies that are in memory now, bound or kept.
    pub fn compiled(&self) -> usize {
        self.library.len()
    }

    /// Checks whether bytes are a component that could be bound, without compiling it.
    ///
    /// # Errors
    /// When the component could not be bound.
    pub fn check(&self, bytes: &[u8]) -> Result<Checked, BindError> {
        check_within(bytes, self.config.component_bytes_max)
    }

    /// Compiles a component for a role that it has, or finds it compiled already.
    pub(crate) fn compile(&self, bytes: &[u8], role: Role) -> Result<Arc<Compiled>, BindError> {
        let checked = self.check(bytes)?;
        if !checked.roles.contains(&role) {
            return Err(BindError::LacksRole { role, roles: checked.roles });
        }
        self.library.find_or_make(checked.digest, || Compiled::new(&self.wasm, &self.linker, checked.clone(), bytes))
    }

    /// Starts the ticker, which must run before a guest does.
    pub(crate) fn tick(&self) {
        self.ticker.start();
    }

    /// Releases the freshness and invalidation instances that no call uses at present. Eviction instances stay: they
    /// belong to their shards.
    pub fn release_idle(&self) {
        self.ticker.release_all();
    }

    /// From now on the ticker tells `instances` to release those that are idle.
    pub(crate) fn watch_idle(&self, instances: Weak<dyn Idle>) {
        self.ticker.watch(instances);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
