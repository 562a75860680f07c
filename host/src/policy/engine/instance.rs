//! One instance of a guest: its memory, its budget, and the one place where it is called.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, StoreContextMut, Trap, UpdateDeadline};

use super::limits::Permit;
use super::pool::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};
use super::{Compiled, Engine};
use crate::clock::thread_cpu_time;
use crate::memory_budget::{Reserved, Use};
use crate::policy::Fault;
use crate::policy::ledger::{Ledger, SAMPLED_ONE_IN};

/// What the host keeps of an instance.
pub(crate) struct GuestState {
    /// Whose it is: where its log lines go.
    pub(crate) ledger: Arc<Ledger>,
    memory_bytes_max: u64,
    /// What it has, of the node's.
    memory: Reserved,
    /// The node had no more for it.
    is_short: bool,
    /// It asked for more memory than it may have.
    was_refused_memory: bool,
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
        let no_instance = || Fault::NoInstance(format!("all {} are in use", self.engine.limits.instances_max()));
        let permit = self.engine.limits.permit().ok_or_else(no_instance)?;
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
        let memory = self.engine.budget.take(Use::Guests, 0);
        let state = GuestState {
            ledger,
            memory_bytes_max,
            memory,
            is_short: false,
            was_refused_memory: false,
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

/// What a failed call was.
fn fault(error: &wasmtime::Error, state: &GuestState) -> Fault {
    if state.was_refused_memory {
        Fault::Memory { limit_bytes: state.memory_bytes_max }
    } else if state.is_short {
        Fault::NoInstance("the node's memory is used up (memory.total)".to_owned())
    } else if error.is::<UsedUp>() {
        Fault::Deadline { budget_us: u64::try_from(state.budget.as_micros()).unwrap_or(u64::MAX) }
    } else if error.is::<PoolConcurrencyLimitError>() {
        Fault::NoInstance(format!("{error:#}"))
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        Fault::Trap(described(trap, error))
    } else {
        Fault::Nonsense(cut(format!("{error:#}")))
    }
}

/// The trap and the function it happened in.
fn described(trap: &Trap, error: &wasmtime::Error) -> String {
    let backtrace = error.downcast_ref::<wasmtime::WasmBacktrace>();
    let frames = backtrace.map(wasmtime::WasmBacktrace::frames).unwrap_or_default();
    // Innermost first: the frames of the panic itself say less than what led to it.
    let named = |frame: &wasmtime::FrameInfo| {
        let name = frame.func_name()?;
        let name = rustc_name(name);
        let is_panic =
            ["panic", "rust_", "__rust", "abort", "core::option", "core::result"].iter().any(|it| name.contains(it));
        (!is_panic).then_some(name)
    };
    cut(match frames.iter().find_map(named) {
        Some(name) => format!("{trap} in {name}"),
        None => trap.to_string(),
    })
}

fn rustc_name(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Faults are kept and logged: they have a bound, too.
pub(crate) fn cut(mut text: String) -> String {
    const FAULT_BYTES_MAX: usize = 512;
    if text.len() > FAULT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(FAULT_BYTES_MAX));
    }
    text
}

impl ResourceLimiter for GuestState {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let may = desired as u64 <= self.memory_bytes_max;
        self.was_refused_memory |= !may;
        let is_there = may && self.memory.cover(desired as u64);
        self.is_short |= may && !is_there;
        Ok(is_there)
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
