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

/// What the host keeps of an instance.
pub(crate) struct GuestState {
    /// Whose it is: where its log lines go.
    pub(crate) ledger: Arc<Ledger>,
    /// What all of its memories together may have.
    memory_bytes_max: u64,
    /// What they have.
    memory_bytes: u64,
    /// By how much the growth that was allowed last makes it more: it may still fail.
    growth_bytes: u64,
    /// What it has, of the node's.
    memory: Reserved,
    /// The node had no more for it.
    is_short: bool,
    /// It asked for more memory than it may have.
    was_refused_memory: bool,
    /// The last line at level `error` of the call under way: a panic's message, where it is one.
    said: Option<GuestText>,
    budget: Duration,
    /// The thread's processor time at the first tick of the call under way.
    first_tick: Option<Duration>,
}

/// An instance, and its functions.
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

/// What interrupts a guest that has used up its budget.
#[derive(Debug, thiserror::Error)]
#[error("the call has used up its budget")]
struct UsedUp;

impl Maker {
    /// An instance with at most `memory_bytes_max` of memory. `find` looks its functions up, `configure` hands it its
    /// settings.
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
    /// Calls it. After a fault it must not be called again.
    pub(crate) fn call<R>(
        &mut self,
        engine: &Engine,
        ask: impl FnOnce(&mut Store<GuestState>, &F) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.call_within(engine, engine.config.call_budget, ask)
    }

    /// Calls it for what may take as long as taking its settings does. After a fault it must not be called again.
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
/// the processor for any time: only the thread's own processor time counts. Reading it is a system call, so it is read
/// first at the first tick, which few calls live to see; a call therefore gets up to one tick more than its budget.
fn interrupt(mut store: StoreContextMut<'_, GuestState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    let now = thread_cpu_time();
    let used = now.saturating_sub(*state.first_tick.get_or_insert(now));
    if used >= state.budget { Err(UsedUp.into()) } else { Ok(UpdateDeadline::Continue(1)) }
}

/// What a failed call was, where, and what the guest said of it.
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

/// Faults are kept and logged: they have a bound, too.
const FAULT_BYTES_MAX: usize = 512;

impl GuestState {
    /// Takes in a line that the guest logs.
    pub(crate) fn log(&mut self, level: tracing::Level, line: &str) {
        if level == tracing::Level::ERROR {
            self.said = Some(GuestText::new(line));
        }
        self.ledger.log(level, line);
    }
}

impl ResourceLimiter for GuestState {
    /// Several memories count as one: what they have together is bounded, and charged to the node's.
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
