//! Events of other systems, which the tenant's invalidation policy is asked about.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sandbar::cache::{EventError, PurgeReport};

use super::upload::Upload;
use super::{Admin, Refused};

pub(super) async fn event(
    State(admin): State<Arc<Admin>>,
    Path((tenant, topic)): Path<(String, String)>,
    body: Upload,
) -> Result<Json<PurgeReport>, Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let report = admin.cache.event(tenant, &topic, &body.into_bytes()).await.map_err(|error| {
        let status = match error {
            EventError::Topic => StatusCode::BAD_REQUEST,
            EventError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            EventError::NoPolicy(_) => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refused::new(status, error.to_string())
    })?;
    tracing::debug!(tenant = &*tenant.name, topic, purges = report.recorded, "an event");
    Ok(Json(report))
}
