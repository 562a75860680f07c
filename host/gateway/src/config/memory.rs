//! `[memory]`: the bound of everything that grows with the traffic.

use sandbar::memory_budget::machine::{Machine, from_disk};
use sandbar::memory_budget::pressure::PressureConfig;
use sandbar::memory_budget::{LEFT_DIVISOR, shares_fit};
use sandbar::setting::{MIB, Size, size_text};
use serde::{Deserialize, Serialize};

use super::engine::text;
use super::{ConfigError, GatewayConfig};

/// `[memory]`: what entries, guests and bodies under way may take together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySettings {
    /// Bound of all that is charged. Default: half of what the machine, or the cgroup of the process, allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Size<MIB, { 1 << 50 }>>,
    /// `[memory.pressure]`: when the tenants' L1 shrink, and how far.
    pub pressure: PressureConfig,
}

impl GatewayConfig {
    /// The bound in bytes, as set or as this machine allows.
    ///
    /// # Errors
    /// When the tenants' shares do not fit inside it.
    pub fn memory_total_bytes(&self) -> Result<u64, ConfigError> {
        self.memory_total_with(self.l1_bytes())
    }

    /// The shares of all tenants together, in bytes.
    pub(super) fn l1_bytes(&self) -> u64 {
        self.tenants.iter().map(|tenant| tenant.l1.bytes()).fold(0, u64::saturating_add)
    }

    /// [`Self::memory_total_bytes`] where the tenants' shares add up to `shares` bytes.
    pub(super) fn memory_total_with(&self, shares: u64) -> Result<u64, ConfigError> {
        let (total, whose) = match (self.memory.total, Machine::find(&from_disk).limit_bytes(&from_disk)) {
            (Some(total), _) => (total.bytes(), String::new()),
            (None, Some(limit)) => {
                (limit / 2, format!("half of the {} that this machine or its cgroup allows: ", size_text(limit)))
            }
            (None, None) => (u64::MAX, String::new()),
        };
        validate_memory(shares, total, &whose).map(|()| total).map_err(|error| error.placed(&self.source))
    }
}

/// Checks that shares of so many bytes leave enough of the total; `whose` says where the total comes from.
pub(super) fn validate_memory(shares: u64, total_bytes: u64, whose: &str) -> Result<(), ConfigError> {
    if shares_fit(shares, total_bytes) {
        return Ok(());
    }
    Err(ConfigError::wrong(
        "memory.total",
        text(size_text(total_bytes)),
        format!(
            "{whose}the tenants' shares (l1) add up to {}, and one part in {LEFT_DIVISOR} must be left for guests and \
             bodies under way",
            size_text(shares)
        ),
        "raise it, or lower them",
    ))
}
