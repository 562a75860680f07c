//! The admin API, for operators and tenant teams: on an address of its own, with a bearer token, answering in JSON.
//!
//! | method and path | what it does |
//! |---|---|
//! | `GET /` | the dashboard |
//! | `GET /healthz`, `GET /readyz` | whether the process runs; whether it takes requests. Without token |
//! | `GET /openapi.json` | this API as OpenAPI 3.1; `docs/admin-api.md` has examples |
//! | `GET /stats` | everything the dashboard shows |
//! | `GET /metrics` | OpenMetrics or the older text of Prometheus, as `Accept` says |
//! | `POST /reload` | reads the settings again, and applies what has changed |
//! | `POST /upgrade` | has a new process of the program take this one's place |
//! | `GET /tenants`, `GET /tenants/{tenant}` | counters, memory, policies |
//! | `GET /tenants/{tenant}/settings` | the settings of a tenant |
//! | `PUT`, `DELETE /tenants/{tenant}` | makes, changes or removes a tenant |
//! | `GET /tenants/{tenant}/policies`, `GET …/policies/{role}` | the bound policies |
//! | `PUT /tenants/{tenant}/policies/{role}` | binds a component (`application/wasm`) or a stock policy (JSON) |
//! | `DELETE /tenants/{tenant}/policies/{role}` | back to the configured or native policy |
//! | `GET /tenants/{tenant}/policies/{role}/history` | what was bound before |
//! | `POST /tenants/{tenant}/policies/{role}/rollback` | back to what was bound before |
//! | `POST /tenants/{tenant}/events/{topic}` | purges what an event of another system makes invalid, as the policy says |
//! | `GET /tenants/{tenant}/dead-letters` | held writes that the origin refused, or did not take in time |
//! | `POST …/dead-letters/{seq}/retry`, `DELETE …/dead-letters/{seq}` | sends one again; forgets one |
//! | `POST /tenants/{tenant}/purge` | purges by key, prefix, surrogate key, or everything |
//! | `POST /tenants/{tenant}/record?seconds=60&sample=16` | records the tenant's traffic and streams it as csv |
//! | `PUT`, `DELETE /tenants/{tenant}/entries?url=…` | stores or deletes one response |
//! | `GET /tenants/{tenant}/explain?url=…` | where a response is, what the next request would get, and why |
//!
//! Only `POST`, `PUT` and `DELETE` change something or begin work; whatever a page of another site asks is refused
//! (`auth`).

mod auth;
mod entries;
mod error;
mod events;
mod explain;
mod letters;
mod policies;
mod purge;
mod record;
mod reload;
mod site;
mod stats;
mod tenants;
mod upgrade;
mod upload;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{Html, IntoResponse};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use sandbar::cache::Cache;
use sandbar::tenant::Tenant;
use serde_json::json;

use self::error::Refused;
use super::access::Switch;
use super::config::{GatewayConfig, Scheme, Secret};
use super::handover::Upgrades;
use super::metrics::{Form, Metrics};
use super::opening::Openings;
use super::reload::Reloads;

/// The dashboard: one HTML page with its style and script inside.
const DASHBOARD: &str = include_str!("admin/dashboard.html");

/// The API as OpenAPI 3.1. Written by hand: a test compares it with what the routes do.
const OPENAPI: &str = include_str!("admin/openapi.json");

/// The state that all routes of the admin API have in common.
pub(super) struct Admin {
    cache: Cache,
    /// The schemes that clients come under, at least one.
    schemes: Vec<Scheme>,
    /// Swapped by a reload.
    token: Arc<ArcSwapOption<Secret>>,
    metrics: Metrics,
    access: Arc<Switch>,
    /// The longest content of a request, in bytes.
    body_bytes_max: u64,
    ready: AtomicBool,
    started: Duration,
    /// Not owned: what follows a reload owns this.
    upgrades: Weak<Upgrades>,
    openings: Openings,
}

/// An extension of requests whose client has shown a certificate of an authority that the settings name.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientCertificate;

/// An extension of requests on a connection that was made before clients were asked for certificates of other authorities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outdated;

impl Admin {
    pub(super) fn new(
        cache: Cache,
        config: &GatewayConfig,
        access: Arc<Switch>,
        openings: Openings,
        upgrades: &Arc<Upgrades>,
    ) -> Arc<Self> {
        Arc::new(Self {
            schemes: config.schemes(),
            token: upgrades.reloads.token(),
            metrics: Metrics::new(config.admin.metrics_tenants_max.as_usize()),
            access,
            body_bytes_max: config.limits.admin_body_max.bytes(),
            ready: AtomicBool::new(true),
            started: cache.clock().monotonic(),
            cache,
            upgrades: Arc::downgrade(upgrades),
            openings,
        })
    }

