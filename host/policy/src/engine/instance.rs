//! One instance of a guest: its memory, its budget, and the one place where it is called.

use std::sync::Arc;
use std::time::Duration;

use sandbar_base::clock::thread_cpu_time;
use sandbar_base::memory_budget::{Reserved, Use};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, StoreContextMut, Trap, UpdateDeadline};

use super::limits::Permit;
use super::place::place;
use super::pool::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};
use super::{Compiled, Engine};
use crate::ledger::{Ledger, SAMPLED_ONE_IN};
use crate::{Fault, FaultKind, GuestText};

/// The host's state of an instance.
pub(crate) struct GuestState {
    /// The ledger of the instance's binding: it takes log lines and processor time.
    pub(crate) ledger: Arc<Ledger>,
    /// Bytes that all of the instance's memories together may have.
    memory_bytes_max: u64,
    /// Bytes that these memories have.
    memory_bytes: u64,
    /// The part of `memory_bytes` that was added last: that growth was allowed, but may still fail.
    growth_bytes: u64,
    /// The memory that is charged to the node's budget for the instance.
    memory: Reserved,
    /// In the call under way the node had no more memory for the instance.
    is_short: bool,
    /// In the call under way the guest asked for more memory than it may have.
    was_refused_memory: bool,
    /// The last line at level `error` of the call under way: the message of its panic, where it panicked.
    said: Option<GuestText>,
    /// Processor time that the call under way may take.
    budget: Duration,
    /// The thread's processor time at the first tick of the call under way.
    first_tick: Option<Duration>,
}

/// An instance, and the functions of its role.
pub(crate) struct Instance<F> {
    store: Store<GuestState>,
    functions: F,
    _permit: Permit,
}

/// Makes instances of one compiled policy for one binding.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) ledger: Arc<Ledger>,
}

/// Bytes that a guest may hand to the host in one call.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The error that interrupts a guest which has used up its budget.
#[derive(Debug, thiserror::Error)]
#[error("the call has used up its budget")]
struct UsedUp;

impl Maker {
    /// Makes an instance with at most `memory_bytes_max` of memory. `find` looks up its functions, `configure` gives it
    /// its settings.
    pub(crate) fn make<F, R>(
        &self,
        memory_bytes_max: u64,
        find: impl FnOnce(&mut Store<GuestState>, &wasmtime::component::Instance) -> wasmtime::Result<F>,
        configure: impl FnOnce(&mut Store<GuestState>, &F) -> wasmtime::Result<R>,
    ) -> Result<(Instance<F>, R), Fault> {
        let no_instance = || Fault::no_instance(format!("all {} are in use", self.engine.limits.instances_max()));
        let permit = self.engine.limits.permit(self.compiled.places).ok_or_else(no_instance)?;
        let budget = self.engine.config.setup_budget;
        let mut store = self.store(memory_bytes_max, budget);
        self.engine.tick();
        begin(&mut store, budget);
        let began = thread_cpu_time();
        let made = self.compiled.pre.instantiate(&mut store).and_then(|instance| {
            let functions = find(&mut store, &instance)?;
            let configured = configure(&mut store, &functions)?;
            Ok((functions, configured))
        });
        self.ledger.used(thread_cpu_time().saturating_sub(began));
        match made {
            Ok((functions, configured)) => Ok((Instance { store, functions, _permit: permit }, configured)),
            Err(error) => Err(fault(&error, store.data())),
        }
    }

    fn store(&self, memory_bytes_max: u64, budget: Duration) -> Store<GuestState> {
        let ledger = Arc::clone(&self.ledger);
        let memory = self.engine.budget.nothing(Use::Guests);
        let state = GuestState {
            ledger,
            memory_bytes_max,
            memory_bytes: 0,
            growth_bytes: 0,
            memory,
            is_short: false,
            was_refused_memory: false,
            said: None,
            budget,
            first_tick: None,
        };
        let mut store = Store::new(self.compiled.component.engine(), state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(ANSWER_BYTES_MAX);
        store.epoch_deadline_callback(interrupt);
        store
    }
}

impl<F> Instance<F> {
    /// Calls the guest. After a fault the instance must not be called again.
    pub(crate) fn call<R>(
        &mut self,
        engine: &Engine,
        ask: impl FnOnce(&mut Store<GuestState>, &F) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.call_within(engine, engine.config.call_budget, ask)
    }

