//! The tunnels of a tenant: connections that have switched to another protocol (RFC 9110 section 7.8), and how many there
//! may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::setting::{Count, DAY, MS, Span};

/// `[tenant.tunnels]`: bounds of the connections that switch to another protocol, in the classes that allow one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TunnelConfig {
    /// Tunnels at once; further ones are answered with 503. Each holds one of the origin's places
    /// (`protect.requests_max`) for as long as it lasts. Default 256.
    pub max: Count<1, 1_000_000>,
    /// How long nothing may move in either direction before a tunnel is ended. Default 5 min.
    pub idle_deadline: Span<MS, DAY>,
}

impl Default for TunnelConfig {
    fn default() -> Self {
        Self { max: Count::of(256), idle_deadline: Span::of(Duration::from_secs(300)) }
    }
}

/// The tunnels that are open.
#[derive(Debug)]
#[doc(hidden)]
pub struct Tunnels {
    max: usize,
    idle_deadline: Duration,
    open: AtomicUsize,
}

/// The place of a tunnel, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Opened(Arc<Tunnels>);

impl Tunnels {
    /// The bounds, with no tunnel open yet.
    pub fn new(config: &TunnelConfig) -> Arc<Self> {
        Arc::new(Self {
            max: config.max.as_usize(),
            idle_deadline: config.idle_deadline.get(),
            open: AtomicUsize::new(0),
        })
    }

    /// How many are open, or being opened.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place for one more tunnel; `None` where there are as many as may be.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Opened> {
        let more = |open: usize| (open < self.max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Opened(Arc::clone(self)))
    }
}

impl Opened {
    /// How long nothing may move in the tunnel.
    pub(crate) fn idle_deadline(&self) -> Duration {
        self.0.idle_deadline
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_may_be_and_a_place_is_given_back() {
        let tunnels = Tunnels::new(&TunnelConfig { max: Count::of(2), ..TunnelConfig::default() });
        let (first, _second) = (tunnels.enter().expect("a place"), tunnels.enter().expect("a place"));
        assert!(tunnels.enter().is_none());
        drop(first);
        assert_eq!(tunnels.open(), 1);
        assert!(tunnels.enter().is_some());
    }
}
