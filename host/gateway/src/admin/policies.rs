//! Routes that show, bind and unbind a tenant's policies while traffic goes on.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use sandbar_policy::{BindError, Binding, BoundInfo, Choice, PastBinding, Role};
use serde::Deserialize;

use super::upload::Upload;
use super::{Admin, Refused};

/// The query of a `PUT` that binds a policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BindQuery {
    /// Settings of the component in the content, as JSON.
    settings: Option<String>,
    /// Name under which the component is reported.
    name: Option<String>,
    /// Whether entries that an older freshness policy planned are planned again before they are next used.
    #[serde(default)]
    replan: bool,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
) -> Result<Json<Vec<BoundInfo>>, Refused> {
    Ok(Json(admin.tenant(&tenant)?.policies.list()))
}

pub(super) async fn one(
    State(admin): State<Arc<Admin>>,
    Path((tenant, role)): Path<(String, String)>,
) -> Result<Json<BoundInfo>, Refused> {
    let role = self::role(&role)?;
    let bound = admin.tenant(&tenant)?.policies.list().into_iter().find(|bound| bound.role == role);
    bound.map(Json).ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, format!("no {role} policy is bound")))
}

pub(super) async fn bind(
    State(admin): State<Arc<Admin>>,
    Path((tenant, role)): Path<(String, String)>,
    Query(query): Query<BindQuery>,
    fields: HeaderMap,
    body: Upload,
) -> Result<Json<BoundInfo>, Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let role = self::role(&role)?;
    let reloads = admin.reloads()?;
    let _right = reloads.change()?;
    if query.replan && role != Role::Freshness {
        return Err(Refused::bad("replan is for the role freshness: no other policy makes plans"));
    }
    let mut binding = binding(role, query.settings.as_deref(), &fields, body.into_bytes())?;
    binding.name = query.name;
    let bound = tenant.bind(binding).await.map_err(|error| refused(&error))?;
    if query.replan {
        tenant.replan();
    }
    Ok(Json(bound))
}

pub(super) async fn unbind(
    State(admin): State<Arc<Admin>>,
    Path((tenant, role)): Path<(String, String)>,
) -> Result<Json<BoundInfo>, Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let role = self::role(&role)?;
    let reloads = admin.reloads()?;
    let _right = reloads.change()?;
    let bound = tenant.unbind(role).await.map_err(|error| refused(&error))?;
    Ok(Json(bound))
}

/// The query of a `POST` that goes back to an earlier binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollBackQuery {
    /// Number of the binding in the history; without it, the last one that differs from the present one.
    to: Option<u64>,
}

pub(super) async fn history(
    State(admin): State<Arc<Admin>>,
    Path((tenant, role)): Path<(String, String)>,
) -> Result<Json<Vec<PastBinding>>, Refused> {
    let tenant = admin.tenant(&tenant)?;
    let role = self::role(&role)?;
    let read = tokio::task::spawn_blocking(move || tenant.policies.history(role)).await;
    let read = read.map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    read.map(Json).map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

pub(super) async fn roll_back(
    State(admin): State<Arc<Admin>>,
    Path((tenant, role)): Path<(String, String)>,
    Query(query): Query<RollBackQuery>,
) -> Result<Json<BoundInfo>, Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let role = self::role(&role)?;
    let reloads = admin.reloads()?;
    let _right = reloads.change()?;
    let bound = tenant.roll_back(role, query.to).await.map_err(|error| refused(&error))?;
    Ok(Json(bound))
}

fn role(name: &str) -> Result<Role, Refused> {
    name.parse().map_err(|reason: String| Refused::new(StatusCode::NOT_FOUND, reason))
}

fn binding(role: Role, settings: Option<&str>, fields: &HeaderMap, body: Bytes) -> Result<Binding, Refused> {
    let kind = fields.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/wasm" => {
            let settings = settings.map_or(Ok(serde_json::Value::Null), serde_json::from_str);
            let settings = settings.map_err(|error| Refused::bad(format!("the settings are no JSON: {error}")))?;
            Ok(Binding::component(role, body).with_settings(settings))
        }
        "application/json" if settings.is_some() => {
            Err(Refused::bad("with a JSON body the settings belong into it: {\"stock\": …, \"settings\": {…}}"))
        }
        "application/json" => {
            let choice: Choice = serde_json::from_slice(&body)
                .map_err(|error| Refused::bad(format!("the body does not name a stock policy: {error}")))?;
            if choice.file.is_some() {
                return Err(Refused::bad(
                    "files are not read for the API: send the component itself, as application/wasm",
                ));
            }
            choice.into_binding(role).map_err(Refused::bad)
        }
        other => Err(Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("send a component as application/wasm, or {{\"stock\": NAME}} as application/json, not {other:?}"),
        )),
    }
}

fn refused(error: &BindError) -> Refused {
    let status = match error {
        BindError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        error if error.is_tenants() => StatusCode::UNPROCESSABLE_ENTITY,
        BindError::NotKept { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        BindError::NotServed(_) => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refused::new(status, error.to_string())
}
