//! What bounds guests.

use std::time::Duration;

/// Largest component that is read, in bytes.
pub const COMPONENT_BYTES_MAX: u64 = 8 << 20;

/// How guests are run.
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
    /// See [`EngineConfig::faults_max`].
    pub fault_window: Duration,
    /// Length of a policy's first quarantine; each further one is twice as long.
    pub quarantine: Duration,
    /// Upper bound of a quarantine.
    pub quarantine_max: Duration,
    /// Instances that may live at once. Fewer where the machine's address space or map count does not allow as many.
    pub instances_max: u32,
    /// Memory of one instance in bytes. An eviction instance may have more, in proportion to its shard's capacity.
    pub memory_bytes: u64,
    /// Upper bound of an eviction instance's memory in bytes, whatever its shard's capacity.
    pub eviction_memory_bytes_max: u64,
    /// Size of a component in bytes.
    pub component_bytes_max: u64,
    /// Compiled policies that are kept although nobody is bound to them, in bytes of machine code.
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
