//! `[tenant.protect]`: how a tenant's origin is protected.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// How a tenant's origin is protected from the tenant's own traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProtectConfig {
    /// Requests under way at the origin at once, response bodies included. Default 1024.
    pub requests_max: usize,
    /// Whether the limit follows the origin's latency, between `requests_min` and `requests_max`. Default no.
    pub adaptive: bool,
    /// The lowest limit that `adaptive` may come to. Default 8.
    pub requests_min: usize,
    /// Requests that wait for one of these to end; what comes on top is refused. Default 1024.
    pub queue_max: usize,
    /// How long one may wait there. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub queue_deadline: Duration,
    /// How long a client may let a request lie at the origin: to send `progress_min` more of its content, or to take as much
    /// of a response that is passed through. Past it, it loses its place. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub progress_deadline: Duration,
    /// How much that is. Default 1 KiB.
    pub progress_min: ByteSize,
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
    pub times_max: u32,
    /// Retries in per cent of the requests in the long run. Default 10.
    pub share_percent: u32,
    /// Retries that may be saved up. Default 10.
    pub burst: u32,
    /// The longest pause before the first retry, twice as long before each further one; its length is random. Default
    /// 25 ms.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
}

/// When the origin is not asked at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Whether there is a breaker. Default yes.
    pub enabled: bool,
    /// It opens where so many per cent of the requests within the window failed: no connection, no response, a deadline, a
    /// body that broke off, or one of 500, 502, 503 and 504. Default 50.
    pub failed_percent: u32,
    /// Fewer requests within the window say nothing. Default 20.
    pub requests_min: u32,
    /// The time that is looked back on. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// How long it is open the first time; each further time in a row is twice as long. A random part of up to half is
    /// taken off, so that the nodes of a fleet don't come back together. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    /// Upper bound of that. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub pause_max: Duration,
    /// Requests that are let through after the pause; it closes when that many have succeeded. Default 3.
    pub probes: u32,
}

impl Default for ProtectConfig {
    fn default() -> Self {
        Self {
            requests_max: 1024,
            adaptive: false,
            requests_min: 8,
            queue_max: 1024,
            queue_deadline: Duration::from_secs(1),
            progress_deadline: Duration::from_secs(30),
            progress_min: ByteSize::kib(1),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { times_max: 1, share_percent: 10, burst: 10, pause: Duration::from_millis(25) }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            failed_percent: 50,
            requests_min: 20,
            window: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            probes: 3,
        }
    }
}

impl ProtectConfig {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first that can't work: its key below `protect.`, and why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let (retry, breaker) = (&self.retry, &self.breaker);
        let rules = [
            (self.requests_max > 0, "requests_max", "the origin could never be asked"),
            (
                !self.adaptive || (1..=self.requests_max).contains(&self.requests_min),
                "requests_min",
                "it must be between 1 and requests_max",
            ),
            (self.progress_deadline >= Duration::from_secs(1), "progress_deadline", "it is shorter than a second"),
            (self.progress_min.as_u64() > 0, "progress_min", "no progress is no deadline; set 1 or more bytes"),
            (retry.times_max <= 5, "retry.times_max", "more than 5 retries of one request only add to the trouble"),
            (retry.share_percent <= 100, "retry.share_percent", "it must be between 0 and 100"),
            ((1..=100).contains(&breaker.failed_percent), "breaker.failed_percent", "it must be between 1 and 100"),
            (breaker.requests_min > 0, "breaker.requests_min", "nothing can be said of no request"),
            (breaker.window >= Duration::from_millis(10), "breaker.window", "it is too short to be looked at"),
            (!breaker.pause.is_zero(), "breaker.pause", "without a pause the breaker would never be open"),
            (breaker.pause_max >= breaker.pause, "breaker.pause_max", "it is shorter than breaker.pause"),
            (breaker.probes > 0, "breaker.probes", "without a probe it would never close again"),
        ];
        rules.into_iter().find(|(holds, ..)| !holds).map_or(Ok(()), |(_, key, reason)| Err((key, reason)))
    }
}
