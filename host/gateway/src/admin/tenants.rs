//! Tenants that are made, changed and removed while the gateway runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use sandbar::tenant::config::TenantConfig;
use sandbar::tier::TierError;
use serde_json::json;

use super::Admin;
use super::error::Refused;
use crate::reload::settings_tag;

/// The settings that a tenant has at present, in the form that [`put`] takes. Their `ETag` may go into its `If-Match`.
pub(super) async fn settings(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Refused> {
    let settings = (*admin.tenant(&name)?.config).clone();
    Ok(([(header::ETAG, settings_tag(&settings))], Json(settings)))
}

/// Makes a tenant, or gives it other settings: 201 where it is new, else 200.
pub(super) async fn put(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    fields: HeaderMap,
    content: Bytes,
) -> Result<impl IntoResponse, Refused> {
    let tenant = named(&name, &content)?;
    let made = admin.reloads()?.make_tenant(tenant, only_if(&fields)?).await?;
    let status = if made.is_so { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, answer(json!({ "tenant": name, "created": made.is_so }), made.missing)))
}

/// Removes a tenant that was made over the API. Where the file has one of that name, that is back.
pub(super) async fn delete(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    fields: HeaderMap,
) -> Result<impl IntoResponse, Refused> {
    let removed = admin.reloads()?.remove_tenant(&name, only_if(&fields)?).await?;
    Ok(answer(json!({ "tenant": name, "of_file": removed.is_so }), removed.missing))
}

/// The entity tags of settings that a request is meant for (`If-Match`, RFC 9110 section 13.1.1).
fn only_if(fields: &HeaderMap) -> Result<Option<String>, Refused> {
    let Some(field) = fields.get(header::IF_MATCH) else { return Ok(None) };
    let text =
        field.to_str().map_err(|_| Refused::bad("If-Match holds no entity tag; send the ETag of the settings"))?;
    Ok(Some(text.to_owned()))
}

/// The answer to a change, in a fleet with the nodes that have not applied it yet; null where these are not known.
fn answer(mut content: serde_json::Value, missing: Option<Result<Vec<String>, TierError>>) -> Json<serde_json::Value> {
    if let Some(missing) = missing {
        content["missing"] = missing.ok().into();
    }
    Json(content)
}

/// The tenant in a request's content, whose name is that of the path.
fn named(name: &str, content: &[u8]) -> Result<TenantConfig, Refused> {
    let wrong = |reason: String| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, reason);
    let mut value: serde_json::Value =
        serde_json::from_slice(content).map_err(|error| Refused::bad(error.to_string()))?;
    let Some(table) = value.as_object_mut() else {
        return Err(Refused::bad("the content is no JSON object with the settings of a [[tenant]] table"));
    };
    let said = table.entry("name").or_insert_with(|| name.into());
    if said != name {
        return Err(wrong(format!("name = {said}: the path names the tenant {name:?}; leave one of them out")));
    }
    table.entry("hosts").or_insert_with(|| json!([]));
    serde_json::from_value(value).map_err(|error| wrong(format!("the tenant {name:?}: {error}")))
}