    /// Calls the guest for work that may take as long as taking the settings. After a fault the instance must not be
    /// called again.
    pub(crate) fn set_up<R>(
        &mut self,
        engine: &Engine,
        ask: impl FnOnce(&mut Store<GuestState>, &F) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.call_within(engine, engine.config.setup_budget, ask)
    }

    fn call_within<R>(
        &mut self,
        engine: &Engine,
        budget: Duration,
        ask: impl FnOnce(&mut Store<GuestState>, &F) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        engine.tick();
        begin(&mut self.store, budget);
        let began = self.store.data().ledger.called().then(thread_cpu_time);
        let answer = ask(&mut self.store, &self.functions);
        if let Some(began) = began {
            self.store.data().ledger.used(thread_cpu_time().saturating_sub(began) * SAMPLED_ONE_IN);
        }
        answer.map_err(|error| fault(&error, self.store.data()))
    }
}

fn begin(store: &mut Store<GuestState>, budget: Duration) {
    let state = store.data_mut();
    state.budget = budget;
    state.first_tick = None;
    state.was_refused_memory = false;
    state.is_short = false;
    state.said = None;
    store.set_epoch_deadline(1);
}

/// Decides at each tick whether the guest may go on. Ticks measure wall time, and on a busy machine a call may be off
/// the processor for any time: only the thread's own processor time counts. Reading it is a system call, so it is not
/// read before the first tick, which few calls reach; a call therefore gets up to one tick more than its budget.
fn interrupt(mut store: StoreContextMut<'_, GuestState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    let now = thread_cpu_time();
    let used = now.saturating_sub(*state.first_tick.get_or_insert(now));
    if used >= state.budget { Err(UsedUp.into()) } else { Ok(UpdateDeadline::Continue(1)) }
}

/// The fault of a failed call: its kind, where in the guest it happened, and what the guest said.
fn fault(error: &wasmtime::Error, state: &GuestState) -> Fault {
    Fault { kind: kind(error, state), place: place(error), said: state.said.clone() }
}

fn kind(error: &wasmtime::Error, state: &GuestState) -> FaultKind {
    let shown = |error: &wasmtime::Error| GuestText::within(&format!("{error:#}"), FAULT_BYTES_MAX);
    if state.was_refused_memory {
        FaultKind::Memory { limit_bytes: state.memory_bytes_max }
    } else if state.is_short {
        FaultKind::NoInstance { reason: "the node's memory is used up (memory.total)".into() }
    } else if error.is::<UsedUp>() {
        FaultKind::Deadline { budget_us: u64::try_from(state.budget.as_micros()).unwrap_or(u64::MAX) }
    } else if error.is::<PoolConcurrencyLimitError>() {
        FaultKind::NoInstance { reason: shown(error) }
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        FaultKind::Trap { trap: trap.to_string().trim_start_matches("wasm trap: ").into() }
    } else {
        FaultKind::Nonsense { reason: shown(error) }
    }
}

/// Bytes of a fault's reason. Faults are kept and logged, so they have a bound, too.
const FAULT_BYTES_MAX: usize = 512;

impl GuestState {
    /// Logs a line of the guest's, and keeps it for a fault if it is an error.
    pub(crate) fn log(&mut self, level: tracing::Level, line: &str) {
        if level == tracing::Level::ERROR {
            self.said = Some(GuestText::new(line));
        }
        self.ledger.log(level, line);
    }
}

impl ResourceLimiter for GuestState {
    /// Several memories count as one: their sum is bounded, and charged to the node's budget.
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let growth_bytes = desired.saturating_sub(current) as u64;
        let wanted_bytes = self.memory_bytes.saturating_add(growth_bytes);
        let may = wanted_bytes <= self.memory_bytes_max;
        self.was_refused_memory |= !may;
        let is_there = may && self.memory.cover(wanted_bytes);
        self.is_short |= may && !is_there;
        if is_there {
            (self.memory_bytes, self.growth_bytes) = (wanted_bytes, growth_bytes);
        }
        Ok(is_there)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_bytes -= std::mem::take(&mut self.growth_bytes);
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize + 1
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}
