//! The settings, read again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Admin;
use super::error::Refused;
use crate::reload::{ReloadError, Reloaded};

pub(super) async fn reload(State(admin): State<Arc<Admin>>) -> Result<Json<Reloaded>, Refused> {
    Ok(Json(admin.reloads()?.reload().await?))
}

impl From<ReloadError> for Refused {
    fn from(error: ReloadError) -> Self {
        let status = match &error {
            ReloadError::Failed(_) | ReloadError::Recorded(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ReloadError::NotMade(_) => StatusCode::NOT_FOUND,
            ReloadError::Unseen(_) => StatusCode::PRECONDITION_FAILED,
            ReloadError::OfFile(_) | ReloadError::NoSource | ReloadError::Overtaken { .. } => StatusCode::CONFLICT,
            error if error.is_of_settings() => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
