//! A stored response as an operator is shown it.

use std::sync::atomic::Ordering;

use http::header::{CACHE_CONTROL, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderName, StatusCode};
use sandbar_base::Digest;
use sandbar_base::clock::Timestamp;
use sandbar_http::plan::EarlyRefresh;
use serde::Serialize;

use crate::cached::Cached;
use crate::tenant::Tenant;

/// A stored response. All times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EntryReport {
    /// Its status code.
    pub status: u16,
    /// Bytes of its content.
    pub body_bytes: u64,
    /// Bytes that it takes in memory.
    pub weight_bytes: u64,
    /// Whether it is a part of the content alone, or several.
    pub is_part: bool,
    /// When it was received, since 1970.
    pub received_ms: u64,
    /// How long fetching it took.
    pub fetch_ms: u64,
    /// Its age (RFC 9111 section 4.2.3).
    pub age_ms: u64,
    /// Its freshness lifetime by its plan.
    pub freshness_lifetime_ms: u64,
    /// What is left of that; negative where it is stale.
    pub fresh_for_ms: i64,
    /// How long after its lifetime it may be served while it is validated.
    pub stale_while_revalidate_ms: u64,
    /// How long after its lifetime it may be served where the origin fails.
    pub stale_if_error_ms: u64,
    /// Whether hits may refresh it while it is still fresh.
    pub refreshes_early: bool,
    /// Surrogate keys by which it can be purged.
    pub surrogate_keys: Vec<String>,
    /// The component that planned it; none where that was a native policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_by: Option<Digest>,
    /// Whether it is planned anew before it is next used, as the freshness policy was bound with `replan` since.
    pub is_planned_anew: bool,
    /// Whether it is validated before it is next used, as the origin did not confirm it when it was last asked.
    pub is_doubtful: bool,
    /// What the origin said of it, where it did: `cache-control`, `etag`, `last-modified` and `vary`.
    pub fields: Vec<(&'static str, String)>,
}

impl EntryReport {
    /// `None` where the entry is a list of variants.
    pub(super) fn of(tenant: &Tenant, cached: &Cached, now: Timestamp) -> Option<Self> {
        let (stored, plan) = (cached.response()?, &cached.response()?.plan);
        let age_ms = u64::try_from(stored.age(now).as_millis()).unwrap_or(u64::MAX);
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let said = |name: HeaderName| {
            let lines = stored.fields.get_all(&name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            lines.collect::<Vec<_>>().join(", ")
        };
        let fields =
            [("cache-control", CACHE_CONTROL), ("etag", ETAG), ("last-modified", LAST_MODIFIED), ("vary", VARY)];
        let fields = fields.into_iter().filter(|(_, name)| stored.fields.contains_key(name));
        Some(Self {
            status: stored.status.as_u16(),
            body_bytes: cached.content_bytes(),
            weight_bytes: cached.weight_bytes(),
            is_part: stored.status == StatusCode::PARTIAL_CONTENT,
            received_ms: stored.received.as_millis(),
            fetch_ms: u64::try_from(stored.fetch_time.as_millis()).unwrap_or(u64::MAX),
            age_ms,
            freshness_lifetime_ms: plan.freshness_lifetime_ms,
            fresh_for_ms: signed(plan.freshness_lifetime_ms).saturating_sub(signed(age_ms)),
            stale_while_revalidate_ms: plan.stale_while_revalidate_ms,
            stale_if_error_ms: plan.stale_if_error_ms,
            refreshes_early: plan.early_refresh != EarlyRefresh::Never,
            surrogate_keys: plan.surrogate_keys.clone(),
            planned_by: stored.policy,
            is_planned_anew: cached.plan_epoch < tenant.plan_epoch.load(Ordering::Acquire),
            is_doubtful: cached.is_doubtful(),
            fields: fields.map(|(shown, name)| (shown, said(name))).collect(),
        })
    }
}
