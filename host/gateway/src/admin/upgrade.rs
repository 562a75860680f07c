//! A new process in the place of this one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Admin;
use super::error::Refused;
use crate::handover::{UpgradeError, Upgraded};

pub(super) async fn upgrade(State(admin): State<Arc<Admin>>) -> Result<Json<Upgraded>, Refused> {
    Ok(Json(admin.upgrades()?.upgrade().await?))
}

impl From<UpgradeError> for Refused {
    fn from(error: UpgradeError) -> Self {
        let status = match &error {
            UpgradeError::NoProgram
            | UpgradeError::FirstProcess
            | UpgradeError::UnderWay
            | UpgradeError::PredecessorDrains { .. } => StatusCode::CONFLICT,
            UpgradeError::Refused { is_of_settings: true, .. } => StatusCode::UNPROCESSABLE_ENTITY,
            UpgradeError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