    fn reloads(&self) -> Result<Arc<Reloads>, Refused> {
        self.upgrades().map(|upgrades| Arc::clone(&upgrades.reloads))
    }

    fn upgrades(&self) -> Result<Arc<Upgrades>, Refused> {
        let gone = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is being stopped");
        self.upgrades.upgrade().ok_or_else(gone)
    }

    /// Makes `/readyz` answer 503 from now on.
    pub(super) fn drain_begins(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn tenant(&self, name: &str) -> Result<Arc<Tenant>, Refused> {
        self.cache.tenant(name).ok_or_else(|| {
            let all = self.cache.tenants().all();
            let mut known: Vec<_> = all.iter().take(TENANTS_NAMED_MAX).map(|tenant| &*tenant.name).collect();
            let others = format!("and {} others", all.len() - known.len());
            if all.len() > known.len() {
                known.push(&others);
            }
            Refused::new(StatusCode::NOT_FOUND, format!("there is no tenant {name:?}; there are: {}", known.join(", ")))
        })
    }
}

/// How many tenants are named to who asks for one that there is not.
const TENANTS_NAMED_MAX: usize = 100;

/// The routes of the table above, with their deadlines, authorisation, and errors in JSON.
pub(super) fn router(admin: Arc<Admin>) -> Router {
    let body_bytes_max = usize::try_from(admin.body_bytes_max).unwrap_or(usize::MAX);
    // Compiling and trying a policy may take long; binding has a deadline of its own, so that of these routes is
    // longer.
    let policies = Router::new()
        .route("/reload", post(reload::reload))
        .route("/tenants/{tenant}", put(tenants::put).delete(tenants::delete))
        .route("/tenants/{tenant}/policies", get(policies::list))
        .route("/tenants/{tenant}/policies/{role}", get(policies::one).put(policies::bind).delete(policies::unbind))
        .route("/tenants/{tenant}/policies/{role}/history", get(policies::history))
        .route("/tenants/{tenant}/policies/{role}/rollback", post(policies::roll_back))
        .layer(middleware::from_fn_with_state(error::BINDING_DEADLINE, error::within));
    let others = Router::new()
        .route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)))
        .route("/stats", get(stats::stats))
        .route("/metrics", get(exposition))
        .route("/tenants", get(stats::tenants))
        .route("/tenants/{tenant}", get(stats::tenant))
        .route("/tenants/{tenant}/settings", get(tenants::settings))
        .route("/tenants/{tenant}/explain", get(explain::explain))
        .route("/tenants/{tenant}/events/{topic}", post(events::event))
        .route("/tenants/{tenant}/dead-letters", get(letters::list))
        .route("/tenants/{tenant}/dead-letters/{seq}", delete(letters::forget))
        .route("/tenants/{tenant}/dead-letters/{seq}/retry", post(letters::retry))
        .route("/tenants/{tenant}/purge", post(purge::purge))
        .route("/tenants/{tenant}/purge/preview", post(purge::preview))
        .route("/tenants/{tenant}/record", post(record::record))
        .route("/tenants/{tenant}/entries", put(entries::put).merge(delete(entries::delete)))
        .fallback(async || Refused::new(StatusCode::NOT_FOUND, "there is nothing here; see GET / for the dashboard"))
        .layer(middleware::from_fn_with_state(error::DEADLINE, error::within));
    // An upgrade has its own deadline, `limits.upgrade_deadline`.
    let upgrade = Router::new().route("/upgrade", post(upgrade::upgrade));
    let closed =
        others.merge(policies).merge(upgrade).layer(middleware::from_fn_with_state(Arc::clone(&admin), auth::check));
    Router::new()
        .route("/", get(dashboard))
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .merge(closed)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(middleware::from_fn(auth::on_a_present_connection))
        .layer(middleware::from_fn(error::in_json))
        .with_state(admin)
}

async fn dashboard() -> impl IntoResponse {
    // The page is complete: it may load nothing else, send nothing elsewhere, and not be framed.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-cache")], Html(DASHBOARD))
}

async fn ready(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    match admin.is_ready() {
        true => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        false => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": "the gateway is being stopped" }))),
    }
}

async fn exposition(State(admin): State<Arc<Admin>>, fields: HeaderMap) -> Result<impl IntoResponse, Refused> {
    let form = Form::wanted(&fields);
    let access = admin.access.present();
    let text = admin.metrics.text(&admin.cache, access.as_deref(), &admin.openings, form).map_err(|error| {
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics can't be written: {error}"))
    })?;
    Ok(([(header::CONTENT_TYPE, form.content_type()), (header::VARY, "accept")], text))
}
