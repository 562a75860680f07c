//! `[policy]`: what guests may use up.

use sandbar::setting::{Count, DAY, GIB, HOUR, KIB, MINUTE, MS, SECOND, Size, Span};
use sandbar_policy::EngineConfig;
use serde::{Deserialize, Serialize};

use super::{ConfigError, GatewayConfig};

/// A page of WebAssembly, in bytes: the least memory that a guest can have.
const PAGE: u64 = 64 * KIB;
/// What 32-bit WebAssembly can address, in bytes.
const ADDRESSABLE: u64 = 4 * GIB;

/// `[policy]`: what guests may use up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Processor time that one call of a guest may take.
    pub call_budget: Span<{ MS / 10 }, { 10 * SECOND }>,
    /// Processor time that making an instance and handing it its settings may take.
    pub setup_budget: Span<MS, MINUTE>,
    /// CPU share of the guests of one tenant in the long run, in per cent of a core; 0 for no limit. More than 100 is
    /// more than one core.
    pub core_share_percent: Count<0, 100_000>,
    /// Faults within `fault_window` after which a policy is quarantined.
    pub faults_max: Count<1, 1_000_000>,
    /// The time within which `faults_max` faults count.
    pub fault_window: Span<MS, DAY>,
    /// Length of a policy's first quarantine; each further one is twice as long.
    pub quarantine: Span<MS, DAY>,
    /// Upper bound of a quarantine's length.
    pub quarantine_max: Span<MS, { 365 * DAY }>,
    /// Instances of guests at once, of all tenants.
    pub instances_max: Count<1, 1_000_000>,
    /// Upper bound of one instance's memory.
    pub memory: Size<PAGE, ADDRESSABLE>,
    /// Upper bound of an eviction instance's memory, which follows its shard's capacity.
    pub eviction_memory_max: Size<PAGE, ADDRESSABLE>,
    /// How long an instance may be idle before it is released.
    pub idle: Span<MS, { 24 * HOUR }>,
    /// Upper bound of a component's size.
    pub component_max: Size<KIB, GIB>,
    /// Upper bound, in bytes, of compiled policies that are kept while bound to nothing; 0 for none.
    pub compiled_max: Size<0, { 1 << 50 }>,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            call_budget: Span::of(engine.call_budget),
            setup_budget: Span::of(engine.setup_budget),
            core_share_percent: Count::of(engine.core_share_percent),
            faults_max: Count::of(engine.faults_max),
            fault_window: Span::of(engine.fault_window),
            quarantine: Span::of(engine.quarantine),
            quarantine_max: Span::of(engine.quarantine_max),
            instances_max: Count::of(engine.instances_max),
            memory: Size::of(engine.memory_bytes),
            eviction_memory_max: Size::of(engine.eviction_memory_bytes_max),
            idle: Span::of(engine.idle),
            component_max: Size::of(engine.component_bytes_max),
            compiled_max: Size::of(engine.compiled_bytes_max),
        }
    }
}

impl From<&PolicyConfig> for EngineConfig {
    fn from(config: &PolicyConfig) -> Self {
        Self {
            call_budget: config.call_budget.get(),
            setup_budget: config.setup_budget.get(),
            core_share_percent: config.core_share_percent.get(),
            faults_max: config.faults_max.get(),
            fault_window: config.fault_window.get(),
            quarantine: config.quarantine.get(),
            quarantine_max: config.quarantine_max.get(),
            instances_max: config.instances_max.get(),
            memory_bytes: config.memory.bytes(),
            eviction_memory_bytes_max: config.eviction_memory_max.bytes(),
            idle: config.idle.get(),
            component_bytes_max: config.component_max.bytes(),
            compiled_bytes_max: config.compiled_max.bytes(),
        }
    }
}

impl GatewayConfig {
    pub(super) fn validate_engine(&self) -> Result<(), ConfigError> {
        let policy = &self.policy;
        if policy.quarantine_max.get() < policy.quarantine.get() {
            let reason = format!("it is shorter than the first quarantine ({})", policy.quarantine);
            let remedy = "set policy.quarantine or more";
            return Err(ConfigError::wrong("policy.quarantine_max", text(policy.quarantine_max), reason, remedy));
        }
        if policy.eviction_memory_max < policy.memory {
            let reason = format!("each policy may have more than that already (policy.memory = {})", policy.memory);
            let remedy = "set policy.memory or more";
            return Err(ConfigError::wrong(
                "policy.eviction_memory_max",
                text(policy.eviction_memory_max),
                reason,
                remedy,
            ));
        }
        Ok(())
    }
}

/// A value in quotes, as it is written in the file.
pub(super) fn text(value: impl std::fmt::Display) -> String {
    format!("\"{value}\"")
}
