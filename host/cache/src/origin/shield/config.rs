//! `[tenant.protect]`: how a tenant's origin is protected.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::setting::{Count, DAY, GIB, HOUR, KIB, Key, MINUTE, MS, Percent, SECOND, Size, Span};

/// How a tenant's origin is protected from the tenant's own traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProtectConfig {
    /// Requests under way at the origin at once, response bodies included. Default 1024.
    pub requests_max: Count<1, 1_000_000>,
    /// Whether the limit follows the origin's latency, between `requests_min` and `requests_max`. Default no.
    pub adaptive: bool,
    /// The lowest limit that `adaptive` may come to. Default 8.
    pub requests_min: Count<1, 1_000_000>,
    /// Requests that may wait for a place at the origin; further ones are refused. Default 1024.
    pub queue_max: Count<0, 1_000_000>,
    /// How long a request may wait for a place. Default 1 s.
    pub queue_deadline: Span<MS, HOUR>,
    /// How long a client may take to send `progress_min` more of its request's content, or to read as much of a
    /// response that is not stored. Past it, the request loses its place at the origin. Default 30 s.
    pub progress_deadline: Span<SECOND, DAY>,
    /// How much a client must move within `progress_deadline`. Default 1 KiB.
    pub progress_min: Size<1, GIB>,
    /// `[tenant.protect.retry]`.
    pub retry: RetryConfig,
    /// `[tenant.protect.breaker]`.
    pub breaker: BreakerConfig,
}

/// When a request is sent again: only if its method is idempotent, it has no content, and not a byte of a response came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// How often one request may be sent again. Default once.
    pub times_max: Count<0, 5>,
    /// Retries in per cent of the requests in the long run. Default 10.
    pub share_percent: Percent,
    /// Retries that may be saved up. Default 10.
    pub burst: Count<0, 1_000_000>,
    /// The longest pause before the first retry, twice as long before each further one; its length is random. Default
    /// 25 ms.
    pub pause: Span<0, MINUTE>,
}

/// When the origin is not asked at all, because too many requests fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Whether there is a breaker. Default yes.
    pub enabled: bool,
    /// The breaker opens where so many per cent of the requests within the window failed: no connection, no response, a
    /// deadline, a body that broke off, or one of 500, 502, 503 and 504. Default 50.
    pub failed_percent: Percent<1>,
    /// With fewer requests within the window the breaker does not open. Default 20.
    pub requests_min: Count<1, 1_000_000>,
    /// How far back requests are counted. Default 10 s.
    pub window: Span<{ 10 * MS }, HOUR>,
    /// How long the breaker is open the first time; each further time in a row is twice as long. A random part of up to
    /// half is taken off, so that the nodes of a fleet don't come back together. Default 1 s.
    pub pause: Span<MS, DAY>,
    /// Upper bound of the pause. Default 60 s.
    pub pause_max: Span<MS, DAY>,
    /// Requests that are let through after the pause; it closes when that many have succeeded. Default 3.
    pub probes: Count<1, 1000>,
}

impl Default for ProtectConfig {
    fn default() -> Self {
        Self {
            requests_max: Count::of(1024),
            adaptive: false,
            requests_min: Count::of(8),
            queue_max: Count::of(1024),
            queue_deadline: Span::of(Duration::from_secs(1)),
            progress_deadline: Span::of(Duration::from_secs(30)),
            progress_min: Size::of(KIB),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            times_max: Count::of(1),
            share_percent: Count::of(10),
            burst: Count::of(10),
            pause: Span::of(Duration::from_millis(25)),
        }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            failed_percent: Count::of(50),
            requests_min: Count::of(20),
            window: Span::of(Duration::from_secs(10)),
            pause: Span::of(Duration::from_secs(1)),
            pause_max: Span::of(Duration::from_secs(60)),
            probes: Count::of(3),
        }
    }
}

impl ProtectConfig {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first setting that can't work: its key, its value, why, and what to do.
    pub fn check(&self) -> Result<(), (Key, String, &'static str, &'static str)> {
        if self.adaptive && self.requests_min > self.requests_max {
            let (reason, remedy) = ("the limit would move from it down to requests_max", "set requests_max or less");
            return Err((Key::from("requests_min"), self.requests_min.to_string(), reason, remedy));
        }
        if self.breaker.pause_max < self.breaker.pause {
            let (reason, remedy) = ("it is shorter than breaker.pause", "set breaker.pause or more");
            return Err((Key::from("breaker.pause_max"), format!("\"{}\"", self.breaker.pause_max), reason, remedy));
        }
        Ok(())
    }
}
