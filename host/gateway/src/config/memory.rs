//! `[memory]`: the bound of everything that grows with the traffic.

use std::fmt;

use sandbar::commons::{COMMONS_BYTES_MIN, LEFT_DIVISOR, l1_needed, shares_fit, shares_max};
use sandbar::memory_budget::machine::{Machine, from_disk};
use sandbar::memory_budget::pressure::PressureConfig;
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

/// The shares of L1 that tenants have together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct L1Shares {
    /// The sum of the shares, in bytes.
    pub(crate) bytes: u64,
    /// How many tenants have none.
    pub(crate) shareless: usize,
}

impl L1Shares {
    /// A tenant with such a share comes.
    pub(crate) fn more(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.shareless += usize::from(bytes == 0);
    }

    /// A tenant with such a share goes.
    pub(crate) fn less(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.shareless = self.shareless.saturating_sub(usize::from(bytes == 0));
    }

    /// What they need of L1, in bytes.
    pub(super) const fn needed_bytes(self) -> u64 {
        l1_needed(self.bytes, self.shareless > 0)
    }
}

impl fmt::Display for L1Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tenants' shares (l1) add up to {}", size_text(self.bytes))?;
        if self.shareless > 0 {
            write!(f, ", and those without one need {}", size_text(COMMONS_BYTES_MIN))?;
        }
        Ok(())
    }
}

impl GatewayConfig {
    /// The bound in bytes, as set or as this machine allows.
    ///
    /// # Errors
    /// When the tenants' shares do not fit inside it.
    pub fn memory_total_bytes(&self) -> Result<u64, ConfigError> {
        self.memory_total_with(self.l1_shares())
    }

    /// What all of L1 may have, in bytes: as `l1.total` says, and as the memory allows.
    ///
    /// # Errors
    /// Those of [`Self::memory_total_bytes`].
    pub(crate) fn l1_max_bytes(&self) -> Result<u64, ConfigError> {
        Ok(self.l1.total.bytes().min(shares_max(self.memory_total_bytes()?)))
    }

    /// The shares of all tenants together.
    pub(super) fn l1_shares(&self) -> L1Shares {
        let mut shares = L1Shares::default();
        self.tenants.iter().for_each(|tenant| shares.more(tenant.l1.bytes()));
        shares
    }

    /// [`Self::memory_total_bytes`] where the tenants have these shares.
    pub(super) fn memory_total_with(&self, shares: L1Shares) -> Result<u64, ConfigError> {
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
pub(super) fn validate_memory(shares: L1Shares, total_bytes: u64, whose: &str) -> Result<(), ConfigError> {
    if shares_fit(shares.needed_bytes(), total_bytes) {
        return Ok(());
    }
    Err(ConfigError::wrong(
        "memory.total",
        text(size_text(total_bytes)),
        format!("{whose}{shares}, and one part in {LEFT_DIVISOR} must be left for guests and bodies under way",),
        "raise it, or lower them",
    ))
}
