//! `[policy]`: what guests may use up.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::policy::EngineConfig;

/// `[policy]`: what guests may use up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Processor time of one call.
    #[serde(with = "humantime_serde")]
    pub call_budget: Duration,
    /// Processor time of making an instance and having it take its settings.
    #[serde(with = "humantime_serde")]
    pub setup_budget: Duration,
    /// Share of a processor core that the guests of one tenant may use in the long run, in per cent; 0 for no limit.
    pub core_share_percent: u32,
    /// Faults within `fault_window` after which a policy is quarantined.
    pub faults_max: u32,
    /// See `faults_max`.
    #[serde(with = "humantime_serde")]
    pub fault_window: Duration,
    /// Length of a policy's first quarantine; each further one is twice as long.
    #[serde(with = "humantime_serde")]
    pub quarantine: Duration,
    /// Upper bound of a quarantine.
    #[serde(with = "humantime_serde")]
    pub quarantine_max: Duration,
    /// Instances that may live at once.
    pub instances_max: u32,
    /// Memory of one instance, in bytes.
    pub memory: ByteSize,
    /// Upper bound of an eviction instance's memory, which follows its shard's capacity, in bytes.
    pub eviction_memory_max: ByteSize,
    /// How long an instance may be idle before it is released.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// Size of a component, in bytes.
    pub component_max: ByteSize,
    /// Compiled policies that are kept although nobody is bound to them, in bytes.
    pub compiled_max: ByteSize,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        let engine = EngineConfig::default();
        Self {
            call_budget: engine.call_budget,
            setup_budget: engine.setup_budget,
            core_share_percent: engine.core_share_percent,
            faults_max: engine.faults_max,
            fault_window: engine.fault_window,
            quarantine: engine.quarantine,
            quarantine_max: engine.quarantine_max,
            instances_max: engine.instances_max,
            memory: ByteSize(engine.memory_bytes),
            eviction_memory_max: ByteSize(engine.eviction_memory_bytes_max),
            idle: engine.idle,
            component_max: ByteSize(engine.component_bytes_max),
            compiled_max: ByteSize(engine.compiled_bytes_max),
        }
    }
}

impl From<&PolicyConfig> for EngineConfig {
    fn from(config: &PolicyConfig) -> Self {
        Self {
            call_budget: config.call_budget,
            setup_budget: config.setup_budget,
            core_share_percent: config.core_share_percent,
            faults_max: config.faults_max,
            fault_window: config.fault_window,
            quarantine: config.quarantine,
            quarantine_max: config.quarantine_max,
            instances_max: config.instances_max,
            memory_bytes: config.memory.as_u64(),
            eviction_memory_bytes_max: config.eviction_memory_max.as_u64(),
            idle: config.idle,
            component_bytes_max: config.component_max.as_u64(),
            compiled_bytes_max: config.compiled_max.as_u64(),
        }
    }
}
