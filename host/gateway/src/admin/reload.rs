//! The settings, read again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Admin;
use super::error::Refused;
use crate::reload::{ReloadError, Reloaded};

pub(super) async fn reload(State(admin): State<Arc<Admin>>) -> Result<Json<Reloaded>, Refused> {
    let reloads = admin.reloads()?;
    // Applied to its end even where the client goes away meanwhile.
    let reloaded = tokio::spawn(async move { reloads.reload().await }).await;
    Ok(Json(reloaded.map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??))
}

impl From<ReloadError> for Refused {
    fn from(error: ReloadError) -> Self {
        let status = match &error {
            ReloadError::NotMade(_) => StatusCode::NOT_FOUND,
            ReloadError::OfFile(_) | ReloadError::NoSource => StatusCode::CONFLICT,
            error if error.is_of_settings() => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
