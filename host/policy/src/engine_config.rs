//! The bounds within which guests run.

use std::time::Duration;

/// Largest component that is read, in bytes.
pub const COMPONENT_BYTES_MAX: u64 = 8 << 20;

/// Bounds of guests in time, memory and number, and what happens to those that fail.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Processor time that one call may take.
    pub call_budget: Duration,
    /// Processor time that making an instance and taking its settings may take.
    pub setup_budget: Duration,
    /// Share of a processor core that the guests of one tenant may use in the long run, in per cent; 0 for no limit.
    pub core_share_percent: u32,
    /// Faults within [`EngineConfig::fault_window`] after which a policy is quarantined.
    pub faults_max: u32,
    /// The time within which [`EngineConfig::faults_max`] faults lead to a quarantine.
    pub fault_window: Duration,
    /// Length of a policy's first quarantine; each one that follows soon is twice as long.
    pub quarantine: Duration,
    /// Upper bound of a quarantine's length.
    pub quarantine_max: Duration,
    /// Instances that may exist at once, of all tenants; fewer where `vm.max_map_count` of the machine is too low.
    pub instances_max: u32,
    /// Memory of one instance in bytes, at most. An eviction instance may have more, in proportion to its shard's
    /// capacity.
    pub memory_bytes: u64,
    /// Upper bound of an eviction instance's memory in bytes, whatever its shard's capacity.
    pub eviction_memory_bytes_max: u64,
    /// Largest component that may be bound, in bytes.
    pub component_bytes_max: u64,
    /// Machine code of compiled policies that is kept for policies used lately, though not bound any more, in bytes.
    pub compiled_bytes_max: u64,
    /// How long an instance may be idle before it is released.
    pub idle: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            call_budget: Duration::from_millis(2),
            setup_budget: Duration::from_millis(50),
            core_share_percent: 50,
            faults_max: 3,
            fault_window: Duration::from_secs(10),
            quarantine: Duration::from_secs(10),
            quarantine_max: Duration::from_secs(600),
            instances_max: 4096,
            memory_bytes: 16 << 20,
            eviction_memory_bytes_max: 1 << 30,
            component_bytes_max: COMPONENT_BYTES_MAX,
            compiled_bytes_max: 64 << 20,
            idle: Duration::from_secs(30),
        }
    }
}
