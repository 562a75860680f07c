//! The settings of the WebAssembly engine, and of the pool that instances are taken from.

use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails};

use super::EngineConfig;
use super::limits::InstanceLimits;

/// Core modules of a component: the policy's own, those that link it to the log, and, where it is composed of several
/// components (an interpreter and its script), the modules of each and those that link them.
pub(super) const CORE_INSTANCES: u32 = 32;
/// Linear memories of a component. Against the bound of an instance's memory they count as one.
pub(super) const MEMORIES: u32 = 4;
/// Tables of a component: of its modules, and of the links between them.
pub(super) const TABLES: u32 = 8;
/// Tables for each place of the pool: the policy's own and that of the link to the log.
const TABLES_PER_PLACE: u32 = 2;
/// Elements of a table: functions that may be called indirectly.
pub(super) const TABLE_ELEMENTS: usize = 8_192;

/// Bytes that the engine's own structures for one instance may take.
const INSTANCE_BYTES: usize = 256 << 10;

/// Address space of one memory: all that 32 bits can address, so that generated code needs no bounds checks.
const WIDE_BYTES: u64 = 4 << 30;

/// An engine whose instances come from a pool, or, where no pool can be reserved, are made on demand.
pub(super) fn engine(config: &EngineConfig, limits: &InstanceLimits) -> wasmtime::Result<wasmtime::Engine> {
    let instances = limits.instances_max();
    let wide = WIDE_BYTES.saturating_mul(instances.into());
    if limits.has_address_space(wide) {
        let mut pooling = base();
        pooling.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config, instances)));
        match wasmtime::Engine::new(&pooling) {
            Ok(engine) => return Ok(engine),
            Err(error) => tracing::warn!(error = format!("{error:#}"), instances, "{ON_DEMAND}"),
        }
    } else {
        tracing::warn!(reason = "the address space of this process is limited", instances, "{ON_DEMAND}");
    }
    let mut on_demand = base();
    on_demand.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    // Small reservations, so that many instances fit a small address space; memories move as they grow.
    on_demand.memory_reservation(0).memory_guard_size(64 << 10).memory_reservation_for_growth(1 << 20);
    wasmtime::Engine::new(&on_demand)
}

const ON_DEMAND: &str = "can't reserve the pool of policy instances; making them on demand, which is slower";

fn base() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        .concurrency_support(false)
        // Policies are plain computations. What they don't need can't be used against the host.
        .gc_support(false)
        .wasm_memory64(false)
        // The modules that link the components of a composed one copy from memory to memory.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .native_unwind_info(false);
    config
}

/// The places of the pool that an instance with this many memories and tables takes. A place has one memory, so that
/// the pool reserves no more address space than instances of one memory need.
pub(super) const fn places(memories: u32, tables: u32) -> u32 {
    let (memories, tables) = (if memories > 0 { memories } else { 1 }, tables.div_ceil(TABLES_PER_PLACE));
    if memories > tables { memories } else { tables }
}

fn pool(config: &EngineConfig, instances: u32) -> PoolingAllocationConfig {
    let memory_bytes = config.memory_bytes.max(config.eviction_memory_bytes_max);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(TABLES_PER_PLACE))
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(usize::try_from(memory_bytes).unwrap_or(usize::MAX));
    pool
}
