//! The engine that runs guests.

use std::sync::Arc;
use std::time::Duration;

/// How guests are run.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Processor time that one call may take.
    pub call_budget: Duration,
    /// Faults within [`EngineConfig::fault_window`] after which a policy is quarantined.
    pub faults_max: u32,
    /// See [`EngineConfig::faults_max`].
    pub fault_window: Duration,
    /// Length of a policy's first quarantine; each further one is twice as long.
    pub quarantine: Duration,
    /// Upper bound of a quarantine.
    pub quarantine_max: Duration,
    /// Instances that may live at once.
    pub instances_max: u32,
    /// Memory of one instance in bytes. An eviction instance may have more, in proportion to its shard's capacity.
    pub memory_bytes: u64,
    /// Size of a component in bytes.
    pub component_bytes_max: u64,
    /// Compiled policies that are kept although nobody is bound to them, in bytes of machine code.
    pub compiled_bytes_max: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            call_budget: Duration::from_millis(2),
            faults_max: 3,
            fault_window: Duration::from_secs(10),
            quarantine: Duration::from_secs(10),
            quarantine_max: Duration::from_secs(600),
            instances_max: 4096,
            memory_bytes: 16 << 20,
            component_bytes_max: 8 << 20,
            compiled_bytes_max: 64 << 20,
        }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("can't start the policy engine: {0}")]
pub struct EngineError(pub(crate) String);

/// Compiles and runs guests. One per process.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// An engine.
    ///
    /// # Errors
    /// Where the machine can't run one.
    pub fn new(_config: &EngineConfig) -> Result<Arc<Self>, EngineError> {
        Ok(Arc::new(Self {}))
    }
}
