//! Routes that report figures: of the whole node, and of its tenants.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use sandbar::fleet::{FleetReport, Unapplied};
use sandbar::tenant::TenantReport;
use sandbar::tier::TierHealth;
use sandbar_base::memory_budget::MemoryBudgetStats;
use serde::Serialize;

use super::{Admin, Refused};
use crate::advice::{self, Advice};

/// Everything the dashboard shows. Counters count since the start: rates are differences of two answers.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    version: &'static str,
    now_ms: u64,
    uptime_ms: u64,
    ready: bool,
    l2: Option<L2>,
    fleet: Option<FleetReport>,
    purges_pending: usize,
    memory: MemoryBudgetStats,
    tenants: Vec<TenantReport>,
    advice: Vec<Advice>,
}

#[derive(Debug, Serialize)]
struct L2 {
    name: &'static str,
    #[serde(flatten)]
    health: TierHealth,
}

#[derive(Debug, Serialize)]
pub(super) struct Tenants {
    tenants: Vec<TenantReport>,
    /// Tenants that were made or changed over another node's API, and that this node can't serve so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unapplied: Vec<Unapplied>,
}

pub(super) async fn stats(State(admin): State<Arc<Admin>>) -> Json<Stats> {
    let cache = &admin.cache;
    let tenants = reports(&admin);
    let l2 = cache.l2_health();
    let pending = cache.purges_pending();
    let fleet = cache.fleet_report();
    let memory = cache.memory_budget().stats();
    let access = admin.access.present().map(|log| log.report());
    let l2_health = l2.as_ref().map(|(name, health)| (*name, health));
    let advice = advice::advice(&tenants, l2_health, fleet.as_ref(), pending, &memory, access.as_ref());
    let uptime = cache.clock().monotonic().saturating_sub(admin.started);
    Json(Stats {
        version: env!("CARGO_PKG_VERSION"),
        now_ms: cache.clock().now().as_millis(),
        uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
        ready: admin.is_ready(),
        l2: l2.map(|(name, health)| L2 { name, health }),
        fleet,
        purges_pending: pending,
        memory,
        tenants,
        advice,
    })
}

pub(super) async fn tenants(State(admin): State<Arc<Admin>>) -> Json<Tenants> {
    let unapplied = admin.cache.fleet_report().map(|fleet| fleet.unapplied).unwrap_or_default();
    Json(Tenants { tenants: reports(&admin), unapplied })
}

pub(super) async fn tenant(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
) -> Result<Json<TenantReport>, Refused> {
    Ok(Json(admin.tenant(&tenant)?.report()))
}

fn reports(admin: &Admin) -> Vec<TenantReport> {
    admin.cache.tenants().all().iter().map(|tenant| tenant.report()).collect()
}
