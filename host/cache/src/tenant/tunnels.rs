//! The tunnels of a tenant: connections that have switched to another protocol (RFC 9110 section 7.8), and how many there
//! may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sandbar_http::semantics::upgrade::may_allow;
use serde::{Deserialize, Serialize};

use super::config::TenantConfig;
use crate::origin::http::Protocol;
use crate::setting::{Count, DAY, Key, MS, Span};

/// `[tenant.tunnels]`: bounds of the connections that switch to another protocol, in the classes that allow one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TunnelConfig {
    /// Tunnels at once; what comes on top is answered with 503. Each holds one of the origin's places
    /// (`protect.requests_max`) for as long as it lasts. Default 256.
    pub max: Count<1, 1_000_000>,
    /// How long nothing may move in either direction before a tunnel is ended. Default 5 min.
    pub idle_deadline: Span<MS, DAY>,
}

impl TunnelConfig {
    /// Checks what the classes of a tenant allow against its tunnels and its origin.
    ///
    /// # Errors
    /// The first that can't work: its key below the tenant's, and what is wrong with it.
    pub(super) fn check(config: &TenantConfig) -> Result<(), (Key, String)> {
        let allowed = config
            .classes
            .iter()
            .enumerate()
            .flat_map(|(at, class)| class.upgrade.iter().map(move |protocol| (at, protocol)));
        let mut any = false;
        for (at, protocol) in allowed {
            let key = || Key::from("class").at(at).then("upgrade");
            any = true;
            may_allow(protocol).map_err(|why| (key(), format!("{protocol:?}: {why}")))?;
            if config.origin.as_ref().is_some_and(|origin| origin.http == Protocol::Http2) {
                let reason = "the origin is spoken to in HTTP/2 alone, which has no Upgrade; set origin.http = \"1.1\" or \"auto\"";
                return Err((key(), reason.to_owned()));
            }
        }
        let places = config.protect.requests_max;
        if any && config.tunnels.max > places {
            let reason =
                format!("each tunnel holds a place at the origin; set protect.requests_max ({places}) or less");
            return Err((Key::from("tunnels.max"), reason));
        }
        Ok(())
    }
}

impl Default for TunnelConfig {
    fn default() -> Self {
        Self { max: Count::of(256), idle_deadline: Span::of(Duration::from_secs(300)) }
    }
}

/// The tunnels that are open.
#[derive(Debug)]
pub struct Tunnels {
    max: usize,
    idle_deadline: Duration,
    open: AtomicUsize,
}

/// The place of a tunnel. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Opened(Arc<Tunnels>);

impl Tunnels {
    /// None yet.
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

    /// A place for one more; none where there are as many as may be.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Opened> {
        let more = |open: usize| (open < self.max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Opened(Arc::clone(self)))
    }
}

impl Opened {
    /// How long nothing may move in it.
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
    fn what_can_not_work_is_refused_with_the_reason() {
        let class = "[[class]]\nname = \"live\"\npath = \"/live/**\"\n";
        for (text, key, reason) in [
            (format!("{class}upgrade = [\"websocket\"]"), "", ""),
            (format!("tunnels = {{ max = 2000 }}\n{class}upgrade = [\"websocket\"]"), "tunnels.max", "requests_max"),
        ] {
            let config: TenantConfig = toml::from_str(&text).expect("a tenant");
            let found = TunnelConfig::check(&config).err().unwrap_or_default();
            assert!(found.0.to_string() == key && found.1.contains(reason), "{text}: {found:?}");
        }
        for wrong in ["tunnels = { max = 0 }", "tunnels = { idle_deadline = \"0s\" }"] {
            assert!(toml::from_str::<TenantConfig>(wrong).is_err(), "{wrong}");
        }
    }

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
