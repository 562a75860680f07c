//! `[tenant.origin.eject]`: when an address is left out for a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::setting::{Count, DAY, MS, Percent, Span};

/// When an address that does not work is left out for a while, if there are others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EjectConfig {
    /// Whether addresses are left out at all. Default yes.
    pub enabled: bool,
    /// So many requests in a row that an address answered with 502, 503 or 504, not at all, or with a response that broke
    /// off, and it is left out; one is enough where no connection could be made. Default 5.
    pub failures: Count<1, 1_000_000>,
    /// How long it is left out the first time; each further time in a row is twice as long. A random part of up to half
    /// is taken off. Default 5 s.
    pub pause: Span<MS, DAY>,
    /// Upper bound of the pause. Default 5 min.
    pub pause_max: Span<MS, DAY>,
    /// Up to how many per cent of the addresses are left out for what they answer. Default 50. Those that can't be
    /// connected to are left out down to the last one.
    pub share_max_percent: Percent,
}

impl EjectConfig {
    pub(super) const DEFAULT: Self = Self {
        enabled: true,
        failures: Count::of(5),
        pause: Span::of(Duration::from_secs(5)),
        pause_max: Span::of(Duration::from_secs(300)),
        share_max_percent: Count::of(50),
    };
}

impl Default for EjectConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}
