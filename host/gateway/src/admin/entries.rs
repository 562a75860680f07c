//! Single entries, which an operator stores and deletes by hand.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, Response, StatusCode};
use sandbar::cache::{PurgeReport, PutError};
use serde::Deserialize;

use super::site::EntryUrl;
use super::upload::Upload;
use super::{Admin, Refused};

/// Fields of the `PUT` request that become fields of the stored response. Any other field is sent as `entry-NAME`.
const RESPONSE_FIELDS: [&str; 14] = [
    "cache-control",
    "cache-tag",
    "cdn-cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "surrogate-key",
    "vary",
];

/// The query of `PUT` and `DELETE`, which names the entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryQuery {
    url: String,
    /// The status code of the response to store, for `PUT` alone.
    #[serde(default = "ok")]
    status: u16,
}

const fn ok() -> u16 {
    200
}

pub(super) async fn put(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    Query(which): Query<EntryQuery>,
    fields: HeaderMap,
    body: Upload,
) -> Result<(StatusCode, Json<PurgeReport>), Refused> {
    if admin.upgrades()?.is_handed_over() {
        // What were stored here nobody would find.
        let reason = "another process has taken this one's place; open another connection";
        return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    let tenant = &admin.tenant(&tenant)?;
    let url = EntryUrl::read(&which.url, &admin.schemes)?;
    let mut response = Response::new(body.into_content());
    *response.status_mut() =
        StatusCode::from_u16(which.status).map_err(|_| Refused::bad(format!("{} is no status code", which.status)))?;
    *response.headers_mut() = taken(&fields);
    let report = admin.cache.put(tenant, url.site(), &url.target(), response).await.map_err(|error| {
        let status = match error {
            PutError::NoKey(..) => StatusCode::BAD_REQUEST,
            PutError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            PutError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Refused::new(status, error.to_string())
    })?;
    Ok((report.status(), Json(report)))
}

fn taken(fields: &HeaderMap) -> HeaderMap {
    let mut response = HeaderMap::new();
    for (name, value) in fields {
        let name = match name.as_str().strip_prefix("entry-") {
            Some(rest) => HeaderName::from_bytes(rest.as_bytes()).ok(),
            None => RESPONSE_FIELDS.contains(&name.as_str()).then(|| name.clone()),
        };
        if let Some(name) = name {
            response.append(name, value.clone());
        }
    }
    response
}

pub(super) async fn delete(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    Query(which): Query<EntryQuery>,
) -> Result<(StatusCode, Json<PurgeReport>), Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let url = EntryUrl::read(&which.url, &admin.schemes)?;
    let report =
        admin.cache.delete(tenant, url.site(), &url.target()).await.map_err(|error| Refused::bad(error.to_string()))?;
    Ok((report.status(), Json(report)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_request_and_of_the_response_are_told_apart() {
        let given = [
            ("host", "127.0.0.1:8081"),
            ("authorization", "Bearer secret"),
            ("content-type", "text/html"),
            ("cache-control", "max-age=60"),
            ("entry-x-shop", "1"),
            ("x-other", "2"),
        ];
        let fields = given.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        let response = taken(&fields.collect());
        let names: Vec<_> = response.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "cache-control", "x-shop"]);
    }
}
