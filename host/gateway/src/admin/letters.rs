//! Dead letters: held writes that an origin refused, or did not take in time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sandbar::owed::{AppendError, Letter, Retry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Admin, Refused};

/// Letters of a page where nothing else is wanted.
const PAGE_LEN: usize = 100;

/// The query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// The number of the last letter of the page before.
    after: Option<u64>,
    limit: Option<usize>,
}

/// The query of a retry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryQuery {
    /// Whether a letter is sent that a later write of its target has overtaken.
    #[serde(default)]
    overtaken: bool,
}

/// A page of letters.
#[derive(Debug, Serialize)]
pub(super) struct Letters {
    letters: Vec<Letter>,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Letters>, Refused> {
    let tenant = admin.tenant(&tenant)?;
    let letters = admin.cache.dead_letters(&tenant, page.after, page.limit.unwrap_or(PAGE_LEN)).await;
    let letters = letters.map_err(|error| Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(Json(Letters { letters }))
}

pub(super) async fn retry(
    State(admin): State<Arc<Admin>>,
    Path((tenant, seq)): Path<(String, u64)>,
    Query(how): Query<RetryQuery>,
) -> Result<Json<Value>, Refused> {
    let tenant = admin.tenant(&tenant)?;
    match admin.cache.retry_dead_letter(&tenant, seq, how.overtaken).await.map_err(not_kept)? {
        Retry::Due => Ok(Json(json!({ "seq": seq, "state": "due" }))),
        Retry::Overtaken => {
            let reason = "a later write of its target has been sent, which it would undo; to send it all the same, say overtaken=true";
            Err(Refused::new(StatusCode::CONFLICT, reason))
        }
        Retry::Unknown => Err(unknown(seq)),
    }
}

pub(super) async fn forget(
    State(admin): State<Arc<Admin>>,
    Path((tenant, seq)): Path<(String, u64)>,
) -> Result<StatusCode, Refused> {
    let tenant = admin.tenant(&tenant)?;
    match admin.cache.drop_dead_letter(&tenant, seq).await.map_err(not_kept)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown(seq)),
    }
}

fn unknown(seq: u64) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, format!("the tenant has no dead letter {seq}"))
}

fn not_kept(error: AppendError) -> Refused {
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
